"""A session store of somebody else, by the name that the configuration has for it."""

from __future__ import annotations

from typing import cast

from plughost.contracts import BytesSessions, BytesStore, NamedStore, SessionStore, StoreSetup
from plughost.exceptions import ConfigError
from plughost.plugins.sessions.config import OWN_STORES, SessionsConfig

STORES = NamedStore(
    what="session store", section="plugins.sessions.config", group="plughost.session_stores", known=OWN_STORES
)
_METHODS = sorted(name for name in vars(SessionStore) if not name.startswith("_"))


def foreign_store(config: SessionsConfig, setup: StoreSetup) -> SessionStore:
    """Return the configured store, not yet opened.

    Raises:
        ConfigError: It cannot be made, or is not a session store.
    """
    store = STORES.made(config.store, config.store_settings, setup)
    missing = [method for method in _METHODS if not hasattr(store, method)]
    if not missing:
        return cast("SessionStore", store)
    if isinstance(store, BytesStore):
        return BytesSessions(store, setup.now)
    raise ConfigError(
        f"session store {config.store!r} is neither a BytesStore, with commit, delete and find, nor a SessionStore: "
        f"it has no {', '.join(missing)}",
        path=f"{STORES.section}.store",
    )
