"""Looking at what is kept. Nothing is used by being looked at: it is not promoted, copied nearer or counted."""

from __future__ import annotations

from typing import Any

from plughost.contracts import CacheEntry, ExpectedKey
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.engine import Engine
from plughost.plugins.cache.freshness import time_left


class Looks:
    """What there is in one cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def exists(self, key: str) -> bool:
        """Whether a fresh value is there."""
        entry = await self.entry(key)
        return entry is not None and not entry.stale

    async def entry(self, key: str) -> CacheEntry | None:
        """Return the value with its age, time left, tier and staleness; None when nothing is kept."""
        remote = self._engine.remote
        if remote is not None and remote.available:
            try:
                found = (await remote.read(key)).found
            except StoreUnavailableError:
                pass
            else:
                if found is None:
                    return None
                left = time_left(found.age + found.fresh_for, found.fresh_for)
                return CacheEntry(
                    key=key, value=found.value, age=found.age, ttl=left, tier=remote.kind, stale=left <= 0,
                    tags=found.tags,
                )  # fmt: skip
        return self.in_memory(key)

    async def entry_of(self, key: str, value: Any, tags: tuple[str, ...]) -> CacheEntry:
        """Return the entry of a value that was just given out; one that was not kept has no time left."""
        entry = self.in_memory(key) or await self.entry(key)
        if entry is not None and (entry.value is value or entry.value == value):
            return entry
        return CacheEntry(key=key, value=value, age=0.0, ttl=0.0, tier="memory", tags=tags)

    def in_memory(self, key: str) -> CacheEntry | None:
        """Return what the tier in memory has."""
        entry = self._engine.memory.peek(key)
        if entry is None:
            return None
        now = self._engine.monotonic()
        left = time_left(entry.ttl, entry.fresh_until - now)
        return CacheEntry(
            key=key, value=entry.value, age=entry.age(now), ttl=left, tier="memory", stale=left <= 0,
            tags=entry.tags,
        )  # fmt: skip

    async def expected(self, key: str) -> ExpectedKey:
        """Say whether a key is there, and how old it is."""
        entry = await self.entry(key)
        if entry is None or entry.stale:
            return ExpectedKey(key=key, present=False)
        return ExpectedKey(key=key, present=True, age=entry.age, ttl=entry.ttl)

    async def keys(self, limit: int) -> list[str]:
        """Return some of the keys."""
        remote = self._engine.remote
        if remote is not None and remote.available:
            try:
                return await remote.keys(limit)
            except StoreUnavailableError:
                pass
        now = self._engine.monotonic()
        policy = self._engine.memory.policy
        fresh = (
            key
            for key in policy.keys_now()
            if (entry := policy.peek(key)) is not None and now < entry.fresh_until
        )
        return [key for key, _ in zip(fresh, range(limit), strict=False)]
