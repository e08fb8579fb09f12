"""Changes that depend on what is there: only if nothing is, only if this is, or only of how long it stays.

Each is one step in the tier that decides: in Redis by a script that compares, in memory under the store's lock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from plughost.contracts import Seconds
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.engine import Engine
from plughost.plugins.cache.remote import Remote
from plughost.plugins.cache.writing import Writes

Wanted = Callable[[Any, bool], bool]
"""Decides, from the value and whether there is a fresh one, whether it is replaced."""


class Conditions:
    """Conditional changes of one cache."""

    def __init__(self, engine: Engine, writes: Writes) -> None:
        self._engine = engine
        self._writes = writes

    async def add(self, key: str, value: Any, ttl: Seconds | None, tags: tuple[str, ...]) -> bool:
        """Store if no fresh value is there."""
        return await self._replace(key, value, ttl, tags, lambda _, present: not present)

    async def compare_and_set(
        self, key: str, expected: Any, value: Any, ttl: Seconds | None, tags: tuple[str, ...]
    ) -> bool:
        """Store if a fresh value is there and equal to what was expected."""

        def same(found: Any, present: bool) -> bool:
            return present and type(found) is type(expected) and bool(found == expected)

        return await self._replace(key, value, ttl, tags, same)

    async def _replace(
        self, key: str, value: Any, ttl: Seconds | None, tags: tuple[str, ...], wanted: Wanted
    ) -> bool:
        engine = self._engine
        life = engine.freshness.written(ttl)
        kept, _, weight = engine.pack(value)
        if life.ttl <= 0 or engine.too_large(weight):
            return False
        entry = life.entry(kept, engine.monotonic(), tags, weight)
        done = await self._decide(
            key,
            lambda remote: remote.replace(key, value, wanted, life, tags),
            lambda: engine.memory.replace(key, entry, wanted),
        )
        if done:
            engine.counts.sets += 1
            engine.listeners.tell("set", key)
        return done

    async def touch(self, key: str, ttl: Seconds | None) -> bool:
        """Begin the life of a fresh value again; whether there was one."""
        life = self._engine.freshness.written(ttl)
        if life.ttl <= 0:
            return bool(await self._writes.delete([key]))
        engine = self._engine

        def touch_memory() -> bool:
            with engine.memory.lock:
                old = engine.memory.peek(key)
                if old is None or engine.monotonic() >= old.fresh_until:
                    return False
                entry = life.entry(old.value, engine.monotonic(), old.tags, old.weight)
                return engine.memory.put(key, entry)

        return await self._decide(key, lambda remote: remote.touch(key, life), touch_memory)

    async def _decide(
        self, key: str, shared: Callable[[Remote], Awaitable[bool]], alone: Callable[[], bool]
    ) -> bool:
        engine = self._engine
        if engine.remote is not None:
            with suppress(StoreUnavailableError):
                return await shared(engine.remote)
        return alone()
