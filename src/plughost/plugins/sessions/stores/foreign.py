"""A session store of somebody else, by the name that the configuration has for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from plughost.contracts import (
    BytesSessions,
    BytesStore,
    SessionStore,
    SessionStoreSetup,
    error_line,
    named_object,
)
from plughost.exceptions import ConfigError
from plughost.plugins.sessions.config import OWN_STORES, SessionsConfig

GROUP = "plughost.session_stores"
_HERE = "plugins.sessions.config"
_METHODS = sorted(name for name in vars(SessionStore) if not name.startswith("_"))

MakeStore = Callable[[SessionStoreSetup], Any]


def maker_of(config: SessionsConfig) -> tuple[MakeStore, Any]:
    """Return what makes the configured store, and its settings, checked.

    Raises:
        ConfigError: There is no such store, it cannot be called, or its settings are wrong.
    """
    name = config.store
    make = named_object(name, "session store", path=f"{_HERE}.store", group=GROUP, known=OWN_STORES)
    if not callable(make):
        raise ConfigError(
            f"session store {name!r} cannot be called: name a class, or a function that makes the store",
            path=f"{_HERE}.store",
        )
    shape = getattr(make, "Config", None)
    if shape is None:
        return make, dict(config.store_settings)
    try:
        return make, msgspec.convert(config.store_settings, shape)
    except (msgspec.ValidationError, ValueError) as error:
        message = f"session store {name!r} does not take these settings: {error_line(error)}"
        raise ConfigError(message, path=f"{_HERE}.store_settings") from error


def foreign_store(config: SessionsConfig, setup: SessionStoreSetup) -> SessionStore:
    """Return the configured store, not yet opened.

    Raises:
        ConfigError: It cannot be made, or is not a session store.
    """
    make, settings = maker_of(config)
    try:
        store = make(msgspec.structs.replace(setup, settings=settings))
    except ConfigError:
        raise
    except Exception as error:
        message = f"session store {config.store!r} cannot be made: {error_line(error)}"
        raise ConfigError(message, path=f"{_HERE}.store") from error
    missing = [method for method in _METHODS if not hasattr(store, method)]
    if not missing:
        return cast("SessionStore", store)
    if isinstance(store, BytesStore):
        return BytesSessions(store, setup.now)
    raise ConfigError(
        f"session store {config.store!r} is neither a BytesStore, with commit, delete and find, nor a SessionStore: "
        f"it has no {', '.join(missing)}",
        path=f"{_HERE}.store",
    )
