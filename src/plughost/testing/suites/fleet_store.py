# ruff: noqa: D102, S101 - a suite: the names are the sentences, the assertions are the point
"""What every store of a fleet must do.

Yours is right when this class passes for it::

    class TestMyStore(FleetStoreSuite):
        @pytest.fixture
        async def store(self, clock):
            store = MyStore(now=clock.time)
            await store.open()
            yield store
            await store.close()

Run it on the event loops your store works on, by way of the ``anyio_backend`` fixture.
"""

from __future__ import annotations

import anyio

from plughost.contracts.fleet_store import (
    MOST_REVISIONS,
    OVERDUE_AFTER,
    Claimed,
    Enlistment,
    Greeting,
    HeldRun,
    NextStep,
    Proposal,
    Proposed,
    RunEnd,
    Steering,
)
from plughost.testing.suites.fleet_driver import JOB, MINUTE, TTL, FleetDriver
from plughost.testing.suites.fleet_orders import FleetOrdersSuite


class FleetStoreSuite(FleetOrdersSuite):
    """Subclass it and give it a ``store`` fixture that opens and closes yours, empty."""

    async def test_who_joins_is_a_member_until_its_time_to_live_is_over(self, fleet: FleetDriver) -> None:
        await fleet.join("a", b"card")
        heard = await fleet.beat("a")
        assert (heard.known, heard.members, heard.now) == (True, 1, fleet.now)
        found = await fleet.member("a")
        assert (found.card, found.lives(fleet.now), found.expires) == (b"card", True, fleet.now + TTL)
        await fleet.clock.advance(TTL / 1000)
        assert not (await fleet.member("a")).lives(fleet.now)
        assert not (await fleet.beat("a")).known

    async def test_a_beat_prolongs_the_life_of_a_member_and_of_no_other(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.join("b")
        for _ in range(3):
            await fleet.clock.advance(6)
            heard = await fleet.beat("a")
        assert (heard.known, heard.members) == (True, 1)
        assert not (await fleet.beat("b")).known

    async def test_a_process_that_takes_a_name_makes_the_one_before_a_stranger(
        self, fleet: FleetDriver
    ) -> None:
        first = await fleet.join("a")
        welcome = await fleet.store.join(Greeting(member="a", ttl=TTL))
        assert welcome.incarnation > first
        assert welcome.replaced
        assert not (await fleet.beat("a", incarnation=first)).known
        await fleet.store.leave("a", first)
        assert (await fleet.beat("a", incarnation=welcome.incarnation)).known

    async def test_a_process_that_joins_twice_stays_what_it_is(self, fleet: FleetDriver) -> None:
        first = await fleet.join("a", b"card", "one")
        await fleet.enlist("a")
        run = await fleet.claim("a", await fleet.at_slot("a"))
        roster = (await fleet.beat("a")).roster
        again = await fleet.store.join(Greeting(member="a", ttl=TTL, card=b"newer", process="one"))
        assert (again.incarnation, again.replaced) == (first, False)
        heard = await fleet.beat("a", HeldRun(JOB, run.token))
        assert (heard.known, heard.roster, heard.lost_runs) == (True, roster, ())
        assert (await fleet.member("a")).card == b"newer"
        assert (await fleet.claim("a", await fleet.at_slot("a"))).verdict != "stranger"

    async def test_a_process_that_was_lost_or_replaced_joins_as_another_and_one_that_left_does_not_come_back(
        self, fleet: FleetDriver
    ) -> None:
        first = await fleet.join("a", process="one")
        await fleet.clock.advance(TTL / 1000)
        second = await fleet.join("a", process="one")
        third = await fleet.join("a", process="two")
        fourth = await fleet.join("a", process="one")
        assert first < second < third < fourth
        await fleet.store.leave("a", fourth)
        assert await fleet.join("a", process="one") == fourth
        assert not (await fleet.beat("a")).known
        assert await fleet.join("a", process="three") > fourth

    async def test_incarnations_grow_also_where_the_clock_was_set_back(self, fleet: FleetDriver) -> None:
        first = await fleet.join("a")
        fleet.clock.jump(-3600)
        assert await fleet.join("a") > first

    async def test_who_leaves_is_no_member_and_is_remembered_as_gone(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.store.leave("a", fleet.incarnations["a"])
        assert not (await fleet.beat("a")).known
        found = await fleet.member("a")
        assert (found.gone, found.lives(fleet.now)) == (fleet.now, False)

    async def test_the_roster_grows_when_a_member_joins_leaves_changes_or_is_lost(
        self, fleet: FleetDriver
    ) -> None:
        await fleet.join("a")
        seen = [(await fleet.beat("a")).roster]
        await fleet.join("b")
        seen.append((await fleet.beat("a")).roster)
        assert await fleet.store.describe("b", fleet.incarnations["b"], b"new")
        seen.append((await fleet.beat("a")).roster)
        await fleet.store.leave("b", fleet.incarnations["b"])
        seen.append((await fleet.beat("a")).roster)
        await fleet.join("c")
        seen.append((await fleet.beat("a")).roster)
        await fleet.clock.advance(10)
        assert (await fleet.beat("a")).roster == seen[-1]
        await fleet.clock.advance(6)
        seen.append((await fleet.beat("a")).roster)
        assert seen == sorted(set(seen))

    async def test_a_beat_tells_when_the_next_member_would_be_lost(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        first = fleet.now + TTL
        await fleet.clock.advance(4)
        await fleet.join("b")
        assert (await fleet.beat("b")).expires == first

    async def test_a_strangers_card_counts_for_nothing(self, fleet: FleetDriver) -> None:
        old = await fleet.join("a", b"old")
        await fleet.join("a", b"new")
        assert not await fleet.store.describe("a", old, b"stale")
        assert (await fleet.member("a")).card == b"new"

    async def test_what_a_beat_says_is_seen(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.beat("a", ready=True, draining=True, applied=7)
        found = await fleet.member("a")
        assert (found.ready, found.draining, found.applied) == (True, True, 7)
        await fleet.beat("a", ready=False)
        found = await fleet.member("a")
        assert (found.ready, found.draining, found.applied) == (False, False, 0)

    async def test_how_often_calls_failed_is_seen(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        given = {"calls": 10**9, "failures": 7, "calls_before": 20, "failures_before": 3}
        await fleet.beat("a", HeldRun("shop:none", 1), **given)
        found = await fleet.member("a")
        assert {name: getattr(found, name) for name in given} == given
        await fleet.beat("a")
        assert (await fleet.member("a")).calls == 0

    async def test_only_who_does_not_live_is_forgotten(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        assert not await fleet.store.forget("a")
        await fleet.store.leave("a", fleet.incarnations["a"])
        assert await fleet.store.forget("a")
        assert not await fleet.store.forget("a")
        assert (await fleet.store.view()).members == ()

    async def test_who_has_been_away_for_a_day_is_dropped(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.clock.advance(90_000)
        await fleet.join("b")
        await fleet.beat("b")
        await fleet.beat("b")
        assert [one.member for one in (await fleet.store.view()).members] == ["b"]

    async def test_a_slot_is_given_to_one_of_those_who_ask(self, fleet: FleetDriver) -> None:
        for name in ("a", "b"):
            await fleet.join(name)
            await fleet.enlist(name)
        slot = await fleet.at_slot("a", "b")
        first = await fleet.claim("b", slot)
        assert (first.verdict, first.slot, first.attempt) == ("run", slot, 1)
        assert (await fleet.claim("a", slot)).verdict == "taken"
        assert (await fleet.claim("b", slot)).verdict == "taken"
        assert (await fleet.job()).starts == 1

    async def test_a_slot_is_given_once_however_many_ask_at_the_same_moment(self, fleet: FleetDriver) -> None:
        names = [f"m{number}" for number in range(8)]
        for name in names:
            await fleet.join(name)
            await fleet.enlist(name)
        slot = await fleet.at_slot(*names)
        answers: list[Claimed] = []

        async def ask(name: str) -> None:
            answers.append(await fleet.claim(name, slot))

        async with anyio.create_task_group() as tasks:
            for name in names:
                tasks.start_soon(ask, name)
        assert sorted(answer.verdict for answer in answers) == ["run"] + ["taken"] * 7

    async def test_tokens_grow_from_run_to_run_over_all_jobs(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        await fleet.enlist("a", job="shop:other")
        tokens = []
        for _ in range(3):
            slot = await fleet.at_slot("a")
            for job in (JOB, "shop:other"):
                answer = await fleet.claim("a", slot, job=job)
                tokens.append(answer.token)
                assert await fleet.store.finish(RunEnd(job=job, token=answer.token))
        assert tokens == sorted(set(tokens))

    async def test_a_slot_that_has_not_come_is_refused(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        assert (await fleet.claim("a", fleet.next_slot)).verdict == "early"
        assert (await fleet.job()).starts == 0

    async def test_a_new_job_begins_with_its_next_slot(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        enlisted = await fleet.enlist("a")
        assert (enlisted.slot, enlisted.carriers, enlisted.new) == (fleet.now, 1, True)
        assert not (await fleet.enlist("a")).new
        past = fleet.now // MINUTE * MINUTE
        assert (await fleet.claim("a", past)).verdict == "taken"

    async def test_only_members_that_have_the_job_are_its_carriers(self, fleet: FleetDriver) -> None:
        for name in ("a", "b", "c"):
            await fleet.join(name)
        await fleet.enlist("a")
        assert (await fleet.enlist("b")).carriers == 2
        await fleet.enlist("b", definition="")
        assert (await fleet.enlist("a")).carriers == 1
        await fleet.enlist("c")
        await fleet.store.leave("c", fleet.incarnations["c"])
        assert (await fleet.enlist("a")).carriers == 1
        await fleet.join("b")
        assert (await fleet.enlist("a")).carriers == 1

    async def test_strangers_and_unknown_jobs_are_told_so(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        slot = await fleet.at_slot("a")
        assert (await fleet.claim("a", slot)).verdict == "unknown"
        await fleet.enlist("a")
        slot = await fleet.at_slot("a")
        assert (await fleet.claim("a", slot, definition="other")).verdict == "unknown"
        old = fleet.incarnations["a"]
        await fleet.join("a")
        assert (await fleet.claim("a", slot, incarnation=old)).verdict == "stranger"
        assert not (await fleet.store.enlist(Enlistment(job=JOB, member="a", incarnation=old))).known
        await fleet.clock.advance(TTL / 1000)
        assert (await fleet.claim("a", slot)).verdict == "stranger"

    async def test_a_slot_that_finds_the_job_running_is_skipped_and_counted(self, fleet: FleetDriver) -> None:
        for name in ("a", "b"):
            await fleet.join(name)
            await fleet.enlist(name)
        slot = await fleet.at_slot("a", "b")
        run = await fleet.claim("a", slot, lease=10 * MINUTE)
        slot = await fleet.at_slot("a", "b")
        assert (await fleet.claim("b", slot)).verdict == "running"
        assert (await fleet.claim("b", slot)).verdict == "taken"
        job = await fleet.job()
        assert (job.skipped, job.starts, job.token, job.run_slot) == (1, 1, run.token, slot - MINUTE)
        assert await fleet.store.finish(RunEnd(job=JOB, token=run.token))

    async def test_a_slot_that_is_kept_waits_for_the_run_before(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        run = await fleet.claim("a", await fleet.at_slot("a"), lease=10 * MINUTE)
        slot = await fleet.at_slot("a")
        assert (await fleet.claim("a", slot, keep=True)).verdict == "running"
        await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        assert (await fleet.claim("a", slot, keep=True)).verdict == "run"
        assert (await fleet.job()).skipped == 0

    async def test_the_end_of_a_run_is_noted_once(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        run = await fleet.claim("a", await fleet.at_slot("a"))
        assert (await fleet.job()).state == "running"
        assert await fleet.store.finish(RunEnd(job=JOB, token=run.token, error="no paper"))
        assert not await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        job = await fleet.job()
        assert (job.state, job.error, job.failures, job.ended) == ("failed", "no paper", 1, fleet.now)

    async def test_a_run_whose_host_is_not_heard_of_is_lost_and_its_late_end_refused(
        self, fleet: FleetDriver
    ) -> None:
        for name in ("a", "b"):
            await fleet.join(name)
            await fleet.enlist(name)
        run = await fleet.claim("a", await fleet.at_slot("a", "b"))
        slot = await fleet.at_slot("b")
        assert not await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        job = await fleet.job()
        assert (job.state, job.failures, job.error) == ("lost", 1, "a was lost while it ran")
        taken_over = await fleet.claim("b", slot)
        assert taken_over.verdict == "run"
        assert not await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        assert (await fleet.job()).token == taken_over.token > run.token
        assert (await fleet.job()).failures == 1

    async def test_beats_keep_a_run_and_tell_when_it_is_lost(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        run = await fleet.claim("a", await fleet.at_slot("a"))
        held = HeldRun(JOB, run.token)
        for _ in range(5):
            await fleet.clock.advance(10)
            assert (await fleet.beat("a", held, lease=TTL)).lost_runs == ()
        assert (await fleet.job()).state == "running"
        await fleet.clock.advance(10)
        assert (await fleet.beat("a")).known
        await fleet.clock.advance(10)
        assert (await fleet.beat("a", held)).lost_runs == (run.token,)
        assert (await fleet.beat("a", HeldRun("no:job", 5))).lost_runs == (5,)

    async def test_a_failed_slot_is_given_again_as_often_as_was_said(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        slot = await fleet.at_slot("a")
        more = {"retries": 2, "retry_pause": 4_000}
        tokens = []
        for attempt in (1, 2, 3):
            run = await fleet.claim("a", slot, **more)
            assert (run.verdict, run.slot, run.attempt) == ("run", slot, attempt)
            tokens.append(run.token)
            await fleet.store.finish(RunEnd(job=JOB, token=run.token, error="again"))
            assert (await fleet.claim("a", slot, **more)).verdict == "taken"
            await fleet.clock.advance(4)
            assert ((await fleet.beat("a")).overdue == (JOB,)) is (attempt < 3)
        assert (await fleet.claim("a", slot, **more)).verdict == "taken"
        assert tokens == sorted(set(tokens))

    async def test_a_lost_slot_is_given_again_only_where_that_was_said(self, fleet: FleetDriver) -> None:
        for name in ("a", "b"):
            await fleet.join(name)
            for job in (JOB, "shop:once"):
                await fleet.enlist(name, job=job)
        slot = await fleet.at_slot("a", "b")
        await fleet.claim("a", slot, retries=1)
        await fleet.claim("a", slot, job="shop:once")
        for _ in range(2):
            await fleet.clock.advance(8)
            heard = await fleet.beat("b")
        assert heard.overdue == (JOB,)
        again = await fleet.claim("b", slot, retries=1)
        assert (again.verdict, again.slot, again.attempt) == ("run", slot, 2)
        assert (await fleet.claim("b", slot, job="shop:once")).verdict == "taken"

    async def test_slots_that_passed_are_a_gap_until_they_are_accounted_for(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        run = await fleet.claim("a", await fleet.at_slot("a"))
        await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        ended = fleet.now
        for _ in range(3):
            slot = await fleet.at_slot("a")
        asked = await fleet.claim("a", slot)
        assert (asked.verdict, asked.slot, asked.ended) == ("gap", slot - 3 * MINUTE, ended)
        answer = await fleet.claim("a", slot, previous=asked.slot, missed=1, skipped=1)
        assert answer.verdict == "run"
        job = await fleet.job()
        assert (job.missed, job.skipped, job.starts) == (1, 1, 2)

    async def test_slots_that_two_members_account_for_are_counted_once(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        known = (await fleet.job()).slot
        for _ in range(3):
            slot = await fleet.at_slot("a")
        await fleet.claim("a", slot, previous=known, missed=2)
        await fleet.join("b")
        await fleet.enlist("b")
        later = await fleet.at_slot("b")
        answer = await fleet.claim("b", later, previous=known, missed=3)
        assert (answer.verdict, answer.slot) == ("gap", slot)
        assert (await fleet.job()).missed == 2

    async def test_a_slot_can_be_accounted_for_without_a_start(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.enlist("a")
        slot = await fleet.at_slot("a")
        known = (await fleet.job()).slot
        assert (await fleet.claim("a", slot, previous=known, start=False, missed=2)).verdict == "noted"
        assert (await fleet.claim("a", slot)).verdict == "taken"
        job = await fleet.job()
        assert (job.missed, job.starts, job.state) == (3, 0, "")

    async def test_the_newest_definition_that_a_member_has_wins(self, fleet: FleetDriver) -> None:
        for name in ("a", "b"):
            await fleet.join(name)
            await fleet.enlist(name)
        await fleet.enlist("b", definition="two")
        slot = await fleet.at_slot("a", "b")
        assert (await fleet.claim("a", slot)).verdict == "old"
        assert (await fleet.claim("b", slot, definition="two")).verdict == "run"
        await fleet.enlist("b", definition="one")
        await fleet.store.finish(RunEnd(job=JOB, token=(await fleet.job()).token))
        slot = await fleet.at_slot("a", "b")
        assert (await fleet.claim("a", slot)).verdict == "run"

    async def test_a_job_that_nobody_claims_is_overdue_for_those_who_have_it(
        self, fleet: FleetDriver
    ) -> None:
        await fleet.join("a")
        await fleet.join("b")
        await fleet.enlist("a")
        slot = await fleet.at_slot("a", "b")
        assert (await fleet.beat("a")).overdue == ()
        await fleet.clock.advance(OVERDUE_AFTER / 1000)
        assert (await fleet.beat("a")).overdue == (JOB,)
        assert (await fleet.beat("b")).overdue == ()
        run = await fleet.claim("a", slot)
        assert (await fleet.beat("a")).overdue == ()
        await fleet.store.finish(RunEnd(job=JOB, token=run.token))
        assert (await fleet.beat("a")).overdue == ()

    async def test_of_jobs_that_are_overdue_those_are_named_that_wait_longest_however_many_others_have(
        self, fleet: FleetDriver
    ) -> None:
        for name in ("a", "b"):
            await fleet.join(name)
        for number in range(70):
            await fleet.enlist("b", job=f"others:{number}")
        await fleet.enlist("a", job="mine:z")
        await fleet.at_slot("a", "b")
        for number in range(9):
            await fleet.enlist("a", job=f"mine:{number}")
        await fleet.at_slot("a", "b")
        await fleet.clock.advance(OVERDUE_AFTER / 1000)
        named = (await fleet.beat("a")).overdue
        assert named == ("mine:z", *(f"mine:{number}" for number in range(7)))

    async def test_everything_is_seen_at_one_moment_by_name(self, fleet: FleetDriver) -> None:
        for name in ("b", "a"):
            await fleet.join(name)
            await fleet.enlist(name, job=f"shop:{name}")
        view = await fleet.store.view()
        assert [one.member for one in view.members] == ["a", "b"]
        assert [one.job for one in view.jobs] == ["shop:a", "shop:b"]
        assert view.jobs[0].schedule == "every 60 s"
        assert (view.now, view.epoch) == (fleet.now, (await fleet.beat("a")).epoch)

    async def test_a_revision_takes_the_place_of_the_one_that_was_expected_and_of_no_other(
        self, fleet: FleetDriver
    ) -> None:
        await fleet.join("a")
        assert (await fleet.beat("a")).step == 0
        store = fleet.store
        assert await store.steering() == Steering()
        assert await store.propose(Proposal(number=1, expect=0, document=b"one")) == Proposed(
            accepted=True, newest=1
        )
        for number, expect in ((1, 0), (2, 0), (1, 1), (7, 5)):
            refused = await store.propose(Proposal(number=number, expect=expect, document=b"no"))
            assert refused == Proposed(accepted=False, newest=1)
        assert (await store.propose(Proposal(number=5, expect=1, document=b"five"))).accepted
        assert (await fleet.beat("a")).step == 2
        assert await store.steering() == Steering(step=2, active=5, newest=5)
        found = [(one.number, one.document) for one in await store.revisions()]
        assert found == [(5, b"five"), (1, b"one")]
        assert [await store.revision(number) for number in (1, 2, 5)] == [b"one", None, b"five"]

    async def test_a_revision_that_is_rolled_out_is_active_when_the_roll_out_says_so(
        self, fleet: FleetDriver
    ) -> None:
        store = fleet.store
        await store.propose(Proposal(number=1, expect=0, document=b"one"))
        two = Proposal(number=2, expect=1, document=b"two", at_once=False, roll=b"to the first")
        assert (await store.propose(two)).accepted
        assert await store.steering() == Steering(step=2, active=1, newest=2, roll=b"to the first")
        assert await store.go_on(NextStep(after=2, roll=b"to all"))
        assert await store.go_on(NextStep(after=3, roll=b"done\x00\xff", active=2))
        assert await store.steering() == Steering(step=4, active=2, newest=2, roll=b"done\x00\xff")

    async def test_a_step_that_was_decided_on_another_one_is_not_made(self, fleet: FleetDriver) -> None:
        store = fleet.store
        await store.propose(Proposal(number=1, expect=0, document=b"one", at_once=False, roll=b"begun"))
        for step in (0, 2, 7):
            assert not await store.go_on(NextStep(after=step, roll=b"no", active=1, number=2, document=b"no"))
        assert await store.steering() == Steering(step=1, active=0, newest=1, roll=b"begun")
        assert [one.number for one in await store.revisions()] == [1]

    async def test_a_roll_out_goes_back_by_a_new_revision_and_what_is_active_never_does(
        self, fleet: FleetDriver
    ) -> None:
        store = fleet.store
        await store.propose(Proposal(number=1, expect=0, document=b"one"))
        await store.propose(Proposal(number=2, expect=1, document=b"two", at_once=False, roll=b"x"))
        assert await store.go_on(NextStep(after=2, roll=b"back", active=3, number=3, document=b"one again"))
        assert await store.steering() == Steering(step=3, active=3, newest=3, roll=b"back")
        assert next((one.number, one.document) for one in await store.revisions()) == (3, b"one again")
        assert await store.go_on(NextStep(after=3, roll=b"", active=1))
        assert (await store.steering()).active == 3

    async def test_one_member_leads_for_as_long_as_it_beats(self, fleet: FleetDriver) -> None:
        for name in ("a", "b", "c"):
            await fleet.join(name)
        assert not (await fleet.beat("a", may_lead=False)).leads
        assert not (await fleet.beat("c", draining=True)).leads
        assert (await fleet.beat("b")).leads
        for _ in range(5):
            await fleet.clock.advance(TTL / 2000)
            assert [(await fleet.beat(name)).leads for name in ("a", "b")] == [False, True]
        await fleet.clock.advance(TTL / 2000)
        assert not (await fleet.beat("a")).leads
        await fleet.clock.advance(TTL / 2000)
        assert (await fleet.beat("a")).leads
        await fleet.join("b")
        assert not (await fleet.beat("b")).leads

    async def test_a_process_that_takes_the_place_of_the_leader_does_not_lead_by_that(
        self, fleet: FleetDriver
    ) -> None:
        await fleet.join("a")
        assert (await fleet.beat("a")).leads
        await fleet.join("a")
        assert not (await fleet.beat("a")).leads
        assert not (await fleet.beat("a", may_lead=False)).leads

    async def test_only_the_newest_revisions_are_kept(self, fleet: FleetDriver) -> None:
        for number in range(1, MOST_REVISIONS + 12):
            await fleet.store.propose(Proposal(number=number, expect=number - 1, document=b"x"))
        numbers = [one.number for one in await fleet.store.revisions()]
        assert numbers == list(range(MOST_REVISIONS + 11, 11, -1))

    async def test_the_revision_that_is_active_is_kept_however_many_came_to_nothing_since(
        self, fleet: FleetDriver
    ) -> None:
        store, last = fleet.store, MOST_REVISIONS + 12
        await store.propose(Proposal(number=1, expect=0, document=b"good"))
        for number in range(2, last):
            await store.propose(Proposal(number=number, expect=number - 1, document=b"x", at_once=False))
        assert await store.revision(1) == b"good"
        assert [one.number for one in await store.revisions()][-2:] == [12, 1]
        step = (await store.steering()).step
        await store.go_on(NextStep(after=step, roll=b"", active=last, number=last, document=b"back"))
        assert await store.revision(1) is None
        assert (await store.steering()).active == last

    async def test_a_proposal_wakes_those_who_wait(self, fleet: FleetDriver) -> None:
        woken: list[int] = []

        async def wait(number: int) -> None:
            await fleet.store.wait_for_word()
            woken.append(number)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait, 1)
                number = 0
                while not woken:  # one that comes before anybody listens wakes nobody
                    number += 1
                    await fleet.store.propose(Proposal(number=number, expect=number - 1, document=b"x"))
                    await anyio.sleep(0.05)

    async def test_why_a_member_does_not_follow_is_seen_until_it_does(self, fleet: FleetDriver) -> None:
        await fleet.join("a")
        await fleet.beat("a", applied=3, refused="no such plugin")
        assert (await fleet.member("a")).refused == "no such plugin"
        await fleet.beat("a", applied=3)
        assert (await fleet.member("a")).refused == ""
