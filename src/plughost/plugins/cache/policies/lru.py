"""Least recently used: the plain one, and right for most."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.policies.base import Get, Policy
from plughost.plugins.cache.stats import Counts


class LRUCache(Policy):
    """Evicts what was not used for longest."""

    def __init__(self, maxsize: int, getsizeof: Callable[[Any], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self.look = self._entries.get
        self.to_end = self._entries.move_to_end

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str) -> Entry | None:
        """Return the entry and make it the most recent."""
        entry = self.look(key)
        if entry is not None:
            try:
                self.to_end(key)
            except KeyError:  # another thread evicted it between the two steps
                return None
        return entry

    def getter(self, now: Callable[[], float], counts: Counts, slow: Callable[[str, Any], Any]) -> Get:
        """Return a synchronous hit in one piece."""
        look, to_end = self.look, self.to_end

        def get(key: str, default: Any = None) -> Any:
            entry = look(key)
            if entry is not None and now() < entry.fresh_until:
                try:
                    to_end(key)
                except KeyError:
                    return slow(key, default)
                counts.hits += 1
                return entry.value
            return slow(key, default)

        return get

    def peek(self, key: str) -> Entry | None:
        """Return the entry and leave its place."""
        return self.look(key)

    def put(self, key: str, entry: Entry) -> None:
        """Store as the most recent; evict the least recent when there is no room."""
        entries = self._entries
        if key in entries:
            entries[key] = entry
            entries.move_to_end(key)
            return
        while len(entries) >= self.maxsize:
            self.on_evict(*entries.popitem(last=False))
        entries[key] = entry

    def discard(self, key: str) -> Entry | None:
        """Remove and return the entry."""
        return self._entries.pop(key, None)

    def evict(self) -> tuple[str, Entry]:
        """Remove and return the least recent."""
        return self._entries.popitem(last=False)

    def keys_now(self) -> list[str]:
        """Return the keys, least recent first."""
        return list(self._entries)

    def wipe(self) -> None:
        """Remove everything."""
        self._entries.clear()
