"""Jobs run when they are due, never twice at once, and one that fails runs again."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from plughost.contracts.jobs import Job, JobRecord
from plughost.core.jobs import JobScheduler
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio

NOON = datetime(2025, 1, 10, 12, tzinfo=UTC).timestamp()


class Counted:
    """A job that counts its runs."""

    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self) -> None:
        self.runs += 1


class Gated(Counted):
    """A job that takes until its gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = anyio.Event()
        self.cancelled = False

    async def __call__(self) -> None:
        self.runs += 1
        try:
            await self.gate.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled = True
            raise


@asynccontextmanager
async def running(scheduler: JobScheduler) -> AsyncIterator[None]:
    async with anyio.create_task_group() as tasks:
        await tasks.start(scheduler.run)
        yield
        tasks.cancel_scope.cancel()


def scheduler_at_noon() -> tuple[JobScheduler, FakeClock]:
    clock = FakeClock(start=NOON)
    return JobScheduler(clock=clock, zone=UTC), clock


def record(scheduler: JobScheduler, name: str = "job") -> JobRecord:
    return next(one for one in scheduler.snapshot() if one.name == name)


async def test_an_interval_job_runs_after_each_interval() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, every=60))
    async with running(scheduler):
        await clock.advance(59)
        assert job.runs == 0
        await clock.advance(1)
        assert job.runs == 1
        await clock.advance(180)
        assert job.runs == 4


async def test_an_interval_may_be_a_timedelta() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, every=timedelta(minutes=1)))
    async with running(scheduler):
        await clock.advance(60)
        assert job.runs == 1


async def test_a_cron_job_runs_when_the_clock_on_the_wall_says_so() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, cron="30 * * * *"))
    async with running(scheduler):
        await clock.advance(1799)
        assert job.runs == 0
        await clock.advance(1)
        assert job.runs == 1


async def test_a_clock_that_is_set_forward_is_noticed_within_a_minute_and_the_slot_comes_once() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, cron="0 * * * *"))
    async with running(scheduler):
        await clock.advance(1)
        clock.jump(5 * 3600)
        await clock.advance(60)
        assert job.runs == 1
        await clock.advance(600)
        assert job.runs == 1


async def test_a_clock_that_is_set_back_lets_no_cron_job_run_twice() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, cron="30 * * * *"))
    async with running(scheduler):
        await clock.advance(1800)
        clock.jump(-600)
        await clock.advance(1200)
        assert job.runs == 1
        await clock.advance(3000)
        assert job.runs == 2


async def test_jobs_of_several_schedules_do_not_wait_for_one_another() -> None:
    scheduler, clock = scheduler_at_noon()
    slow, quick, daily = Gated(), Counted(), Counted()
    scheduler.add(Job("slow", slow, every=10, limit=1000))
    scheduler.add(Job("quick", quick, every=1))
    scheduler.add(Job("daily", daily, cron="0 0 * * *"))
    async with running(scheduler):
        await clock.advance(100)
        assert (slow.runs, quick.runs, daily.runs) == (1, 100, 0)


async def test_waiting_jobs_have_no_task_of_their_own(anyio_backend_name: str) -> None:
    scheduler, clock = scheduler_at_noon()
    for number in range(50):
        scheduler.add(Job(f"job {number}", Counted(), every=60))
    before = len(anyio.get_running_tasks())
    async with running(scheduler):
        await clock.advance(1)
        assert len(anyio.get_running_tasks()) == before + 1


async def test_a_job_never_runs_twice_at_once() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Gated()
    scheduler.add(Job("job", job, every=10, limit=1000))
    async with running(scheduler):
        await clock.advance(55)
        assert job.runs == 1
        job.gate.set()
        await clock.advance(4)
        assert job.runs == 1
        await clock.advance(1)
        assert job.runs == 2


async def test_a_failing_job_is_logged_and_counted_and_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    scheduler, clock = scheduler_at_noon()
    raised: list[BaseException] = [ValueError("redis://:pw@host refused"), SystemExit(2)]

    async def fail_twice() -> None:
        if raised:
            raise raised.pop(0)

    scheduler.add(Job("job", fail_twice, every=10), owner="backup")
    with caplog.at_level(logging.WARNING, "plughost.jobs"):
        async with running(scheduler):
            await clock.advance(10)
            assert record(scheduler).last_error == "ValueError: redis://:***@host refused"
            await clock.advance(10)
            assert record(scheduler).last_error == "SystemExit: 2"
            await clock.advance(10)
            assert record(scheduler).last_error == ""
            assert (record(scheduler).runs, record(scheduler).failures) == (3, 2)
    logged = [(r.getMessage(), vars(r)["job"], vars(r)["owner"]) for r in caplog.records]
    assert logged == [("job failed", "job", "backup")] * 2


