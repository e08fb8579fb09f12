"""Which host runs a slot: each that has the job may ask the store for it, and one is given it."""

from __future__ import annotations

import math
import random
from datetime import UTC, tzinfo

import anyio
from msgspec.structs import replace

from plughost.contracts import (
    Claimed,
    Clock,
    Enlistment,
    FleetJob,
    FleetJobSkipped,
    HeldRun,
    JobClaim,
    JobRun,
    RunEnd,
)
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.fleet.agent import Agent
from plughost.plugins.fleet.kit import CrewKit
from plughost.plugins.fleet.missed import Claim, claim_across_gap, first_claim, slots_between

VOLUNTEERS = 8
"""How many hosts ask for a slot, on average, however many have the job."""

SPREAD = 0.25
"""Seconds over which they ask."""

_PAUSE = 0.5
_SET_BACK = 60.0
_LONGEST_NAP = 60.0


class FleetGate:
    """The ``JobGate`` of one member.

    Args:
        kit: What it works with.
        agent: Knows why no job may run, and tells the store of runs that ended and this host of events.
        zone: The zone in which cron expressions are meant.
    """

    def __init__(self, kit: CrewKit, agent: Agent, zone: tzinfo = UTC) -> None:
        self.zone = zone
        self._store = kit.store
        self._membership = kit.membership
        self._agent = agent
        self._clock = kit.clock
        self._log = kit.log
        self._watches: dict[str, _JobWatch] = {}
        self._closed = False
        kit.membership.on_change(self._poke_all)

    def close(self) -> None:
        """Let everybody ask another gate."""
        self._closed = True
        self._poke_all()

    def overdue(self, jobs: tuple[str, ...]) -> None:
        """Ask for slots of these jobs that others should have claimed."""
        for key in jobs:
            if (watch := self._watches.get(key)) is not None:
                watch.is_overdue = True
                watch.poke.set()

    async def tidy(self) -> None:
        """Take jobs off the list that nobody here asks for any more: their plugin has stopped."""
        running = {run.job for run in self._membership.held}
        for key, watch in list(self._watches.items()):
            idle = self._clock.monotonic() - watch.asked_until
            if watch.asked or key in running or idle < self._membership.ttl:
                continue
            del self._watches[key]
            if watch.incarnation == self._membership.incarnation:
                await self._store.enlist(
                    Enlistment(job=key, member=self._membership.name, incarnation=watch.incarnation)
                )

    async def next_run(self, job: FleetJob) -> JobRun | None:
        """Return when a slot of the job is this host's."""
        watch = self._watches.setdefault(job.key, _JobWatch())
        watch.asked = True
        try:
            while not self._closed:
                try:
                    run = await self._look(job, watch)
                except StoreUnavailableError:
                    await watch.wait(self._clock, _PAUSE)  # the agent says what is wrong
                    continue
                if run is not None:
                    return run
            return None
        finally:
            watch.asked, watch.asked_until = False, self._clock.monotonic()

    async def lost(self, run: JobRun) -> None:
        """Return when the run is not this host's any more."""
        if not run.token:  # it runs by itself
            await anyio.sleep_forever()
        await self._membership.until_lost(run.token)

    def finish(self, run: JobRun, error: str) -> None:
        """Note that a run ended."""
        if run.token and self._membership.release(run.token):
            self._agent.tell_end(RunEnd(job=run.job, token=run.token, error=error[:500]))

    async def _look(self, job: FleetJob, watch: _JobWatch) -> JobRun | None:
        """Wait for something to do, and do it; return a run when that is one."""
        if self._membership.draining:
            await self._leave_to_others(job, watch)
            return None
        if not self._membership.connected:
            return await self._look_while_cut_off(job, watch)
        if hazards := self._agent.hazards:
            if not watch.warned:
                self._log.error("a job of the fleet is not run", job=job.key, reason="; ".join(hazards))
            watch.warned = True
            await watch.wait(self._clock, _LONGEST_NAP)
            return None
        watch.warned = False
        if watch.incarnation != self._membership.incarnation:
            await self._enlist(job, watch)
        now = self._membership.now()
        slot = job.slots.before(now)
        self._warn_of_a_clock_that_was_set_back(job, watch, now)
        if slot <= watch.settled and not watch.is_overdue:
            nap = min(job.slots.after(now) - now, _LONGEST_NAP)
            await watch.wait(self._clock, nap)
            return None
        if not watch.is_overdue:
            # Of many only some ask for a slot that has come, and not all at once.
            others = 1 - 1 / max(1, watch.carriers)
            await self._clock.sleep(random.uniform(0, SPREAD * others))  # noqa: S311  not a secret
            if watch.carriers > VOLUNTEERS and random.random() >= VOLUNTEERS / watch.carriers:  # noqa: S311
                watch.settled = slot
                return None
        watch.is_overdue = False
        return await self._claim(job, watch, first_claim(job, slot, self._membership))

    def _warn_of_a_clock_that_was_set_back(self, job: FleetJob, watch: _JobWatch, now: float) -> None:
        """Say why a job stands still: slots that were given out by a clock that was ahead are not given again."""
        waits = watch.settled - now > _SET_BACK
        if waits and not watch.waits:
            seconds = round(watch.settled - now)
            self._log.warning(
                "a job of the fleet waits: the clock of the fleet's store was set back",
                job=job.key,
                seconds=seconds,
            )
        watch.waits = waits

    async def _leave_to_others(self, job: FleetJob, watch: _JobWatch) -> None:
        """Ask for nothing until this host may take work again; nobody waits for it meanwhile."""
        incarnation, watch.incarnation = watch.incarnation, 0
        if incarnation and incarnation == self._membership.incarnation:
            await self._store.enlist(
                Enlistment(job=job.key, member=self._membership.name, incarnation=incarnation)
            )
        if self._membership.draining:
            await watch.wait(self._clock, math.inf)

    async def _look_while_cut_off(self, job: FleetJob, watch: _JobWatch) -> JobRun | None:
        if job.outage == "closed":
            await watch.wait(self._clock, math.inf)
            return None
        now = self._membership.now()
        slot = max(job.slots.after(now), job.slots.after(watch.ran_alone))
        await watch.wait(self._clock, min(slot - now, _LONGEST_NAP))
        if self._membership.connected or self._closed or self._membership.now() < slot:
            return None
        watch.ran_alone = slot
        return JobRun(job.key, slot)

    async def _enlist(self, job: FleetJob, watch: _JobWatch) -> None:
        mine = self._membership
        incarnation = mine.incarnation
        enlisted = await self._store.enlist(
            Enlistment(
                job=job.key, member=mine.name, incarnation=incarnation, definition=job.definition,
                schedule=job.schedule, following=round(job.slots.after(mine.now()) * 1000),
            )
        )  # fmt: skip
        if enlisted.known:
            if enlisted.new and watch.settled:  # the store has lost everything since
                count = slots_between(job, watch.settled, enlisted.slot / 1000)
                self._tell_of(job.key, enlisted.slot, "missed", count)
            watch.incarnation = incarnation
            watch.settled = enlisted.slot / 1000
            watch.carriers = enlisted.carriers
        else:
            await watch.wait(self._clock, _PAUSE)

    async def _claim(self, job: FleetJob, watch: _JobWatch, claim: Claim) -> JobRun | None:
        mine = self._membership
        asked = JobClaim(
            job=job.key, member=mine.name, incarnation=mine.incarnation, definition=job.definition,
            slot=claim.slot, previous=claim.previous, following=claim.following, lease=mine.lease,
            retries=job.retries, start=claim.start, keep=job.missed == "all",
        )  # fmt: skip
        # To its end, also when the job's plugin stops meanwhile: what the store gave must be given back.
        with anyio.CancelScope(shield=True):
            answer = await self._store.claim(asked)
            if answer.verdict == "gap":
                claim = claim_across_gap(job, claim, answer, mine)
                asked = replace(
                    asked, slot=claim.slot, previous=claim.previous, following=claim.following, start=claim.start,
                    missed=claim.missed, skipped=claim.skipped,
                )  # fmt: skip
                answer = await self._store.claim(asked)
        is_running = answer.verdict == "running"
        if answer.verdict in ("run", "noted") or (is_running and not asked.keep):
            missed = asked.missed + (answer.verdict == "noted")
            for reason, count in (("missed", missed), ("running", asked.skipped + is_running)):
                self._tell_of(asked.job, asked.slot, reason, count)
        return await self._follow(job, watch, asked, answer)

    async def _follow(
        self, job: FleetJob, watch: _JobWatch, asked: JobClaim, answer: Claimed
    ) -> JobRun | None:
        match answer.verdict:
            case "run":
                watch.settled = max(watch.settled, asked.slot / 1000)
                if not self._membership.connected:  # it slept in between: the run is lost already
                    return None
                self._membership.hold(HeldRun(job.key, answer.token))
                return JobRun(job.key, answer.slot / 1000, answer.token, answer.attempt)
            case "early":
                await watch.wait(self._clock, (asked.slot - answer.now) / 1000)
            case "stranger" | "unknown":
                watch.incarnation = 0
                await watch.wait(self._clock, _PAUSE)
            case "running" if asked.keep:
                await watch.wait(self._clock, _PAUSE)
            case "gap":
                await watch.wait(self._clock, 0.0)
            case _:  # taken, noted, old, running: this slot is somebody else's
                watch.settled = max(watch.settled, asked.slot / 1000)
        return None

    def _tell_of(self, job: str, slot: int, reason: str, count: int) -> None:
        if count:
            self._log.warning("slots of a job were left out", job=job, reason=reason, count=count)
            self._agent.tell_event(FleetJobSkipped(job, slot / 1000, reason, count))  # type: ignore[arg-type]

    def _poke_all(self) -> None:
        for watch in self._watches.values():
            watch.poke.set()


class _JobWatch:
    """What is known of one job here."""

    def __init__(self) -> None:
        self.poke = anyio.Event()
        self.incarnation = 0
        self.settled = 0.0
        self.carriers = 1
        self.is_overdue = False
        self.warned = False
        self.waits = False
        self.ran_alone = 0.0
        self.asked = False
        self.asked_until = 0.0

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Return after so long, or when something changed before."""
        async with anyio.create_task_group() as either:

            async def listen() -> None:
                await self.poke.wait()
                either.cancel_scope.cancel()

            either.start_soon(listen)
            await clock.sleep(seconds)
            either.cancel_scope.cancel()
        if self.poke.is_set():
            self.poke = anyio.Event()
