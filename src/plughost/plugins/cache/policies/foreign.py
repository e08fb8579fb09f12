"""Any cachetools cache as an eviction policy."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from plughost.contracts import error_line
from plughost.exceptions import ConfigError
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.policies.base import EvictionPolicy


class ForeignPolicy(EvictionPolicy):
    """Wraps a cachetools cache, whose evictions all go through its ``popitem``.

    Args:
        cache_class: A subclass of ``cachetools.Cache``; it is subclassed once more to hear of evictions.
        maxsize: How many entries it keeps.
    """

    def __init__(self, cache_class: type[Any], maxsize: int) -> None:
        self._quiet = False
        outer = self

        class Heard(cache_class):  # type: ignore[misc] # the base is chosen at run time
            def popitem(self) -> tuple[str, Entry]:
                key, entry = super().popitem()
                if not outer._quiet:
                    outer.on_evict(key, entry)
                return key, entry

        try:
            self._cache: MutableMapping[str, Entry] = Heard(maxsize)
        except TypeError as error:
            message = f"policy {cache_class.__name__} cannot be made from maxsize alone: {error_line(error)}"
            raise ConfigError(message, path="policy") from error

    def __len__(self) -> int:
        return len(self._cache)

    def find(self, key: str) -> Entry | None:
        """Return the entry the way the cache counts it as used."""
        try:
            return self._cache[key]
        except KeyError:
            return None

    def peek(self, key: str) -> Entry | None:
        """Return the entry; a cachetools cache has no way to look without counting."""
        return self.find(key)

    def put(self, key: str, entry: Entry) -> None:
        """Store an entry."""
        self._cache[key] = entry

    def discard(self, key: str) -> Entry | None:
        """Remove and return the entry."""
        return self._cache.pop(key, None)

    def evict(self) -> tuple[str, Entry]:
        """Remove and return what the cache would evict next."""
        self._quiet = True
        try:
            return self._cache.popitem()
        finally:
            self._quiet = False

    def keys_now(self) -> list[str]:
        """Return the keys."""
        return list(self._cache)

    def wipe(self) -> None:
        """Remove everything."""
        self._quiet = True
        try:
            self._cache.clear()
        finally:
            self._quiet = False
