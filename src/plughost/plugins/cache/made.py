"""What loaders made, on its way into the tiers."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.engine import Engine
from plughost.plugins.cache.flight import Flight
from plughost.plugins.cache.load import Load
from plughost.plugins.cache.remote import Parcel, Remote, Snapshot


class Made:
    """A value that a loader made.

    Args:
        engine: The cache's parts.
        flight: The flight that brings it.
        value: What the loader returned.
        load: What was asked for.
        since: Where the shared clock stood when the load began; None when the shared tier did not answer.
        token: Lease to give back with it; empty for none.

    Attributes:
        flight: The flight that brings it.
        value: The value as every tier gives it back.
        lasts: Whether it is kept at all: it has time to live, and is not too large.
        parcel: How it travels to the shared tier; None when it does not.
    """

    __slots__ = ("_engine", "_life", "_weight", "flight", "lasts", "parcel", "value")

    def __init__(
        self,
        engine: Engine,
        flight: Flight,
        value: Any,
        load: Load,
        since: Snapshot | None,
        token: str = "",
    ) -> None:
        life = engine.freshness.loaded(value, load.ttl, load.stale_for, load.refresh)
        self.value, payload, weight = engine.pack(value)
        self.flight = flight
        self.lasts = life.ttl > 0 and not engine.too_large(weight)
        self.parcel: Parcel | None = None
        if since is not None and payload is not None:
            self.parcel = Parcel(flight.key, payload, life, flight.tags, since, token)
        self._engine, self._life, self._weight = engine, life, weight

    def keep_here(self) -> bool:
        """Put it into memory; whether nothing had overtaken it."""
        engine, flight = self._engine, self.flight
        entry = engine.entry(self.value, self._life, flight.tags, self._weight)
        return engine.memory.put(flight.key, entry, since=flight.since)

    def note(self, *, stored: bool) -> None:
        """Count and tell whether it was stored."""
        if stored:
            self._engine.listeners.tell("set", self.flight.key, "load")
        else:
            self._engine.counts.discarded += 1


async def put_away(engine: Engine, made: Sequence[Made], remote: Remote | None) -> None:
    """Put what lasts into the tiers: into the shared one, or, while there is none that answers, into memory."""
    left = [one for one in made if one.lasts]
    sent = {one: one.parcel for one in left if one.parcel is not None}
    if sent and remote is not None:
        with suppress(StoreUnavailableError):
            answers = await remote.write([*sent.values()])
            left = [one for one in left if one.parcel is None]
            for one, stored in zip(sent, answers, strict=True):
                one.note(stored=stored)
                if stored and engine.tiered and remote.coherent and not remote.echoes:
                    one.keep_here()
    if remote is None or not remote.available:
        for one in left:
            one.note(stored=one.keep_here())
