"""The way of a miss: one flight per key, through the shared tier and the lease to the loader and back.

The load belongs to the cache. Whoever asks waits for the flight; the flight is carried by a task of the
cache, or by the thread of a synchronous caller, for whom the same coroutine is driven without a loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import anyio
from msgspec.structs import replace

from plughost.contracts import BatchLoader, Seconds, error_line
from plughost.exceptions import LoadError, StoreUnavailableError
from plughost.plugins.cache.attempt import Attempt
from plughost.plugins.cache.circles import carrying
from plughost.plugins.cache.engine import Engine, log
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.flight import Abandoned, CarrierLost, Flight
from plughost.plugins.cache.load import Load
from plughost.plugins.cache.made import Made, put_away
from plughost.plugins.cache.remote import Remote, Snapshot


class Loads:
    """Runs the loads of one cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def value_of(self, load: Load) -> Any:
        """Return the value, by whatever is the quickest that is right."""
        lost: CarrierLost | None = None
        while True:
            entry = self._engine.memory.peek(load.key) if self.may_answer() else None
            if entry is not None and self.answers(entry, load):
                return entry.value
            flight, carries = self._engine.flights.join(load.key, load.tags)
            if carries:
                self._engine.home.spawn(self.carry, flight, load, self._engine.remote)
            try:
                value = await self._wait(flight, entry)
            except Abandoned as end:
                lost = lost_once(end, lost)
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
        engine = self._engine
        if engine.flights.under_way(load.key) or engine.breaker.spares(load.key):
            return
        flight, carries = engine.flights.join(load.key, load.tags)
        if carries:
            engine.counts.refreshes += 1
            engine.home.spawn(self.carry, flight, replace(load, background=True), engine.remote)

    async def carry(self, flight: Flight, load: Load, remote: Remote | None) -> None:
        """Bring a flight to its end, whatever that is."""
        attempt = Attempt(self._engine, load, flight, remote)
        try:
            with carrying([flight]):
                found = await attempt.look()
                value = await attempt.make() if found is None else found.value
        except Exception as error:
            if load.background:
                log.info("refreshing a cached value failed", cache=self._engine.name, error=error_line(error))
            flight.fail(error)
        except BaseException:
            flight.fail(CarrierLost(flight.key))
            raise
        else:
            flight.finish(value, loaded=found is None, age=0.0 if found is None else found.age)
        finally:
            self._engine.flights.leave(flight)

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
            own = [flight.key for flight in mine]
            engine.home.spawn(self._carry_batch, mine, Load(own[0], lambda: loader(own), ttl, tags))
        values: dict[str, Any] = {}
        lost: list[str] = []
        for flight, carried in [*((one, True) for one in mine), *((one, False) for one in theirs)]:
            try:
                values[flight.key] = await flight.wait()
            except CarrierLost as end:
                if carried:
                    raise LoadError(str(end)) from end
                lost.append(flight.key)
            except Abandoned:
                continue  # the loader left it out
            else:
                self.count(flight, carried, flight.key)
        return values | await self.values_of(lost, loader, ttl, tags) if lost else values

    async def _carry_batch(self, flights: list[Flight], load: Load) -> None:
        engine, remote, returned = self._engine, self._engine.remote, False
        try:
            since = await self._snapshots([flight.key for flight in flights], remote)
            with carrying(flights):
                values = await load.run(engine)
            returned = True
            if not isinstance(values, Mapping):
                kind = type(values).__name__
                raise TypeError(
                    f"the loader of get_or_set_many returns a dict of keys and values, not {kind}"
                )
            made = [
                Made(engine, flight, values[flight.key], load, since.get(flight.key))
                for flight in flights
                if flight.key in values
            ]
            await put_away(engine, made, remote)
            for one in made:
                one.flight.finish(one.value, loaded=True)
        except Exception as error:
            for flight in flights:
                if not flight.done:
                    flight.fail(error)
        finally:
            for flight in flights:
                if not flight.done:
                    flight.fail(Abandoned() if returned else CarrierLost(flight.key))
                engine.flights.leave(flight)

    async def _snapshots(self, keys: list[str], remote: Remote | None) -> Mapping[str, Snapshot]:
        if remote is None or not remote.available:
            return {}
        try:
            answers = await remote.read_many(keys)
        except StoreUnavailableError:
            return {}
        return {key: answer.snapshot for key, answer in answers.items()}


def lost_once(end: Abandoned, before: CarrierLost | None) -> CarrierLost | None:
    """Return how a carrier was lost, now or before: whoever waited begins again, but not for ever.

    Raises:
        LoadError: It is the second one: then it is not its loop that ended, but its loader that ends it.
    """
    if not isinstance(end, CarrierLost):
        return before
    if before is not None:
        raise LoadError(str(end)) from end
    return end
