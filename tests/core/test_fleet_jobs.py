"""A job of a fleet runs when a gate says so; a host without one runs each slot by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plughost.contracts import FleetJob, JobRun, current_run
from plughost.contracts.jobs import Job
from plughost.core.gates import ClosedGate
from plughost.core.jobs import JobScheduler
from plughost.core.slots import CronSlots, IntervalSlots
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class HandGate:
    """A gate under the test's hand."""

    def __init__(self) -> None:
        self.asked: list[FleetJob] = []
        self.ended: list[tuple[JobRun, str]] = []
        self.taken_away = anyio.Event()
        self.zone: tzinfo = UTC
        self._given = anyio.Event()
        self._answer: JobRun | Exception | None = None

    def give(self, answer: JobRun | Exception | None) -> None:
        self._answer = answer
        self._given.set()

    async def next_run(self, job: FleetJob) -> JobRun | None:
        self.asked.append(job)
        await self._given.wait()
        self._given = anyio.Event()
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    async def lost(self, run: JobRun) -> None:
        await self.taken_away.wait()

    def finish(self, run: JobRun, error: str) -> None:
        self.ended.append((run, error))


@asynccontextmanager
async def running(scheduler: JobScheduler) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(scheduler.run)
        yield
        tasks.cancel_scope.cancel()


async def settled() -> None:
    await anyio.wait_all_tasks_blocked()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.01)


def fleet_job(function: Any, **more: Any) -> Job:
    return Job(**({"name": "count", "function": function, "every": 60, "scope": "fleet"} | more))


@given(interval=st.floats(0.001, 1e6, allow_nan=False), moment=st.floats(1e9, 2e9), start=st.floats(0, 1e5))
def test_slots_of_an_interval_do_not_depend_on_when_somebody_looks(
    interval: float, moment: float, start: float
) -> None:
    one, other = IntervalSlots(interval), IntervalSlots(interval)
    slot = one.after(moment)
    assert slot > moment
    assert other.before(slot) == slot
    assert one.before(moment) <= moment + 1e-6
    assert other.after(one.before(moment)) == slot
    later = one.after(moment + start)
    assert round((later - slot) * 1000) % max(1, round(interval * 1000)) == 0


