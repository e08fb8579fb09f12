"""S3-FIFO: three queues, nothing moves on a hit, and a scan washes nothing out.

After Yang, Zhang, Qiu, Yue and Vigfusson, "FIFO queues are all you need for cache eviction" (SOSP 2023). New
keys wait in a small queue (a tenth of the room); what is not asked for again leaves by its end and is
remembered by name only, in a ghost queue. What is asked for again, or comes back while remembered, goes into
the main queue, whose end gives everything that was used another round.

Shipped under the name LFU too, because that is what people ask for when they mean "keep what is used often":
a count that never forgets collapses when popularity shifts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.policies.base import Get, Policy
from plughost.plugins.cache.stats import Counts

_MAX_USES = 3


class S3FIFOCache(Policy):
    """Evicts what was used once, and later what is used seldom."""

    def __init__(self, maxsize: int, getsizeof: Callable[[Any], float] | None = None) -> None:
        super().__init__(maxsize, getsizeof)
        self._entries: dict[str, Entry] = {}
        self.look = self._entries.get
        self._small: deque[Entry] = deque()
        self._main: deque[Entry] = deque()
        self._ghosts: set[int] = set()  # hashes take a third of the room of names
        self._ghost_line: deque[int] = deque()
        self._small_room = max(1, maxsize // 10)
        self._gone = 0  # entries that were discarded but still stand in a queue

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str) -> Entry | None:
        """Return the entry and note one use more, up to three."""
        entry = self.look(key)
        if entry is not None and entry.uses < _MAX_USES:
            entry.uses += 1
        return entry

    def getter(self, now: Callable[[], float], counts: Counts, slow: Callable[[str, Any], Any]) -> Get:
        """Return a synchronous hit in one piece."""
        look, most = self.look, _MAX_USES

        def get(key: str, default: Any = None) -> Any:
            entry = look(key)
            if entry is not None and now() < entry.fresh_until:
                if entry.uses < most:
                    entry.uses += 1
                counts.hits += 1
                return entry.value
            return slow(key, default)

        return get

    def peek(self, key: str) -> Entry | None:
        """Return the entry and note nothing."""
        return self.look(key)

    def put(self, key: str, entry: Entry) -> None:
        """Store; a new key goes into the small queue, or into the main one if it is remembered."""
        old = self._entries.get(key)
        if old is not None:
            old.take_over(entry)  # the queues hold the entry itself, which keeps its place
            return
        while len(self._entries) >= self.maxsize:
            self.on_evict(*self.evict())
        entry.key = key
        self._entries[key] = entry
        name = hash(key)
        if name in self._ghosts:
            self._ghosts.discard(name)
            self._main.append(entry)
        else:
            self._small.append(entry)

    def discard(self, key: str) -> Entry | None:
        """Remove and return the entry; its place in the queue is swept later."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._gone += 1
            if self._gone > len(self._entries) + 16:
                alive = self._entries.get
                self._small = deque(entry for entry in self._small if alive(entry.key) is entry)
                self._main = deque(entry for entry in self._main if alive(entry.key) is entry)
                self._gone = 0
        return entry

    def evict(self) -> tuple[str, Entry]:
        """Remove and return the entry that is worth least."""
        if not self._entries:
            raise KeyError("the cache is empty")
        while True:
            from_small = len(self._small) >= self._small_room or not self._main
            victim = self._evict_small() if from_small and self._small else self._evict_main()
            if victim is not None:
                return victim

    def _evict_small(self) -> tuple[str, Entry] | None:
        entry = self._small.popleft()
        if self._entries.get(entry.key) is not entry:
            self._gone -= 1
            return None
        if entry.uses:
            entry.uses = 0
            self._main.append(entry)
            return None
        name = hash(entry.key)
        self._ghosts.add(name)
        self._ghost_line.append(name)
        if len(self._ghost_line) > self.maxsize:
            self._ghosts.discard(self._ghost_line.popleft())
        del self._entries[entry.key]
        return entry.key, entry

    def _evict_main(self) -> tuple[str, Entry] | None:
        entry = self._main.popleft()
        if self._entries.get(entry.key) is not entry:
            self._gone -= 1
            return None
        if entry.uses > 0:
            entry.uses -= 1
            self._main.append(entry)
            return None
        del self._entries[entry.key]
        return entry.key, entry

    def keys_now(self) -> list[str]:
        """Return the keys."""
        return list(self._entries)

    def wipe(self) -> None:
        """Remove everything, and what was remembered."""
        self._entries.clear()
        self._small.clear()
        self._main.clear()
        self._ghosts.clear()
        self._ghost_line.clear()
        self._gone = 0
