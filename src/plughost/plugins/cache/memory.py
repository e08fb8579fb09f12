"""The tier in memory: entries under an eviction policy, bounded by count and by bytes.

Reads take no lock (see ``policies.base``); whatever changes something holds ``lock``, which is also held
while the logical clock is asked, so that nothing can be invalidated between the question and the storing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterable
from typing import Any

from plughost.plugins.cache.clock import LogicalClock
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.policies import EvictionPolicy

OnGone = Callable[[str, str, str], None]
"""Called with kind, key and cause when an entry goes by itself."""


class MemoryEntries:
    """Entries of one cache in this process.

    Args:
        policy: Decides what has to go when there are too many.
        monotonic: Returns the time.
        max_bytes: Weight of all entries together; None for no bound.
        on_gone: Called, outside of the lock, with what was evicted or found expired.
    """

    def __init__(
        self,
        policy: EvictionPolicy,
        monotonic: Callable[[], float],
        *,
        max_bytes: int | None = None,
        on_gone: OnGone,
    ) -> None:
        self.policy = policy
        self.clock = LogicalClock()
        self.max_bytes = max_bytes
        self.bytes = 0
        self.lock = threading.RLock()
        self._monotonic = monotonic
        self._on_gone = on_gone
        self._tagged: dict[str, set[str]] = {}
        self._evicted: list[tuple[str, str]] = []
        self._pid = os.getpid()

        def note_eviction(key: str, entry: Entry) -> None:
            self._forget(key, entry)
            self._evicted.append((key, "size"))

        policy.on_evict = note_eviction

    def __len__(self) -> int:
        return len(self.policy)

    def peek(self, key: str) -> Entry | None:
        """Return the entry if it is not dead; counts as no use."""
        entry = self.policy.peek(key)
        if entry is None:
            return None
        if self._monotonic() >= entry.dead_at:
            self._bury(key, entry)
            return None
        return entry

    def _bury(self, key: str, entry: Entry) -> None:
        with self.lock:
            if self.policy.peek(key) is not entry or self._monotonic() < entry.dead_at:
                return
            self._remove(key)
        self._on_gone("expired", key, "ttl")

    def put(
        self, key: str, entry: Entry, *, since: int | None = None, tags: tuple[str, ...] | None = None
    ) -> bool:
        """Store; with ``since`` only if nothing was invalidated after that moment, without it as new truth.

        Args:
            key: The key.
            entry: What to store.
            since: Where the logical clock stood when the load began.
            tags: Tags to ask the clock about; None takes the entry's.

        Returns:
            Whether it was stored.
        """
        with self.lock:
            clock = self.clock
            if since is None:
                clock.touch(key)
            elif not clock.allows(since, key, entry.tags if tags is None else tags):
                return False
            old = self.policy.peek(key)
            if old is not None and (old.tags or old.weight):
                self._forget(key, old)
            for tag in entry.tags:
                self._tagged.setdefault(tag, set()).add(key)
            self.bytes += entry.weight
            self.policy.put(key, entry)
            if self.max_bytes is not None:
                while self.bytes > self.max_bytes and len(self.policy) > 1:
                    gone, victim = self.policy.evict()
                    self._forget(gone, victim)
                    self._evicted.append((gone, "bytes"))
            if not self._evicted:
                return True
            evicted, self._evicted = self._evicted, []
        for gone, cause in evicted:
            self._on_gone("evicted", gone, cause)
        return True

    def _forget(self, key: str, entry: Entry) -> None:
        self.bytes -= entry.weight
        for tag in entry.tags:
            keys = self._tagged.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._tagged[tag]

    def _remove(self, key: str) -> Entry | None:
        entry = self.policy.discard(key)
        if entry is not None:
            self._forget(key, entry)
        return entry

    def _fresh(self, entry: Entry | None) -> bool:
        return entry is not None and self._monotonic() < entry.fresh_until

    def delete(self, key: str) -> bool:
        """Remove a key and overtake its loads; whether a fresh value was there."""
        with self.lock:
            self.clock.touch(key)
            entry = self._remove(key)
            return entry is not None and self._fresh(entry)

    def drop(self, keys: Collection[str]) -> None:
        """The same for keys that somebody else has changed."""
        with self.lock:
            self.clock.touch_keys(keys)
            # A cache that Redis alone answers keeps none, and hears of all that it writes.
            if len(self.policy):
                for key in keys:
                    self._remove(key)

    def invalidate_tags(self, tags: Iterable[str]) -> list[str]:
        """Remove what has one of the tags and overtake loads; returns the keys."""
        with self.lock:
            wanted = tuple(tags)
            self.clock.touch_tags(wanted)
            keys = {key for tag in wanted for key in self._tagged.get(tag, ())}
            return [key for key in keys if self._remove(key) is not None]

    def invalidate_matching(self, matches: Callable[[str], bool]) -> list[str]:
        """Remove what matches and overtake loads; returns the keys."""
        with self.lock:
            self.clock.touch_pattern(matches)
            return [key for key in self.policy.keys_now() if matches(key) and self._remove(key) is not None]

    def clear(self) -> int:
        """Remove everything and overtake all loads; how many entries there were."""
        with self.lock:
            self.clock.touch_all()
            count = len(self.policy)
            self.policy.wipe()
            self._tagged.clear()
            self.bytes = 0
            return count

    def sweep(self, keys: Iterable[str]) -> int:
        """Remove those of the keys that are dead; how many that were."""
        now = self._monotonic()
        dead = [key for key in keys if (entry := self.policy.peek(key)) is not None and now >= entry.dead_at]
        for key in dead:
            entry = self.policy.peek(key)
            if entry is not None:
                self._bury(key, entry)
        return len(dead)

    def update(
        self, key: str, change: Callable[[Any, bool], Any], fresh_entry: Callable[[Any], Entry]
    ) -> Any:
        """Replace a value by ``change(value, present)`` in one step; return it. Time left and tags stay."""
        with self.lock:
            old = self.peek(key)
            present = old is not None and self._fresh(old)
            value = change(old.value if old is not None and present else None, present)
            if old is None or not present:
                self.put(key, fresh_entry(value))
                return value
            entry = Entry(
                value,
                old.fresh_until,
                refresh_at=old.refresh_at,
                dead_at=old.dead_at,
                ttl=old.ttl,
                tags=old.tags,
                weight=fresh_entry(value).weight,
            )
            self.put(key, entry)
            return value

    def replace(self, key: str, entry: Entry, wanted: Callable[[Any, bool], bool]) -> bool:
        """Store if ``wanted(value, present)`` says so of what is there, in one step; whether it was."""
        with self.lock:
            old = self.peek(key)
            present = old is not None and self._fresh(old)
            if not wanted(old.value if old is not None and present else None, present):
                return False
            return self.put(key, entry)

    def oldest_age(self) -> float:
        """Seconds since the oldest entry was stored."""
        now = self._monotonic()
        found = (self.policy.peek(key) for key in self.policy.keys_now())
        return max((entry.age(now) for entry in found if entry is not None), default=0.0)

    def after_fork(self) -> bool:
        """Replace locks that a thread of the parent may have held; whether this is a new child."""
        if self._pid == os.getpid():
            return False
        self._pid = os.getpid()
        self.lock = threading.RLock()
        return True
