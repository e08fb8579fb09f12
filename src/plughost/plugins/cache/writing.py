"""Storing, deleting, invalidating: in every tier, memory before Redis and again after it.

Memory first, so that nobody here reads on what is being invalidated; and once more when Redis has answered, which
the shared tier sees to, because between the two somebody may have read the old value there and put it back into
memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio
import anyio.lowlevel

from plughost.contracts import Seconds, call_loader
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.engine import Engine
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.patterns import KeyPattern
from plughost.plugins.cache.remote import Parcel, Remote

_SWEEP = 500


class Writes:
    """What changes one cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._usual = engine.freshness.written(None)

    def set_here(self, key: str, value: Any, ttl: Seconds | None, tags: tuple[str, ...]) -> bool:
        """Store a value in a cache that is ``light``; whether it was stored. What cannot be is removed."""
        engine = self._engine
        life = self._usual if ttl is None else engine.freshness.written(ttl)
        value = engine.taken(value)
        if life.ttl <= 0:
            self._delete_here([key])
            engine.listeners.tell("deleted", key)
            return False
        engine.counts.sets += 1
        engine.memory.put(key, life.entry(value, engine.monotonic(), tags))
        engine.listeners.tell("set", key)
        return True

    async def set_there(self, key: str, value: Any, ttl: Seconds | None, tags: tuple[str, ...]) -> bool:
        """The same in every tier; as ``set_many``, without what several keys need."""
        engine = self._engine
        life = self._usual if ttl is None else engine.freshness.written(ttl)
        value, payload, weight = engine.pack(value)
        if life.ttl <= 0 or engine.too_large(weight):
            await self.delete([key])
            return False
        engine.counts.sets += 1
        remote = engine.remote
        if remote is None:
            return self._keep_here(key, engine.entry(value, life, tags, weight))
        engine.memory.delete(key)
        since = engine.memory.clock.now
        try:
            (fine,) = await remote.write((Parcel(key, payload or b"", life, tags),))
        except StoreUnavailableError:
            return self._keep_here(key, engine.entry(value, life, tags, weight))
        if self._note_sent(key, remote, stored=fine):
            engine.memory.put(key, engine.entry(value, life, tags, weight), since=since)
        return fine

    def _keep_here(self, key: str, entry: Entry) -> bool:
        """Store in memory, where there is no Redis or it is away."""
        self._engine.memory.put(key, entry)
        self._engine.listeners.tell("set", key)
        return True

    def _note_sent(self, key: str, remote: Remote, *, stored: bool) -> bool:
        """Note whether Redis has stored a value; return whether memory keeps it too, which has to be coherent."""
        engine = self._engine
        if not stored:
            engine.counts.refused += 1
            return False
        engine.listeners.tell("set", key)
        return not remote.echoes and remote.coherent and engine.tiered

    async def set_many(self, values: Mapping[str, Any], ttl: Seconds | None, tags: tuple[str, ...]) -> int:
        """Store values; how many were stored. What cannot be is removed, so that nothing old answers."""
        engine = self._engine
        life = engine.freshness.written(ttl)
        packed = {key: engine.pack(value) for key, value in values.items()}
        unfit = {key for key, (_, _, weight) in packed.items() if life.ttl <= 0 or engine.too_large(weight)}
        if unfit:
            await self.delete([key for key in packed if key in unfit])
        fit = {key: packed[key] for key in packed if key not in unfit}
        engine.counts.sets += len(fit)
        if not fit:
            return 0
        remote = engine.remote
        if remote is not None:
            for key in fit:
                engine.memory.delete(key)
            since = engine.memory.clock.now
            parcels = [Parcel(key, payload or b"", life, tags) for key, (_, payload, _) in fit.items()]
            try:
                stored = await remote.write(parcels)
            except StoreUnavailableError:
                for key, (value, _, weight) in fit.items():
                    self._keep_here(key, engine.entry(value, life, tags, weight))
                return len(fit)
            for (key, (value, _, weight)), fine in zip(fit.items(), stored, strict=True):
                if self._note_sent(key, remote, stored=fine):
                    engine.memory.put(key, engine.entry(value, life, tags, weight), since=since)
            return sum(stored)
        for key, (value, _, weight) in fit.items():
            self._keep_here(key, engine.entry(value, life, tags, weight))
        return len(fit)

    async def write_through(
        self,
        key: str,
        value: Any,
        writer: Callable[[Any], Awaitable[object] | object],
        ttl: Seconds | None,
        tags: tuple[str, ...],
    ) -> bool:
        """Write home, then store. Whatever happens, what was cached before is gone."""
        await self.delete([key])
        try:
            await call_loader(writer, value)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.delete([key])  # a reader may have cached the old value meanwhile
            raise
        return bool(await self.set_many({key: value}, ttl, tags))

    async def delete(self, keys: Sequence[str]) -> int:
        """Remove keys; how many had a fresh value."""
        engine = self._engine
        count = self._delete_here(keys)
        if engine.remote is not None:
            with suppress(StoreUnavailableError):  # noted by the tier: it is deleted there when it is back
                count = max(count, await engine.remote.delete(keys))
        for key in keys:
            engine.listeners.tell("deleted", key)
        return count

    def _delete_here(self, keys: Sequence[str]) -> int:
        self._engine.counts.deletes += len(keys)
        return len({key for key in keys if self._engine.memory.delete(key)})

    async def invalidate_tags(self, tags: tuple[str, ...]) -> int:
        """Invalidate by tag; how many entries were in memory."""
        engine = self._engine
        engine.counts.invalidations += 1
        count = len(engine.memory.invalidate_tags(tags))
        if engine.remote is not None:
            with suppress(StoreUnavailableError):
                await engine.remote.invalidate_tags(tags)
        for tag in tags:
            engine.listeners.tell("invalidated", tag, "tag")
        return count

    async def invalidate_matching(self, pattern: KeyPattern) -> int:
        """Invalidate by pattern; how many entries were removed where most were."""
        engine = self._engine
        engine.counts.invalidations += 1
        count = len(engine.memory.invalidate_matching(pattern))
        if engine.remote is not None:
            with suppress(StoreUnavailableError):
                count = max(count, await engine.remote.invalidate_matching(pattern))
        engine.listeners.tell("invalidated", pattern.source, pattern.kind)
        return count

    async def clear(self) -> None:
        """Invalidate everything."""
        engine = self._engine
        engine.counts.invalidations += 1
        engine.memory.clear()
        if engine.remote is not None:
            with suppress(StoreUnavailableError):
                await engine.remote.clear()
        engine.listeners.tell("cleared", "")

    async def cleanup(self) -> int:
        """Remove what is dead in every tier."""
        count = await self.sweep()
        if self._engine.remote is not None:
            with suppress(StoreUnavailableError):
                count += await self._engine.remote.cleanup()
        return count

    async def sweep(self) -> int:
        """Remove what is dead from memory, in slices, so that nobody waits long."""
        engine = self._engine
        keys = engine.memory.policy.keys_now()
        count = 0
        for start in range(0, len(keys), _SWEEP):
            count += engine.memory.sweep(keys[start : start + _SWEEP])
            await anyio.lowlevel.checkpoint()
        return count
