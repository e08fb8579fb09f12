"""The way of a miss: one flight per key, through the shared tier and the lease to the loader and back.

The load belongs to the cache. Whoever asks waits for the flight; the flight is carried by a task of the
cache, or by the thread of a synchronous caller, for whom the same coroutine is driven without a loop.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio

from plughost.contracts import BatchLoader, Loader, Seconds, call_loader, error_line
from plughost.exceptions import LoadTimeoutError, StoreUnavailableError
from plughost.plugins.cache.circles import carrying
from plughost.plugins.cache.engine import Engine, log
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.flight import Abandoned, Flight
from plughost.plugins.cache.remote import Found, Lease, Parcel, Remote, Snapshot

_MOST_PAUSES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Load:
    """What a caller asked for.

    Attributes:
        key: The key.
        loader: Makes the value.
        ttl: Seconds it lives; None takes the cache's.
        tags: Its tags.
        refresh: Refresh threshold; None takes the cache's.
        stale_for: Seconds it is kept past its time; None takes the cache's.
        blocking: The loader is a plain function that waits: run it in a worker thread.
        background: Nobody waits, there is a value, and it is early: only load if nobody else does.
        forced: Load even if there is a fresh value.
        threaded: Carried by the thread of a synchronous caller.
        limit: Seconds it may take when the cache has no ``load_timeout``; None for any time.
    """

    key: str
    loader: Loader
    ttl: Seconds | None = None
    tags: tuple[str, ...] = ()
    refresh: float | None = None
    stale_for: Seconds | None = None
    blocking: bool = False
    background: bool = False
    forced: bool = False
    threaded: bool = False
    limit: float | None = None


class Loads:
    """Runs the loads of one cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pauses: dict[str, float] = {}  # keys whose loader failed a moment ago, and until when

    async def value_of(self, load: Load) -> Any:
        """Return the value, by whatever is the quickest that is right."""
        while True:
            entry = self._engine.memory.peek(load.key) if self.may_answer() else None
            if entry is not None and self.answers(entry, load):
                return entry.value
            flight, carries = self._engine.flights.join(load.key, load.tags)
            if carries:
                self._engine.home.spawn(self.carry, flight, load, self._engine.remote)
            try:
                value = await self._wait(flight, entry)
            except Abandoned:
                continue
            self.count(flight, carries, load.key)
            return value

    def may_answer(self) -> bool:
        """Whether memory may answer without asking Redis."""
        remote = self._engine.remote
        return remote is None or not remote.available or (self._engine.tiered and remote.coherent)

    def answers(self, entry: Entry, load: Load) -> bool:
        """Whether what is in memory is good enough; begins a refresh when it is about to end."""
        engine = self._engine
        now = engine.monotonic()
        if now < entry.fresh_until:
            engine.counts.hits += 1
            edge = entry.refresh_at if load.refresh is None else entry.fresh_until - load.refresh * entry.ttl
            if now >= edge:
                self.refresh(load)
            return True
        if now < entry.refresh_at:  # a load failed a moment ago: the source is left alone for a while
            self._serve_stale(load.key)
            return True
        return False

    def _serve_stale(self, key: str) -> None:
        counts = self._engine.counts
        counts.hits += 1
        counts.stale += 1
        self._engine.listeners.tell("hit", key, "stale")

    async def _wait(self, flight: Flight, entry: Entry | None) -> Any:
        soft = self._engine.settings.soft_timeout
        if soft is None or entry is None:
            return await flight.wait()
        with anyio.move_on_after(soft):
            return await flight.wait()
        self._serve_stale(flight.key)
        return entry.value

    def count(self, flight: Flight, carried: bool, key: str) -> None:
        """Count how a caller got its answer."""
        counts = self._engine.counts
        if flight.loaded:
            counts.misses += 1
            counts.coalesced += not carried
            self._engine.listeners.tell("miss", key)
        else:
            counts.hits += 1

    def refresh(self, load: Load) -> None:
        """Begin a load in the background unless one is under way; its failure is counted and logged.

        A synchronous caller in front of memory only has no loop to leave it to: there the next reader after
        the end of the value's time loads.
        """
        if load.threaded:
            return
        if self._engine.flights.under_way(load.key) or self._paused(load.key):
            return
        flight, carries = self._engine.flights.join(load.key, load.tags)
        if carries:
            self._engine.counts.refreshes += 1
            early = replace(load, background=True)
            self._engine.home.spawn(self.carry, flight, early, self._engine.remote)

    def _paused(self, key: str) -> bool:
        until = self._pauses.get(key)
        if until is None:
            return False
        if self._engine.monotonic() < until:
            return True
        del self._pauses[key]
        return False

    def _pause(self, key: str, until: float) -> None:
        if len(self._pauses) >= _MOST_PAUSES:
            self._pauses.clear()
        self._pauses[key] = until

    async def carry(self, flight: Flight, load: Load, remote: Remote | None) -> None:
        """Bring a flight to its end, whatever that is."""
        try:
            with carrying([flight]):
                value, loaded = await self._obtain(flight, load, remote)
        except Exception as error:
            if load.background:
                log.info("cache_refresh_failed", cache=self._engine.name, error=error_line(error))
            flight.fail(error)
        except BaseException:
            flight.fail(Abandoned())
            raise
        else:
            flight.finish(value, loaded=loaded)
        finally:
            self._engine.flights.leave(flight)

    async def _obtain(self, flight: Flight, load: Load, remote: Remote | None) -> tuple[Any, bool]:
        lease: Lease | None = None
        found: Found | None = None
        since: Snapshot | None = None
        if remote is not None and remote.available:
            with contextlib.suppress(StoreUnavailableError):
                found, since, lease = await self._ask(flight, load, remote)
        if found is not None and (lease is None or not lease.token):
            if found.fresh_for <= 0:
                self._engine.counts.stale += 1
            return found.value, False
        try:
            return await self._load(flight, load, found, since, lease, remote), True
        except BaseException:
            if lease is not None and remote is not None:
                remote.give_back(lease)
            raise

    async def _ask(
        self, flight: Flight, load: Load, remote: Remote
    ) -> tuple[Found | None, Snapshot, Lease | None]:
        """Look into the shared tier and ask for the lease.

        A value with no lease is the answer. A value with a lease is kept for the case that the load fails.
        """
        engine = self._engine
        found: Found | None = None
        answer = await remote.read(load.key)
        if not load.forced:
            found = answer.found
            if found is not None and found.fresh_for > 0:
                engine.take_in(load.key, found, flight.since)
                if not (load.background and self._due(found, load)):
                    return found, answer.snapshot, None
        if not engine.settings.lease or load.forced:
            return found, answer.snapshot, Lease(load.key, "-", answer.snapshot)
        patience = 0.0 if found is not None else engine.settings.lease_wait
        lease = await remote.lease(load.key, patience, load.tags)
        if lease.found is not None:
            engine.take_in(load.key, lease.found, flight.since)
            return lease.found, lease.snapshot, None
        return found, lease.snapshot, lease

    def _due(self, found: Found, load: Load) -> bool:
        share = self._engine.freshness.refresh if load.refresh is None else load.refresh
        return found.fresh_for <= share * (found.age + found.fresh_for)

    async def _load(
        self,
        flight: Flight,
        load: Load,
        found: Found | None,
        since: Snapshot | None,
        lease: Lease | None,
        remote: Remote | None,
    ) -> Any:
        try:
            value = await self.run(load)
        except Exception as error:
            return self._stale_or_raise(load, found, lease, remote, error)
        return await self._store(flight, load, value, since, lease, remote)

    async def run(self, load: Load) -> Any:
        """Run the loader under its limit, and count."""
        engine = self._engine
        engine.breaker.enter()
        began = engine.monotonic()
        try:
            value = await self._limited(load)
        except Exception as error:
            engine.counts.load_errors += 1
            engine.breaker.failed(error)
            raise
        engine.breaker.succeeded()
        engine.counts.loads += 1
        engine.counts.load_times.append(engine.monotonic() - began)
        return value

    async def _limited(self, load: Load) -> Any:
        limit = self._engine.settings.load_timeout or load.limit
        if limit is None or load.threaded:  # nothing can stop a thread
            return await call_loader(load.loader, blocking=load.blocking and not load.threaded)
        with anyio.move_on_after(limit) as scope:
            return await call_loader(load.loader, blocking=load.blocking)
        if not scope.cancelled_caught:
            raise RuntimeError("unreachable: the scope either returned or was cancelled")
        message = (
            f"the loader of {load.key!r} took longer than {limit:g} s; raise load_timeout or mend the source"
        )
        raise LoadTimeoutError(message, limit=limit)

    def _stale_or_raise(
        self, load: Load, found: Found | None, lease: Lease | None, remote: Remote | None, error: Exception
    ) -> Any:
        """Answer with what was kept for bad times; nobody asks the source again for a while."""
        engine = self._engine
        pause = engine.settings.stale_throttle
        entry = engine.memory.peek(load.key)
        if entry is None and found is None:
            raise error
        log.info("cache_serves_stale", cache=engine.name, error=error_line(error))
        if lease is not None and remote is not None:
            remote.give_back(lease, hold_for=pause)
        self._pause(load.key, engine.monotonic() + pause)
        if entry is not None:
            entry.refresh_at = engine.monotonic() + pause
        now_stale = entry is None or engine.monotonic() >= entry.fresh_until
        engine.counts.stale += now_stale
        return found.value if entry is None and found is not None else entry.value  # type: ignore[union-attr]

    async def _store(
        self,
        flight: Flight,
        load: Load,
        value: Any,
        since: Snapshot | None,
        lease: Lease | None,
        remote: Remote | None,
    ) -> Any:
        engine = self._engine
        life = engine.freshness.loaded(value, load.ttl, load.stale_for, load.refresh)
        kept, payload, weight = engine.pack(value)
        if life.ttl <= 0 or engine.too_large(weight):
            if lease is not None and remote is not None:
                remote.give_back(lease)
            return kept
        if remote is not None and since is not None and payload is not None:
            token = lease.token if lease is not None else ""
            parcel = Parcel(load.key, payload, life, load.tags, since, token)
            try:
                stored = (await remote.write([parcel]))[0]
            except StoreUnavailableError:
                pass
            else:
                self._keep_stored(flight, load, kept, life, weight, stored, remote)
                return kept
        if remote is None or not remote.available:
            self._keep_local(flight, load, kept, life, weight)
        return kept

    def _keep_local(self, flight: Flight, load: Load, value: Any, life: Any, weight: int) -> None:
        engine = self._engine
        if engine.keep(load.key, value, life, load.tags, weight, since=flight.since):
            engine.listeners.tell("set", load.key, "load")
        else:
            engine.counts.discarded += 1

    def _keep_stored(
        self, flight: Flight, load: Load, value: Any, life: Any, weight: int, stored: bool, remote: Remote
    ) -> None:
        engine = self._engine
        if not stored:
            engine.counts.discarded += 1
            return
        engine.listeners.tell("set", load.key, "load")
        if engine.tiered and remote.coherent and not remote.echoes:
            engine.keep(load.key, value, life, load.tags, weight, since=flight.since)

    async def values_of(
        self, keys: Sequence[str], loader: BatchLoader, ttl: Seconds | None, tags: tuple[str, ...]
    ) -> dict[str, Any]:
        """Load several keys: those nobody loads yet in one call, the others by waiting for whoever does."""
        engine = self._engine
        mine: list[Flight] = []
        theirs: list[Flight] = []
        for key in keys:
            flight, carries = engine.flights.join(key, tags)
            (mine if carries else theirs).append(flight)
        if mine:
            engine.home.spawn(self._carry_batch, mine, loader, ttl, tags)
        values: dict[str, Any] = {}
        for flight in mine + theirs:
            try:
                values[flight.key] = await flight.wait()
            except Abandoned:
                continue  # the loader left it out
            self.count(flight, flight in mine, flight.key)
        return values

    async def _carry_batch(
        self, flights: list[Flight], loader: BatchLoader, ttl: Seconds | None, tags: tuple[str, ...]
    ) -> None:
        keys = [flight.key for flight in flights]
        remote = self._engine.remote
        try:
            since = await self._snapshots(keys, remote)
            with carrying(flights):
                made = await self.run(Load(keys[0], lambda: loader(keys)))
            if not isinstance(made, Mapping):
                kind = type(made).__name__
                raise TypeError(
                    f"the loader of get_or_set_many returns a dict of keys and values, not {kind}"
                )
            await self._store_batch(flights, made, ttl, tags, since, remote)
        except Exception as error:
            for flight in flights:
                if not flight.done:
                    flight.fail(error)
        finally:
            for flight in flights:
                if not flight.done:
                    flight.fail(Abandoned())
                self._engine.flights.leave(flight)

    async def _snapshots(self, keys: list[str], remote: Remote | None) -> Mapping[str, Snapshot]:
        if remote is None or not remote.available:
            return {}
        try:
            answers = await remote.read_many(keys)
        except StoreUnavailableError:
            return {}
        return {key: answer.snapshot for key, answer in answers.items()}

    async def _store_batch(
        self,
        flights: list[Flight],
        made: Mapping[str, Any],
        ttl: Seconds | None,
        tags: tuple[str, ...],
        since: Mapping[str, Snapshot],
        remote: Remote | None,
    ) -> None:
        engine = self._engine
        sent: list[tuple[Flight, Any, Any, int, Parcel]] = []
        for flight in flights:
            if flight.key not in made:
                continue
            value = made[flight.key]
            life = engine.freshness.loaded(value, ttl, None, None)
            kept, payload, weight = engine.pack(value)
            if life.ttl > 0 and not engine.too_large(weight):
                if flight.key in since and payload is not None:
                    parcel = Parcel(flight.key, payload, life, tags, since[flight.key])
                    sent.append((flight, kept, life, weight, parcel))
                    continue
                if remote is None or not remote.available:
                    self._keep_local(flight, Load(flight.key, lambda: None, tags=tags), kept, life, weight)
            flight.finish(kept, loaded=True)
        if sent and remote is not None:
            await self._send_batch(sent, tags, remote)

    async def _send_batch(
        self, sent: list[tuple[Flight, Any, Any, int, Parcel]], tags: tuple[str, ...], remote: Remote
    ) -> None:
        try:
            stored: Sequence[bool] | None = await remote.write([parcel for *_, parcel in sent])
        except StoreUnavailableError:
            stored = None
        for place, (flight, kept, life, weight, _) in enumerate(sent):
            load = Load(flight.key, lambda: None, tags=tags)
            if stored is None:
                self._keep_local(flight, load, kept, life, weight)
            else:
                self._keep_stored(flight, load, kept, life, weight, stored[place], remote)
            flight.finish(kept, loaded=True)