def test_cron_slots_are_meant_in_utc_on_every_host(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = CronSlots("30 2 * * *")
    for zone in ("Europe/Berlin", "Asia/Kolkata"):
        monkeypatch.setenv("TZ", zone)
        assert slots.after(1_700_000_000.0) == 1_700_015_400.0
        assert slots.before(1_700_015_400.0) == 1_700_015_400.0
        assert slots.before(1_700_015_399.9) == 1_700_015_400.0 - 86_400


def slots_in(zone: str, expression: str, begin: str, hours: float) -> list[str]:
    slots, moment = (
        CronSlots(expression, ZoneInfo(zone)),
        datetime.fromisoformat(f"{begin}+00:00").timestamp(),
    )
    end, found = moment + hours * 3600, []
    while (moment := slots.after(moment)) <= end:
        found.append(f"{datetime.fromtimestamp(moment, UTC):%H:%M}")
    return found


def test_a_fixed_time_comes_once_in_a_night_in_which_the_clocks_of_its_zone_are_changed() -> None:
    assert slots_in("Europe/Berlin", "30 2 * * *", "2025-03-29 23:00", 20) == ["01:00"]
    assert slots_in("Europe/Berlin", "30 2 * * *", "2025-10-25 22:30", 20) == ["00:30"]
    assert slots_in("Europe/Berlin", "30 2 * * *", "2025-10-26 01:15", 20) == []  # it is 02:15 again
    assert slots_in("America/Havana", "0 0 * * *", "2025-03-08 12:00", 24) == ["05:00"]


@given(
    zone=st.sampled_from(
        ("Europe/Berlin", "America/New_York", "America/Havana", "Africa/Cairo", "Asia/Kolkata")
    ),
    expression=st.sampled_from(
        ("30 2 * * *", "0 0 * * *", "*/15 * * * *", "15,45 1-3 * * *", "*/10 2 * * *", "59 23 * * SUN")
    ),
    moment=st.one_of(
        st.floats(1.6e9, 1.75e9),
        # around the changes of clocks in the autumn and the spring of 2024 and 2025
        st.sampled_from((1711846800, 1729990800, 1743296400, 1761440400, 1762063200)).flatmap(
            lambda change: st.floats(change - 14_400, change + 14_400)
        ),
    ),
)
def test_cron_slots_are_the_same_forwards_and_backwards_whatever_the_clocks_do(
    zone: str, expression: str, moment: float
) -> None:
    slots = CronSlots(expression, ZoneInfo(zone))
    before, after = slots.before(moment), slots.after(moment)
    assert before <= moment < after
    assert (slots.after(before), slots.before(after)) == (after, after)


async def test_a_job_is_meant_in_the_zone_of_the_gate_that_is_asked() -> None:
    clock, gates = FakeClock(), [HandGate(), HandGate()]
    gates[1].zone = ZoneInfo("Europe/Berlin")
    now = [gates[0]]
    scheduler = JobScheduler(clock=clock, gate=lambda: now[0])
    scheduler.add(fleet_job(print, every=None, cron="30 2 * * *"), owner="shop")
    async with running(scheduler):
        await settled()
        now[0] = gates[1]
        scheduler.look_again()
        await until(lambda: bool(gates[1].asked))
        (record,) = scheduler.snapshot()
    asked = [gate.asked[0] for gate in gates]
    assert [job.schedule for job in asked] == ["cron 30 2 * * * UTC", "cron 30 2 * * * Europe/Berlin"]
    assert asked[0].definition != asked[1].definition
    assert record.schedule == "cron 30 2 * * * Europe/Berlin"


async def test_a_host_that_is_alone_runs_each_slot_once_and_tells_which() -> None:
    clock = FakeClock(start=1_700_000_030.0)
    seen: list[JobRun | None] = []
    scheduler = JobScheduler(clock=clock)
    scheduler.add(fleet_job(lambda: seen.append(current_run())), owner="shop")
    async with running(scheduler):
        for _ in range(4):
            await clock.advance(45)
            await until(lambda: not scheduler.snapshot()[0].running)
    first = 1_700_000_040.0
    assert [run.slot for run in seen if run] == [first, first + 60, first + 120]
    assert {run.job for run in seen if run} == {"shop:count"}
    assert current_run() is None


async def test_a_failed_slot_is_tried_again_alone_as_often_as_was_said() -> None:
    clock = FakeClock(start=1_700_000_039.0)
    attempts: list[int] = []

    async def fail() -> None:
        run = current_run()
        assert run is not None
        attempts.append(run.attempt)
        raise ValueError("again")

    scheduler = JobScheduler(clock=clock)
    scheduler.add(fleet_job(fail, retries=2), owner="shop")
    async with running(scheduler):
        await clock.advance(50)
    assert attempts == [1, 2, 3]


async def test_the_gate_decides_when_a_job_runs_and_hears_what_came_of_it() -> None:
    clock, gate = FakeClock(), HandGate()
    seen: list[JobRun | None] = []

    async def work() -> None:
        seen.append(current_run())
        raise ValueError("no paper")

    scheduler = JobScheduler(clock=clock, gate=lambda: gate)
    scheduler.add(fleet_job(work), owner="shop")
    async with running(scheduler):
        await clock.advance(600)
        assert seen == []
        run = JobRun("shop:count", 60.0, token=7)
        gate.give(run)
        await settled()
        assert seen == [run]
        assert gate.ended == [(run, "ValueError: no paper")]
        assert [job.key for job in gate.asked] == ["shop:count"] * 2
    (record,) = scheduler.snapshot()
    assert (record.runs, record.failures, record.scope) == (1, 1, "fleet")


async def test_a_run_that_was_taken_away_is_stopped() -> None:
    clock, gate = FakeClock(), HandGate()
    reached: list[str] = []

    async def work() -> None:
        reached.append("begun")
        await anyio.sleep_forever()

    scheduler = JobScheduler(clock=clock, gate=lambda: gate)
    scheduler.add(fleet_job(work), owner="shop")
    async with running(scheduler):
        gate.give(JobRun("shop:count", 60.0, token=7))
        await settled()
        gate.taken_away.set()
        await until(lambda: not scheduler.snapshot()[0].running)
        assert reached == ["begun"]
        assert "lost its place" in scheduler.snapshot()[0].last_error


async def test_a_job_that_is_removed_while_it_runs_is_told_to_the_gate() -> None:
    clock, gate = FakeClock(), HandGate()
    scheduler = JobScheduler(clock=clock, gate=lambda: gate)
    remove = scheduler.add(fleet_job(anyio.sleep_forever), owner="shop")
    async with running(scheduler):
        run = JobRun("shop:count", 60.0, token=7)
        gate.give(run)
        await settled()
        remove()
        await until(lambda: gate.ended == [(run, "it was stopped with its plugin")])
        assert len(gate.asked) == 1


class BusyGate(HandGate):
    """A gate that claims a run in a thread: whoever is cancelled meanwhile waits for its end."""

    async def next_run(self, job: FleetJob) -> JobRun | None:
        with anyio.CancelScope(shield=True):
            return await super().next_run(job)


async def test_a_run_that_is_claimed_for_a_job_that_was_just_removed_is_not_held_for_ever() -> None:
    clock, gate = FakeClock(), BusyGate()
    scheduler = JobScheduler(clock=clock, gate=lambda: gate)
    remove = scheduler.add(fleet_job(anyio.sleep_forever), owner="shop")
    async with running(scheduler):
        await settled()
        remove()
        await settled()
        run = JobRun("shop:count", 60.0, token=7)
        gate.give(run)
        await until(lambda: gate.ended == [(run, "it was stopped with its plugin")])


async def test_a_run_that_is_claimed_while_another_gate_takes_over_is_run() -> None:
    gates: list[HandGate] = [BusyGate()]
    ran: list[JobRun | None] = []
    scheduler = JobScheduler(clock=FakeClock(), gate=lambda: gates[-1])
    scheduler.add(fleet_job(lambda: ran.append(current_run())), owner="shop")
    async with running(scheduler):
        await settled()
        gates.append(HandGate())
        scheduler.look_again()
        await settled()
        run = JobRun("shop:count", 60.0, token=7)
        gates[0].give(run)
        await until(lambda: gates[0].ended == [(run, "")])
        assert ran == [run]


async def test_another_gate_is_asked_as_soon_as_there_is_one() -> None:
    gates: list[Any] = [ClosedGate()]
    clock = FakeClock()
    ran: list[float] = []

    async def work() -> None:
        ran.append(clock.time())

    scheduler = JobScheduler(clock=clock, gate=lambda: gates[-1])
    scheduler.add(fleet_job(work), owner="shop")
    async with running(scheduler):
        await clock.advance(600)
        assert ran == []
        gate = HandGate()
        gates.append(gate)
        scheduler.look_again()
        await settled()
        scheduler.look_again()
        gate.give(JobRun("shop:count", 60.0))
        await settled()
        assert len(ran) == 1


async def test_a_gate_that_fails_is_asked_again_and_ends_nothing_else() -> None:
    clock, gate = FakeClock(), HandGate()
    others: list[int] = []

    async def other() -> None:
        others.append(1)

    scheduler = JobScheduler(clock=clock, gate=lambda: gate)
    scheduler.add(fleet_job(other), owner="shop")
    scheduler.add(Job(name="other", function=other, every=10), owner="shop")
    async with running(scheduler):
        gate.give(RuntimeError("broken"))
        await clock.advance(11)
        assert others == [1]
        gate.give(JobRun("shop:count", 60.0))
        await settled()
        assert others == [1, 1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"missed": "none"}, "missed is latest, skip or all"),
        ({"outage": "open"}, "outage is closed or local"),
        ({"retries": -1}, "retries is a whole number from 0"),
        ({"retries": True}, "retries is a whole number from 0"),
        ({"window": 0}, "window is a number of seconds above zero"),
        ({"every": 0}, "an interval is a number of seconds above zero"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_job_is_added(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        JobScheduler().add(fleet_job(print, **wrong), owner="shop")


@pytest.mark.parametrize(
    "wrong", [{"scope": "flet"}, {"missed": "none"}, {"outage": "open"}, {"retries": -1}]
)
def test_terms_that_are_none_are_refused_whatever_the_scope(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"job 'count': {next(iter(wrong))} is "):
        JobScheduler().add(Job("count", print, **{"every": 60, **wrong}), owner="shop")
