"""One attempt at a value: a look into the shared tier, the lease, the loader, and into the tiers with it."""

from __future__ import annotations

from typing import Any

import msgspec

from plughost.contracts import error_line
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.engine import Engine, log
from plughost.plugins.cache.entry import Entry
from plughost.plugins.cache.flight import Flight
from plughost.plugins.cache.load import Load
from plughost.plugins.cache.made import Made, put_away
from plughost.plugins.cache.remote import Found, Lease, Remote, Snapshot


class Attempt(msgspec.Struct):
    """What is known of a value on its way, from the first look to the last store.

    Attributes:
        engine: The cache's parts.
        load: What was asked for.
        flight: Who waits for it.
        remote: The shared tier; None when there is none.
        since: Where the shared clock stood before the load; None when the shared tier did not answer.
        lease: The right to load; None when nobody was asked for it.
        found: What the shared tier had, for the case that the load fails.
    """

    engine: Engine
    load: Load
    flight: Flight
    remote: Remote | None
    since: Snapshot | None = None
    lease: Lease | None = None
    found: Found | None = None

    async def look(self) -> Found | None:
        """Ask the shared tier for the value, then for the lease; returns the answer, None when one has to load."""
        engine, load, remote = self.engine, self.load, self.remote
        if remote is None or not remote.available:
            return None
        try:
            read = await remote.read(load.key)
            found = None if load.forced else read.found
            if found is not None and found.fresh_for > 0:
                engine.take_in(load.key, found, self.flight.since)
                if not self._is_to_be_renewed(found):
                    return found
            if load.forced or not engine.settings.lease:
                lease = Lease(load.key, "-", read.snapshot)
            else:
                patience = 0.0 if found is not None else engine.settings.lease_wait
                lease = await remote.lease(load.key, patience, load.tags)
        except StoreUnavailableError:
            return None
        if lease.found is not None:
            engine.take_in(load.key, lease.found, self.flight.since)
            return lease.found
        if found is not None and not lease.token:  # somebody else loads, and there is something until then
            engine.counts.stale += found.fresh_for <= 0
            return found
        self.found, self.since, self.lease = found, lease.snapshot, lease
        return None

    def _is_to_be_renewed(self, found: Found) -> bool:
        """Return whether a value is loaded again though it is fresh."""
        load = self.load
        if load.renew_at is not None:
            return found.age >= load.renew_at
        share = self.engine.freshness.refresh if load.refresh is None else load.refresh
        return load.background and found.fresh_for <= share * (found.age + found.fresh_for)

    async def make(self) -> Any:
        """Run the loader and store what it made; when it fails, answer with what was kept for bad times."""
        try:
            try:
                value = await self.load.run(self.engine)
            except Exception as error:
                # Return the stale value, or raise the error when there is none; nobody asks the source for a while
                engine, pause = self.engine, self.engine.settings.stale_throttle
                kept = engine.memory.peek(self.load.key) or self.found
                if kept is None:
                    raise error
                log.info(
                    "a stale value is served, because loading failed",
                    cache=engine.name,
                    error=error_line(error),
                )
                self._give_back(hold_for=pause)
                engine.breaker.spare(self.load.key, pause)
                now = engine.monotonic()
                if isinstance(kept, Entry):
                    kept.refresh_at = now + pause
                engine.counts.stale += not isinstance(kept, Entry) or now >= kept.fresh_until
                return kept.value
            token = "" if self.lease is None else self.lease.token
            made = Made(self.engine, self.flight, value, self.load, self.since, token)
            if not made.lasts:
                self._give_back()
            await put_away(self.engine, [made], self.remote)
        except BaseException:
            self._give_back()
            raise
        return made.value

    def _give_back(self, hold_for: float = 0.0) -> None:
        if self.lease is not None and self.remote is not None:
            self.remote.give_back(self.lease, hold_for=hold_for)
