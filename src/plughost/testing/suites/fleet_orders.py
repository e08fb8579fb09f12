# ruff: noqa: D102, S101 - a suite: the names are the sentences, the assertions are the point
"""What every store of a fleet must do with events, members that are drained, and runs that are asked for."""

from __future__ import annotations

import anyio

from plughost.contracts.fleet_store import (
    MOST_EVENTS,
    DrainedMember,
    EventPage,
    RunAsked,
    RunEnd,
    Telling,
    Word,
)
from plughost.testing.suites.fleet_driver import JOB, MINUTE, TTL, DrivenSuite, FleetDriver


class FleetOrdersSuite(DrivenSuite):
    """Part of ``FleetStoreSuite``."""

    async def test_events_have_one_order_for_all_and_are_read_from_any_number_on(
        self, fleet: FleetDriver
    ) -> None:
        store = fleet.store
        for name in ("a", "b"):
            await fleet.join(name, process=name)
        assert (await store.events_after(0, 10)) == EventPage(1, 0)
        assert (await self.tell(fleet, "a", 1, b"one", b"two")) == 2
        assert (await self.tell(fleet, "b", 1, b"three\x00\xff")) == 3
        assert (await self.tell(fleet, "a", 3, b"four")) == 4
        assert await store.events_after(0, 10) == EventPage(1, 4, (b"one", b"two", b"three\x00\xff", b"four"))
        assert await store.events_after(1, 2) == EventPage(2, 4, (b"two", b"three\x00\xff"))
        assert await store.events_after(4, 10) == EventPage(5, 4)
        assert (await fleet.beat("b")).event == 4

    async def test_an_event_that_is_told_twice_is_heard_once(self, fleet: FleetDriver) -> None:
        await fleet.join("a", process="one")
        assert await self.tell(fleet, "a", 1, b"one", b"two") == 2
        assert await self.tell(fleet, "a", 1, b"one", b"two") == 2
        assert await self.tell(fleet, "a", 2, b"two", b"three") == 3
        await fleet.clock.advance(TTL / 1000)
        await fleet.join("a", process="one")
        assert await self.tell(fleet, "a", 3, b"three") == 3
        await fleet.join("a", process="another")
        assert await self.tell(fleet, "a", 1, b"its own") == 4
        assert (await fleet.store.events_after(0, 9)).events == (b"one", b"two", b"three", b"its own")

    async def test_a_stranger_tells_nothing(self, fleet: FleetDriver) -> None:
        incarnation = await fleet.join("a", process="one")
        await fleet.join("a", process="two")
        told = await fleet.store.tell(Telling(member="a", incarnation=incarnation, first=1, events=(b"x",)))
        assert (told.known, told.last) == (False, 0)
        assert (await fleet.store.events_after(0, 9)).events == ()

    async def test_who_joins_is_told_where_the_events_are(self, fleet: FleetDriver) -> None:
        await fleet.join("a", process="one")
        await self.tell(fleet, "a", 1, b"one")
        assert (await fleet.beat("a")).event == 1
        welcome = await fleet.store.join(fleet.greeting("b", process="two"))
        again = await fleet.store.join(fleet.greeting("b", process="two"))
        assert (welcome.event, again.event) == (1, 1)

    async def test_the_oldest_events_make_room_and_the_gap_is_seen(self, fleet: FleetDriver) -> None:
        await fleet.join("a", process="one")
        number, step = 0, 2_000
        while number < MOST_EVENTS + 3:
            step = min(step, MOST_EVENTS + 3 - number)
            batch = (str(number + one + 1).encode() for one in range(step))
            number = await self.tell(fleet, "a", number + 1, *batch)
        page = await fleet.store.events_after(0, 2)
        assert page == EventPage(4, MOST_EVENTS + 3, (b"4", b"5"))
        page = await fleet.store.events_after(MOST_EVENTS, 9)
        assert page.events == tuple(str(MOST_EVENTS + one).encode() for one in (1, 2, 3))

    async def test_who_waits_is_told_whether_it_is_an_event_or_a_step(self, fleet: FleetDriver) -> None:
        await fleet.join("a", process="one")
        words: list[Word] = []

        async def wait() -> None:
            while True:
                words.append(await fleet.store.wait_for_word())

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                number = 0
                while not any(word.event for word in words):
                    number += 1
                    await self.tell(fleet, "a", number, b"x")
                    await anyio.sleep(0.02)
                words.clear()
                while not any(word.step for word in words):
                    await fleet.store.drain("a", b"order")
                    await anyio.sleep(0.02)
                tasks.cancel_scope.cancel()

    async def test_a_drained_member_stays_so_whichever_process_has_its_name(self, fleet: FleetDriver) -> None:
        store = fleet.store
        assert not await store.drain("a", b"order")
        await fleet.join("a")
        await fleet.join("b")
        step = (await fleet.beat("b")).step
        assert await store.drain("b", b"order\x00")
        await fleet.join("b")
        assert (await store.steering()).drains == (DrainedMember("b", b"order\x00"),)
        assert await store.drain("a", b"another")
        assert (await store.steering()).drains == (
            DrainedMember("a", b"another"),
            DrainedMember("b", b"order\x00"),
        )
        assert (await fleet.beat("b")).step == step + 2
        assert await store.drain("b", b"")
        assert await store.drain("a", b"")
        assert (await store.steering()).drains == ()

    async def test_a_drain_is_forgotten_with_the_member(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.store.drain("a", b"order")
        await fleet.store.leave("a", fleet.incarnations["a"])
        await fleet.store.forget("a")
        assert (await fleet.store.steering()).drains == ()
        await fleet.join("a")
        await fleet.store.drain("a", b"order")
        await fleet.clock.advance(90_000)
        await fleet.join("b")
        for _ in range(2):
            await fleet.beat("b")
        assert (await fleet.store.steering()).drains == ()

    async def test_a_run_that_is_asked_for_is_given_to_one_and_no_slot_is_lost_by_it(
        self, fleet: FleetDriver
    ) -> None:
        for name in ("a", "b"):
            await fleet.join(name)
            await fleet.enlist(name)
        slot = await fleet.at_slot("a", "b")
        run = await fleet.claim("a", slot)
        await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        await fleet.clock.advance(3)
        asked = await fleet.store.ask_for_run(JOB)
        assert asked == RunAsked("asked", fleet.now)
        assert await fleet.store.ask_for_run(JOB) == asked
        assert (await fleet.beat("a")).overdue == (await fleet.beat("b")).overdue == (JOB,)
        extra = await fleet.claim("b", slot)
        assert (extra.verdict, extra.slot, extra.attempt) == ("run", asked.slot, 1)
        assert extra.token > run.token
        assert (await fleet.claim("a", slot)).verdict == "taken"
        assert await fleet.store.ask_for_run(JOB) == RunAsked("running")
        await fleet.store.finish(RunEnd(job=JOB, token=extra.token))
        assert (await fleet.beat("a")).overdue == ()
        job = await fleet.job()
        assert (job.slot, job.run_slot, job.starts, job.state) == (slot, asked.slot, 2, "done")
        await fleet.at_slot("a", "b")
        assert (await fleet.claim("a", slot + MINUTE)).verdict == "run"

    async def test_a_run_is_asked_for_where_somebody_has_the_job(self, fleet: FleetDriver) -> None:
        assert await fleet.store.ask_for_run(JOB) == RunAsked("unknown")
        await fleet.join("a")
        await fleet.enlist("a")
        await fleet.enlist("a", definition="")
        assert await fleet.store.ask_for_run(JOB) == RunAsked("nobody")

    async def test_a_run_that_was_asked_for_is_tried_again_as_others_are(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        slot = await fleet.at_slot("a")
        more = {"retries": 1, "retry_pause": 1_000}
        run = await fleet.claim("a", slot, **more)
        await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        asked = await fleet.store.ask_for_run(JOB)
        run = await fleet.claim("a", slot, **more)
        await fleet.store.finish(RunEnd(job=JOB, token=run.token, error="no paper"))
        await fleet.clock.advance(1)
        again = await fleet.claim("a", slot, **more)
        assert (again.verdict, again.slot, again.attempt) == ("run", asked.slot, 2)

    async def tell(self, fleet: FleetDriver, member: str, first: int, *events: bytes) -> int:
        telling = Telling(member=member, incarnation=fleet.incarnations[member], first=first, events=events)
        told = await fleet.store.tell(telling)
        assert told.known
        return told.last