async def test_a_job_that_passes_its_limit_is_cancelled_and_runs_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler, clock = scheduler_at_noon()
    job = Gated()
    scheduler.add(Job("job", job, every=10, limit=3))
    with caplog.at_level(logging.WARNING, "plughost.jobs"):
        async with running(scheduler):
            await clock.advance(13)
            assert record(scheduler).last_error == "took longer than its limit of 3 s"
            assert not record(scheduler).running
            await clock.advance(7)
            assert job.runs == 2
    assert [(r.getMessage(), vars(r)["limit"]) for r in caplog.records] == [("job timed out", 3)]


async def test_a_plain_function_runs_in_a_thread() -> None:
    scheduler, _ = scheduler_at_noon()
    seen: list[int] = []
    scheduler.add(Job("job", lambda: seen.append(threading.get_ident()), every=10))
    await scheduler.run_now("job")
    assert len(seen) == 1
    assert seen[0] != threading.get_ident()


async def test_what_a_plain_function_returns_is_awaited_when_it_can_be() -> None:
    scheduler, _ = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", lambda: job(), every=10))
    assert (await scheduler.run_now("job")).last_error == ""
    assert job.runs == 1


async def test_a_partial_of_a_coroutine_function_runs_in_the_event_loop() -> None:
    scheduler, _ = scheduler_at_noon()
    seen: list[int] = []

    async def note(number: int) -> None:
        seen.append(threading.get_ident())

    scheduler.add(Job("job", functools.partial(note, 1), every=10))
    await scheduler.run_now("job")
    assert seen == [threading.get_ident()]


async def test_a_thread_that_passes_its_limit_is_left_behind_but_not_joined_by_a_second_one() -> None:
    scheduler, clock = scheduler_at_noon()
    release, begun = threading.Event(), anyio.Event()
    token = anyio.lowlevel.current_token()
    starts: list[threading.Thread] = []

    def hang() -> None:
        starts.append(threading.current_thread())
        anyio.from_thread.run_sync(begun.set, token=token)
        release.wait(30)

    scheduler.add(Job("job", hang, every=10, limit=3))
    try:
        async with running(scheduler):
            await clock.advance(10)
            await begun.wait()
            await clock.advance(3)
            assert "its thread still runs" in record(scheduler).last_error
            assert record(scheduler).running
            await clock.advance(27)
            assert len(starts) == 1
            release.set()
            await anyio.to_thread.run_sync(starts[0].join)
            await clock.advance(10)
            assert len(starts) == 2
    finally:
        release.set()


async def test_a_job_added_while_the_scheduler_runs_is_not_overlooked() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    async with running(scheduler):
        await clock.advance(100)
        scheduler.add(Job("job", job, every=10))
        await clock.advance(10)
        assert job.runs == 1


async def test_a_removed_job_runs_no_more_and_is_cancelled_where_it_is() -> None:
    scheduler, clock = scheduler_at_noon()
    job, other = Gated(), Counted()
    remove = scheduler.add(Job("job", job, every=10, limit=1000))
    scheduler.add(Job("other", other, every=10))
    async with running(scheduler):
        await clock.advance(10)
        remove()
        remove()
        await clock.advance(0)
        assert job.cancelled
        await clock.advance(20)
        assert (job.runs, other.runs) == (1, 3)
        assert [one.name for one in scheduler.snapshot()] == ["other"]


async def test_a_job_may_remove_itself() -> None:
    scheduler, clock = scheduler_at_noon()
    other = Counted()

    async def once() -> None:
        remove()

    remove = scheduler.add(Job("once", once, every=10))
    scheduler.add(Job("other", other, every=10))
    async with running(scheduler):
        await clock.advance(20)
        assert [one.name for one in scheduler.snapshot()] == ["other"]
        assert other.runs == 2


async def test_a_job_runs_by_hand_whenever_one_likes() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, cron="0 0 1 1 *"))
    async with running(scheduler):
        after = await scheduler.run_now("job")
    assert (after.runs, after.last_run, after.running) == (1, clock.time(), False)
    assert job.runs == 1


async def test_a_job_runs_by_hand_without_a_running_scheduler() -> None:
    scheduler, _ = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, every=10))
    assert (await scheduler.run_now("job")).runs == 1


async def test_running_a_running_job_by_hand_waits_for_that_run() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Gated()
    scheduler.add(Job("job", job, every=10, limit=1000))
    results: list[JobRecord] = []

    async def by_hand() -> None:
        results.append(await scheduler.run_now("job"))

    async with running(scheduler), anyio.create_task_group() as tasks:
        await clock.advance(10)
        tasks.start_soon(by_hand)
        await clock.advance(1)
        assert results == []
        job.gate.set()
        await clock.advance(1)
        assert [one.runs for one in results] == [1]
    assert job.runs == 1


async def test_a_run_by_hand_goes_on_when_whoever_asked_for_it_leaves() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Gated()
    scheduler.add(Job("job", job, every=1000))
    async with running(scheduler):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(scheduler.run_now, "job")
            await clock.advance(1)
            tasks.cancel_scope.cancel()
        assert record(scheduler).running
        job.gate.set()
        await clock.advance(1)
        assert (record(scheduler).runs, record(scheduler).last_error) == (1, "")


