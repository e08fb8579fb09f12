"""A cache store of somebody else, by the name that the configuration has for it."""

from __future__ import annotations

from plughost.contracts import BytesStore, NamedStore, StoreSetup
from plughost.exceptions import ConfigError

STORES = NamedStore(what="cache store", section="plugins.cache.config", group="plughost.cache_stores")


def foreign_bytes_store(name: str, settings: dict[str, object], setup: StoreSetup) -> BytesStore:
    """Return the configured store, not yet opened.

    Raises:
        ConfigError: It cannot be made, or has not the three methods.
    """
    store = STORES.made(name, settings, setup)
    if isinstance(store, BytesStore):
        return store
    missing = [method for method in ("commit", "delete", "find") if not hasattr(store, method)]
    raise ConfigError(
        f"cache store {name!r} is not a BytesStore: it has no {', '.join(missing)}",
        path=f"{STORES.section}.store",
    )
