# ruff: noqa: D102, S101 - for suites: the names are the sentences, the assertions are the point
"""A fleet's store as its suites drive it: members that join, beat and claim in a few words."""

from __future__ import annotations

import time
from typing import Any

import pytest

from plughost.contracts.fleet_store import (
    Beat,
    Claimed,
    Enlisted,
    Enlistment,
    FleetStore,
    Greeting,
    Heard,
    HeldRun,
    JobClaim,
    StoredJob,
    StoredMember,
)
from plughost.testing.clock import FakeClock
from plughost.testing.suites.stores import StoreSuite

TTL = 15_000
MINUTE = 60_000
JOB = "shop:report"


class FleetDriver:
    """A store, and short words for what the tests do with it."""

    def __init__(self, store: FleetStore, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock
        self.incarnations: dict[str, int] = {}

    @property
    def now(self) -> int:
        return round(self.clock.time() * 1000)

    async def join(self, member: str, card: bytes = b"", process: str = "") -> int:
        welcome = await self.store.join(self.greeting(member, card, process))
        self.incarnations[member] = welcome.incarnation
        return welcome.incarnation

    def greeting(self, member: str, card: bytes = b"", process: str = "") -> Greeting:
        return Greeting(member=member, ttl=TTL, card=card, process=process)

    async def beat(self, member: str, *runs: HeldRun, **more: Any) -> Heard:
        incarnation = more.pop("incarnation", self.incarnations[member])
        return await self.store.beat(Beat(member=member, incarnation=incarnation, runs=runs, **more))

    async def enlist(self, member: str, definition: str = "one", job: str = JOB) -> Enlisted:
        return await self.store.enlist(
            Enlistment(
                job=job, member=member, incarnation=self.incarnations[member], definition=definition,
                schedule="every 60 s", following=self.next_slot,
            )
        )  # fmt: skip

    @property
    def next_slot(self) -> int:
        return (self.now // MINUTE + 1) * MINUTE

    async def claim(self, member: str, slot: int, **more: Any) -> Claimed:
        given: dict[str, Any] = {
            "job": JOB, "member": member, "incarnation": self.incarnations[member], "definition": "one",
            "slot": slot, "previous": slot - MINUTE, "following": slot + MINUTE, "lease": TTL,
        }  # fmt: skip
        return await self.store.claim(JobClaim(**(given | more)))

    async def at_slot(self, *keep: str) -> int:
        """Go to the next slot, with these members alive; return it."""
        slot = self.next_slot
        while self.now < slot:
            await self.clock.advance(min(5.0, (slot - self.now) / 1000))
            for member in keep:
                assert (await self.beat(member)).known
        return slot

    async def job(self, key: str = JOB) -> StoredJob:
        view = await self.store.view()
        return next(job for job in view.jobs if job.job == key).at(view.now)

    async def member(self, name: str) -> StoredMember:
        return next(one for one in (await self.store.view()).members if one.member == name)


class DrivenSuite(StoreSuite):
    """The fixtures of the suites of a fleet's store."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Time under the test's hand, at a full second: slots of jobs are counted from there."""
        return FakeClock(start=float(int(time.time())))

    @pytest.fixture
    def fleet(self, store: FleetStore, clock: FakeClock) -> FleetDriver:
        return FleetDriver(store, clock)