async def test_jobs_of_one_name_are_told_apart_by_their_owner() -> None:
    scheduler, _ = scheduler_at_noon()
    first, second = Counted(), Counted()
    scheduler.add(Job("cleanup", first, every=10), owner="cache")
    scheduler.add(Job("cleanup", second, every=10), owner="sessions")
    with pytest.raises(LookupError, match=r"several jobs.*cache:cleanup, sessions:cleanup"):
        await scheduler.run_now("cleanup")
    await scheduler.run_now("sessions:cleanup")
    assert (first.runs, second.runs) == (0, 1)


async def test_a_second_job_of_one_name_and_owner_is_numbered_until_the_first_goes() -> None:
    scheduler, _ = scheduler_at_noon()
    remove = scheduler.add(Job("cleanup", Counted(), every=10), owner="cache")
    newer = Counted()
    scheduler.add(Job("cleanup", newer, every=20), owner="cache")
    assert [one.name for one in scheduler.snapshot()] == ["cleanup", "cleanup#2"]
    assert (await scheduler.run_now("cleanup#2")).name == "cleanup#2"
    remove()
    assert [(one.name, one.runs) for one in scheduler.snapshot()] == [("cleanup", 1)]


async def test_an_unknown_job_is_answered_with_the_nearest_name() -> None:
    scheduler, _ = scheduler_at_noon()
    scheduler.add(Job("cleanup", Counted(), every=10))
    with pytest.raises(LookupError, match=r"no job 'clean-up'.*Did you mean 'cleanup'"):
        await scheduler.run_now("clean-up")


async def test_the_snapshot_tells_all_there_is() -> None:
    scheduler, clock = scheduler_at_noon()

    async def slow() -> None:
        await clock.sleep(4)

    scheduler.add(Job("job", slow, every=10), owner="backup")
    scheduler.add(Job("nightly", slow, cron="0 2 * * *"))
    assert record(scheduler) == JobRecord(name="job", owner="backup", schedule="every 10 s")
    async with running(scheduler):
        await clock.advance(12)
        assert record(scheduler) == JobRecord(
            name="job",
            owner="backup",
            schedule="every 10 s",
            next_run=NOON + 20,
            last_run=NOON + 10,
            running=True,
        )
        await clock.advance(2)
        assert record(scheduler) == JobRecord(
            name="job",
            owner="backup",
            schedule="every 10 s",
            next_run=NOON + 20,
            last_run=NOON + 10,
            last_duration=4.0,
            runs=1,
        )
        nightly = record(scheduler, "nightly")
        assert (nightly.owner, nightly.schedule, nightly.next_run) == (
            "application",
            "cron 0 2 * * *",
            NOON + 14 * 3600,
        )


async def test_stopping_the_scheduler_cancels_what_runs() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Gated()
    scheduler.add(Job("job", job, every=10))
    async with running(scheduler):
        await clock.advance(10)
        assert record(scheduler).running
    assert not record(scheduler).running
    assert (record(scheduler).runs, record(scheduler).failures) == (0, 0)


async def test_a_scheduler_may_run_again_and_counts_from_then() -> None:
    scheduler, clock = scheduler_at_noon()
    job = Counted()
    scheduler.add(Job("job", job, every=10))
    async with running(scheduler):
        await clock.advance(9)
    await clock.advance(100)
    async with running(scheduler):
        await clock.advance(9)
        assert job.runs == 0
        await clock.advance(1)
        assert job.runs == 1


async def test_a_scheduler_runs_once_at_a_time() -> None:
    scheduler, _ = scheduler_at_noon()
    async with running(scheduler):
        with pytest.raises(RuntimeError, match="runs already"):
            await scheduler.run()


async def test_a_keyboard_interrupt_of_a_job_goes_through() -> None:
    scheduler, _ = scheduler_at_noon()

    async def interrupt() -> None:
        raise KeyboardInterrupt

    scheduler.add(Job("job", interrupt, every=10))
    with pytest.raises(KeyboardInterrupt):
        await scheduler.run_now("job")


@pytest.mark.parametrize(
    ("job", "problem"),
    [
        (Job("j", Counted()), "'j' needs either every= or cron="),
        (Job("j", Counted(), every=1, cron="* * * * *"), "'j' needs either every= or cron="),
        (Job("j", Counted(), every=0), "'j': an interval is a number of seconds above zero, not 0"),
        (Job("j", Counted(), every=timedelta(0)), "'j': an interval is"),
        (Job("j", Counted(), cron="60 * * * *"), "'j': cron expression '60 . . . .': bad minute"),
        (Job("j", Counted(), every=1, limit=0), "'j': a limit is a number of seconds above zero, not 0"),
    ],
)
async def test_a_wrong_schedule_is_refused_when_it_is_added(job: Job, problem: str) -> None:
    scheduler, _ = scheduler_at_noon()
    with pytest.raises(ValueError, match=problem):
        scheduler.add(job)
    assert scheduler.snapshot() == ()
