"""The facade: one named cache, whatever tiers are behind it.

The two hit paths, ``get`` and ``get_or_set``, are written out: one look-up, one look at the time, one count.
Everything else is a call away.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from plughost.contracts import (
    BatchLoader,
    CacheEntry,
    CacheEvent,
    CacheEventKind,
    CacheStats,
    ExpectedKey,
    Loader,
    Seconds,
    WarmEntry,
    several,
)
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.amounts import Amounts
from plughost.plugins.cache.conditional import Conditions
from plughost.plugins.cache.engine import Engine, check_key, tags_of
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.freshness import bounded_seconds
from plughost.plugins.cache.listeners import Happening
from plughost.plugins.cache.load import Load
from plughost.plugins.cache.loading import Loads
from plughost.plugins.cache.looking import Looks
from plughost.plugins.cache.patterns import glob, regex
from plughost.plugins.cache.stats import TierFigures
from plughost.plugins.cache.sync import BlockingCache
from plughost.plugins.cache.warmer import Warmer
from plughost.plugins.cache.writing import Writes


class NamedCache:
    """Implements ``plughost.contracts.Cache``; see there for what each method promises.

    Args:
        engine: Its parts.
        warm_concurrency: How many loads ``warm_many`` runs at once.
        warm_timeout: Seconds a load may take that nobody waits for.
    """

    def __init__(self, engine: Engine, *, warm_concurrency: int = 4, warm_timeout: float = 30.0) -> None:
        self._engine = engine
        self._monotonic = engine.monotonic
        self._counts = engine.counts
        self._memory = engine.memory
        self._loads = Loads(engine)
        self._writes = Writes(engine)
        self._amounts = Amounts(engine)
        self._looks = Looks(engine)
        self._conditions = Conditions(engine, self._writes)
        self.warmer = Warmer(engine, self._loads, warm_concurrency, warm_timeout, self.choose_tier)
        self.sync = BlockingCache(engine, self._loads, self._writes, self._looks, self._conditions)
        self._expected: dict[str, None] = {}
        self._find = engine.find

    @property
    def name(self) -> str:
        """Its name."""
        return self._engine.name

    def choose_tier(self) -> None:
        """Called when Redis comes, goes, or is not heard of any more."""
        self._engine.choose_tier()
        wanted = self._engine.listeners.wants("hit")
        self._find = self._find_and_tell if wanted else self._engine.find
        self.sync.follow(self._find)

    def link_changed(self, *, flush: bool) -> None:
        """Called when Redis came or went; ``flush`` when what memory holds may be out of date."""
        if flush and self._engine.remote is not None:
            self._memory.clear()
        self.choose_tier()

    def _find_and_tell(self, key: str) -> Entry | None:
        entry = self._engine.find(key)
        if entry is not None and self._monotonic() < entry.fresh_until:
            self._engine.listeners.tell("hit", key)
        return entry

    # Reading

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the fresh value of ``key``, or ``default``."""
        entry = self._find(key)
        if entry is not None and self._monotonic() < entry.fresh_until:
            self._counts.hits += 1
            return entry.value
        answered, found = await self._engine.ask_remote(check_key(key))
        if answered:
            if found is not None and found.fresh_for > 0:
                return self._hit(key, found.value)
        else:
            entry = self._memory.peek(key)
            if entry is not None and self._monotonic() < entry.fresh_until:
                return self._hit(key, entry.value)
        self._miss(key)
        return default

    def _hit(self, key: str, value: Any) -> Any:
        self._counts.hits += 1
        self._engine.listeners.tell("hit", key)
        return value

    def _miss(self, key: str) -> None:
        self._counts.misses += 1
        self._engine.listeners.tell("miss", key)

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the fresh values there are; one round trip."""
        values, missing = self._look_up(keys)
        if missing:
            values.update(await self._fetch_many(missing))
            for key in missing:
                if key not in values:
                    self._miss(key)
        return values

    def _look_up(self, keys: Iterable[str]) -> tuple[dict[str, Any], list[str]]:
        now = self._monotonic()
        values: dict[str, Any] = {}
        missing: list[str] = []
        for key in dict.fromkeys(several("keys", keys)):
            entry = self._find(key)
            if entry is not None and now < entry.fresh_until:
                values[key] = entry.value
            else:
                missing.append(check_key(key))
        self._counts.hits += len(values)
        return values, missing

    async def _fetch_many(self, keys: list[str]) -> dict[str, Any]:
        remote = self._engine.remote
        if remote is None or not remote.available:
            return {}
        since = self._memory.clock.now
        try:
            answers = await remote.read_many(keys)
        except StoreUnavailableError:
            return {
                key: self._hit(key, entry.value)
                for key in keys
                if (entry := self._memory.peek(key)) is not None and self._monotonic() < entry.fresh_until
            }
        values = {}
        for key, answer in answers.items():
            if answer.found is not None and answer.found.fresh_for > 0:
                self._engine.take_in(key, answer.found, since)
                values[key] = self._hit(key, answer.found.value)
        return values

    async def exists(self, key: str) -> bool:
        """Whether a fresh value is there; counts as neither hit nor miss."""
        return await self._looks.exists(check_key(key))

    async def entry(self, key: str) -> CacheEntry | None:
        """Return the value with its age, time left, tier and staleness; None when nothing is kept."""
        return await self._looks.entry(check_key(key))

    # Loading

    async def get_or_set(
        self,
        key: str,
        loader: Loader,
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
        *,
        refresh_threshold: float | None = None,
        stale_for: Seconds | None = None,
        blocking: bool = False,
    ) -> Any:
        """Return the value of ``key``; on a miss let one loader run make it for all who ask."""
        entry = self._find(key)
        if (
            entry is not None
            and refresh_threshold is None
            and self._monotonic() < entry.refresh_at <= entry.fresh_until
        ):
            self._counts.hits += 1
            return entry.value
        load = Load(check_key(key), loader, ttl, tags_of(tags), refresh_threshold, stale_for, blocking)
        return await self._loads.value_of(load)

    async def get_or_set_entry(
        self,
        key: str,
        loader: Loader,
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
        *,
        refresh_threshold: float | None = None,
        stale_for: Seconds | None = None,
        blocking: bool = False,
    ) -> CacheEntry:
        """The same, with the value's age, time left, tier and staleness."""
        value = await self.get_or_set(
            key,
            loader,
            ttl,
            tags,
            refresh_threshold=refresh_threshold,
            stale_for=stale_for,
            blocking=blocking,
        )
        return await self._looks.entry_of(key, value, tags_of(tags))

    async def get_or_set_many(
        self, keys: Iterable[str], loader: BatchLoader, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The same for several keys: one loader call for all that are missing and not being loaded."""
        wanted = tuple(dict.fromkeys(several("keys", keys)))
        values, missing = self._look_up(wanted)
        if missing:
            values.update(await self._fetch_many(missing))
            missing = [key for key in missing if key not in values]
        if missing:
            values.update(await self._loads.values_of(missing, loader, ttl, tags_of(tags)))
        return {key: values[key] for key in wanted if key in values}

    # Writing: see ``writing``

    async def set(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value; no load under way will overwrite it."""
        if self._engine.light:
            return self._writes.set_here(check_key(key), value, ttl, tags_of(tags) if tags else ())
        return await self._writes.set_there(check_key(key), value, ttl, tags_of(tags) if tags else ())

    async def set_many(
        self, values: Mapping[str, Any], ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> int:
        """Store several values in one round trip; returns how many were stored."""
        return await self._writes.set_many(
            {check_key(key): values[key] for key in values}, ttl, tags_of(tags)
        )

    async def add(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value if no fresh one is there; whether it was stored."""
        return await self._conditions.add(check_key(key), value, ttl, tags_of(tags))

    async def touch(self, key: str, ttl: Seconds | None = None) -> bool:
        """Begin the life of a fresh value again; whether there was one."""
        return await self._conditions.touch(check_key(key), ttl)

    async def compare_and_set(
        self, key: str, expected: Any, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> bool:
        """Store a value if the fresh one that is there equals ``expected``; whether it was stored."""
        return await self._conditions.compare_and_set(check_key(key), expected, value, ttl, tags_of(tags))

    async def write_through(
        self,
        key: str,
        value: Any,
        writer: Callable[[Any], Awaitable[object] | object],
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
    ) -> bool:
        """Write the value to its home by ``writer(value)``, then store it."""
        return await self._writes.write_through(check_key(key), value, writer, ttl, tags_of(tags))

    async def delete(self, key: str) -> bool:
        """Remove a key and let no load under way bring it back."""
        return bool(await self._writes.delete([check_key(key)]))

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Remove several keys; how many had a fresh value."""
        return await self._writes.delete([check_key(key) for key in dict.fromkeys(several("keys", keys))])

    async def invalidate_tag(self, *tags: str) -> int:
        """Invalidate every entry with one of the tags; how many were in memory."""
        return await self._writes.invalidate_tags(tags_of(tags))

    async def invalidate_glob(self, pattern: str) -> int:
        """Invalidate keys by shell pattern."""
        return await self._writes.invalidate_matching(glob(pattern))

    async def invalidate_regex(self, pattern: str) -> int:
        """Invalidate keys by regular expression, matched from the key's beginning."""
        return await self._writes.invalidate_matching(regex(pattern))

    async def clear(self) -> None:
        """Invalidate everything in this cache, and nothing else."""
        await self._writes.clear()

    async def cleanup(self) -> int:
        """Remove what is past its time; how many entries that were."""
        return await self._writes.cleanup()

    async def sweep(self) -> int:
        """Remove what is past its time from memory only; how many entries that were."""
        return await self._writes.sweep()

    # Counters and sets: see ``amounts``

    async def increment(self, key: str, by: int = 1, ttl: Seconds | None = None) -> int:
        """Add to an integer, 0 when it is not there; returns the sum."""
        return await self._amounts.increment(check_key(key), by, ttl)

    async def set_add(self, key: str, *members: Any, ttl: Seconds | None = None) -> int:
        """Add to a set; how many were new."""
        return await self._amounts.change_set(check_key(key), frozenset(members), ttl, add=True)

    async def set_remove(self, key: str, *members: Any) -> int:
        """Remove from a set; how many were there."""
        return await self._amounts.change_set(check_key(key), frozenset(members), None, add=False)

    async def set_members(self, key: str) -> frozenset[Any]:
        """Return the members of a set; empty when it is not there."""
        return self._amounts.members(await self.get(key))

    # Keeping warm: see ``warmer``

    async def warm(
        self, key: str, loader: Loader, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> Any:
        """Load now, whether or not the value is there; returns it."""
        return await self.warmer.warm(Load(check_key(key), loader, ttl, tags_of(tags), forced=True))

    async def warm_many(self, entries: Iterable[WarmEntry]) -> int:
        """Load several, a few at a time; how many were loaded."""
        return await self.warmer.warm_many(entries)

    def keep_warm(
        self, key: str, loader: Loader, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> Callable[[], None]:
        """Load the key again each time 80 % of its time is over, until nobody reads it any more."""
        return self.warmer.keep_warm(Load(check_key(key), loader, ttl, tags_of(tags)))

    def precompute(
        self, key: str, loader: Loader, every: Seconds, tags: Iterable[str] = ()
    ) -> Callable[[], None]:
        """Load the key now and each ``every`` seconds, read or not."""
        period = bounded_seconds(every, "every")
        return self.warmer.precompute(Load(check_key(key), loader, tags=tags_of(tags)), period)

    # Looking

    def expect(self, *keys: str) -> None:
        """Say that these keys should be there."""
        self._expected.update(dict.fromkeys(check_key(key) for key in keys))

    async def expected(self) -> list[ExpectedKey]:
        """Return what was expected or kept warm, and whether it is there."""
        return [
            await self._looks.expected(key) for key in dict.fromkeys([*self._expected, *self.warmer.keys()])
        ]

    async def keys(self, limit: int = 1000) -> list[str]:
        """Return some of the keys; for looking, never for deciding."""
        return await self._looks.keys(limit)

    def on(self, kind: CacheEventKind, callback: Callable[[CacheEvent], object]) -> Callable[[], None]:
        """Call ``callback(event)`` when it happens; returns a function that stops it."""
        stop = self._engine.listeners.on(kind, callback)
        self.choose_tier()

        def stop_and_forget() -> None:
            stop()
            self.choose_tier()

        return stop_and_forget

    def stats(self) -> CacheStats:
        """Return the figures."""
        engine = self._engine
        backend = "memory" if engine.remote is None else "tiered" if engine.tiered else engine.remote.kind
        tiers = TierFigures(
            backend=backend,
            available=engine.remote is None or engine.remote.available,
            entries=len(engine.memory),
            bytes=engine.memory.bytes,
            age=engine.memory.oldest_age(),
            away=self._away(),
        )
        return engine.counts.report(engine.name, self._monotonic(), tiers)

    def _away(self) -> float:
        remote = self._engine.remote
        return 0.0 if remote is None else remote.away()

    def tell_everything(self, to: Callable[[Happening], object] | None) -> None:
        """Tell somebody, or nobody, what happens from now on."""
        self._engine.listeners.everything = to

    def count_lost_event(self) -> None:
        """Nobody took an event of this cache in time."""
        self._counts.lost_events += 1

    def reset_stats(self) -> None:
        """Count from zero again."""
        self._counts.reset(self._monotonic(), self._away())

    def __repr__(self) -> str:
        return f"<cache {self.name!r}>"
