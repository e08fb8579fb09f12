"""Values that are loaded before anybody asks: kept warm, computed each so often, or warmed in bulk.

A timer that refreshes keeps dead keys alive for ever, so what is kept warm is dropped when nobody read it for
a few of its periods. Of those that share a tier whoever finds a key due first loads it, by the lease that any load asks
for; the others find it fresh, and look again when it is due. A job of the fleet would not do: each process has keys and
loaders of its own, and sees its own readers.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, Final

import anyio
import msgspec
from msgspec.structs import replace

from plughost.contracts import WarmEntry, check_function, error_line, items_of
from plughost.plugins.cache.engine import Engine, check_key, log, tags_of
from plughost.plugins.cache.flight import Abandoned, CarrierLost, Flight
from plughost.plugins.cache.freshness import bounded_seconds
from plughost.plugins.cache.load import Load
from plughost.plugins.cache.loading import Loads, lost_once

_WARM_AT: Final = 0.8
"""Share of the time after which a key that is kept warm is loaded again."""

_RENEWED_AT: Final = 0.85
"""Share of its period from which on a value that another process loaded is loaded again here."""


class _Kept(msgspec.Struct):
    """A key that is kept warm or computed periodically.

    Attributes:
        load: How it is loaded.
        period: Seconds between loads.
        due_at: When the next one is due.
        looked_at: When its readers were looked for.
        idle: Periods since somebody read it.
        wanted: Whether it stays although nobody reads it.
        loading: Whether it is being loaded now.
    """

    load: Load
    period: float
    due_at: float
    looked_at: float = -math.inf
    idle: int = 0
    wanted: bool = False
    loading: bool = False


class Warmer:
    """Loads the keys of one cache ahead of time.

    Args:
        engine: The cache's parts.
        loads: Its loads.
        concurrency: How many ``warm_many`` runs at once.
        limit: Seconds one load may take that nobody waits for.
        on_change: Called when reads of other keys have to be noted.
    """

    def __init__(
        self, engine: Engine, loads: Loads, concurrency: int, limit: float, on_change: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._loads = loads
        self._concurrency = concurrency
        self._limit = limit
        self._kept: dict[str, _Kept] = {}
        self._on_change = on_change

    def keys(self) -> tuple[str, ...]:
        """Keys that are kept warm or computed."""
        return tuple(self._kept)

    async def warm(self, load: Load) -> Any:
        """Load now, or wait for whoever is loading; returns the value."""
        return await (await self._landed(load)).wait()

    async def _landed(self, load: Load) -> Flight:
        lost: CarrierLost | None = None
        while True:
            flight, carries = self._engine.flights.join(load.key, load.tags)
            if carries:
                self._engine.home.spawn(self._loads.carry, flight, load, self._engine.remote)
            try:
                await flight.wait()
                return flight
            except Abandoned as end:
                lost = lost_once(end, lost)

    async def warm_many(self, entries: Iterable[WarmEntry], *, forced: bool = True) -> int:
        """Load several, a few at a time; how many are warm.

        Args:
            entries: What to load.
            forced: Whether also those are loaded that are fresh in the shared tier.

        Raises:
            TypeError: Something among them is no ``WarmEntry``.
        """
        wanted = items_of(entries, WarmEntry)
        limiter = anyio.CapacityLimiter(self._concurrency)
        done: list[str] = []

        async def one(entry: WarmEntry) -> None:
            async with limiter:
                try:
                    ttl = None if entry.ttl is None else bounded_seconds(entry.ttl)
                    load = Load(check_key(entry.key), entry.loader, ttl, tags_of(entry.tags), forced=forced)
                except (TypeError, ValueError) as error:
                    log.warning("warming a cache failed", cache=self._engine.name, error=error_line(error))
                    return
                if await self._try_within_limit(load) is not None:
                    done.append(entry.key)

        async with anyio.create_task_group() as group:
            for entry in wanted:
                group.start_soon(one, entry)
        return len(done)

    async def _try_within_limit(self, load: Load) -> Flight | None:
        try:
            with anyio.move_on_after(self._limit):  # whoever carries the load may not let itself be stopped
                return await self._landed(replace(load, limit=self._limit))
        except Exception as error:
            log.warning("warming a cache failed", cache=self._engine.name, error=error_line(error))
            return None
        log.warning("warming a cache took too long", cache=self._engine.name, limit=self._limit)
        return None

    def keep_warm(self, load: Load) -> Callable[[], None]:
        """Load again each time 80 % of the key's time is over."""
        ttl = self._engine.freshness.ttl if load.ttl is None else bounded_seconds(load.ttl)
        if ttl <= 0:
            raise ValueError("what has no time to live cannot be kept warm")
        return self._add(_Kept(load, ttl * _WARM_AT, self._engine.monotonic()))

    def precompute(self, load: Load, period: float) -> Callable[[], None]:
        """Load now and each ``period`` seconds; the value outlives two missed turns."""
        if period <= 0:
            raise ValueError(f"every is above 0, not {period!r}")
        return self._add(_Kept(replace(load, ttl=3 * period), period, self._engine.monotonic(), wanted=True))

    def _add(self, kept: _Kept) -> Callable[[], None]:
        key = kept.load.key
        kept.load = replace(kept.load, renew_at=kept.period * _RENEWED_AT)
        check_function(kept.load.loader, f"the loader of {key!r}")
        self._kept[key] = kept
        self._engine.reads[key] = 1  # the first period needs no reader
        self._on_change()

        def stop() -> None:
            if self._kept.get(key) is kept:
                self._drop(key)

        return stop

    def _drop(self, key: str) -> None:
        del self._kept[key]
        self._engine.reads.pop(key, None)
        self._on_change()

    def due(self) -> list[Callable[[], Awaitable[bool]]]:
        """Return what loads the keys that are due, each with whether it was loaded; asked every two seconds."""
        now = self._engine.monotonic()
        due = [kept for kept in tuple(self._kept.values()) if now >= kept.due_at and not kept.loading]
        begun: list[Callable[[], Awaitable[bool]]] = []

        async def load_kept(kept: _Kept) -> bool:
            try:
                flight = await self._try_within_limit(kept.load)
            finally:
                kept.loading = False
            if flight is None or flight.loaded:
                return flight is not None
            # Another process loaded it; soon again where it is at it now.
            kept.due_at = now + kept.period * max(0.05, 0.95 - flight.age / kept.period)
            return False

        reads = self._engine.reads
        for kept in due:
            if now - kept.looked_at >= kept.period * _RENEWED_AT:
                kept.looked_at = now
                kept.idle = 0 if reads.get(kept.load.key) else kept.idle + 1
                reads[kept.load.key] = 0
            periods = self._engine.settings.idle_periods
            if not kept.wanted and kept.idle >= periods:
                name = self._engine.name
                log.info("a value that nobody reads is not kept warm any more", cache=name, periods=kept.idle)
                self._drop(kept.load.key)
                continue
            kept.due_at = now + kept.period * (1.0 - 0.1 * self._engine.freshness.random())
            kept.loading = True
            begun.append(partial(load_kept, kept))
        return begun
