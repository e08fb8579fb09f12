"""The scheduler: one task that waits for all jobs, and a task for each run."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterator
from datetime import tzinfo
from typing import cast

import anyio
from anyio.abc import TaskGroup, TaskStatus

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.error_text import error_line
from plughost.contracts.jobs import Job, JobRecord
from plughost.contracts.logs import get_logger
from plughost.contracts.masking import masked_text
from plughost.contracts.plugin import seconds_of
from plughost.core.containment import Point
from plughost.core.schedules import CronSchedule, IntervalSchedule, Schedule
from plughost.core.stepping import LimitPassedError
from plughost.core.threads import run_in_daemon_thread
from plughost.core.time_limit import call_within
from plughost.exceptions import did_you_mean


class JobScheduler:
    """Runs jobs when they are due.

    A job never runs twice at once: a slot that comes while it runs is dropped. A run that fails or passes its
    limit is logged and counted, and the next one happens all the same. Use it from the thread of the event
    loop only.

    Args:
        clock: Tells the time.
        zone: The zone in which cron expressions are meant; the machine's own by default.
        leads: Whether jobs of the host are run here when due; another process does it otherwise.
    """

    def __init__(
        self, *, clock: Clock = SYSTEM_CLOCK, zone: tzinfo | None = None, leads: bool = True
    ) -> None:
        self._leads = leads
        self._clock = clock
        self._zone = zone
        self._log = get_logger("plughost.jobs")
        self._entries: list[_Entry] = []
        self._tasks: TaskGroup | None = None
        self._nap: anyio.CancelScope | None = None  # none before there is an event loop

    def add(self, job: Job, *, owner: str = "") -> Callable[[], None]:
        """Run ``job`` when it is due, as long as the scheduler runs.

        Args:
            job: What to do and when.
            owner: Name of the plugin; empty for the embedding application.

        Returns:
            The way to remove it: a run under way is cancelled. Calling that again does nothing.

        Raises:
            ValueError: The schedule is wrong; the message says what.
        """
        entry = _Entry(job, owner or "application", _schedule_of(job, self._zone))
        self._entries.append(entry)
        if self._tasks is not None:
            entry.schedule.start(self._clock)
            if self._nap is not None:
                self._nap.cancel()
        return lambda: self._remove(entry)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the jobs until cancelled; intervals count from now.

        Raises:
            RuntimeError: It runs already.
        """
        if self._tasks is not None:
            raise RuntimeError("the scheduler runs already")
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            for entry in self._entries:
                entry.schedule.start(self._clock)
            task_status.started()
            try:
                while True:
                    await self._sleep(self._start_due(tasks))
            finally:
                self._tasks = None

    async def run_now(self, name: str) -> JobRecord:
        """Run a job at once, whenever it is due; if it is running already, wait for the end of that run.

        Args:
            name: Its name; ``owner:name`` when several plugins have one of that name.

        Returns:
            What became of the run: ``last_error`` is empty when it went well.

        Raises:
            LookupError: There is no such job, or several.
        """
        name, entry = self._find(name)
        if not entry.running:
            entry.begin(self._clock)
            if self._tasks is None:
                await self._run(entry)
            else:  # in a task of the scheduler: it goes on when the caller is cancelled
                self._tasks.start_soon(self._run, entry)
        await entry.ended.wait()
        return self._record(entry, name)

    def snapshot(self) -> tuple[JobRecord, ...]:
        """Return what there is to say about each job, in the order they were added."""
        return tuple(self._record(entry, name) for name, entry in self._named())

    def _start_due(self, tasks: TaskGroup) -> float:
        """Start what is due; return seconds until there is something to look at again."""
        nap = math.inf
        for entry in self._entries:
            if entry.schedule.seconds_left(self._clock) <= 0:
                entry.schedule.take(self._clock)
                if not entry.running and (self._leads or entry.job.scope == "process"):
                    entry.begin(self._clock)
                    tasks.start_soon(self._run, entry)
            left = entry.schedule.seconds_left(self._clock)
            nap = min(nap, left, entry.schedule.longest_nap)
        return nap

    async def _sleep(self, seconds: float) -> None:
        with anyio.CancelScope() as self._nap:  # ``add`` cancels it: there is something new to wait for
            if seconds == math.inf:
                await anyio.sleep_forever()
            await self._clock.sleep(max(0.0, seconds))

    async def _run(self, entry: _Entry) -> None:
        error: Exception | None = None
        cancelled = True
        began = self._clock.monotonic()
        try:
            with entry.scope:
                try:
                    await call_within(entry.job.limit, entry.call, self._clock, Point.JOB)
                except Exception as raised:
                    error = raised
                cancelled = False
        finally:
            if not cancelled:
                self._note(entry, self._clock.monotonic() - began, error)
            entry.end()

    def _note(self, entry: _Entry, duration: float, error: Exception | None) -> None:
        entry.runs += 1
        entry.last_duration = duration
        entry.last_error = "" if error is None else entry.explained(error)
        if error is None:
            return
        entry.failures += 1
        known = {"job": entry.job.name, "owner": entry.owner, "failures": entry.failures}
        if isinstance(error, LimitPassedError):
            self._log.warning("job timed out", limit=entry.job.limit, **known)
        else:
            self._log.warning("job failed", exc_info=error, **known)

    def _remove(self, entry: _Entry) -> None:
        if entry in self._entries:
            self._entries.remove(entry)
            entry.scope.cancel()

    def _named(self) -> Iterator[tuple[str, _Entry]]:
        """Yield each entry with its name; a plugin's second one of the same name is numbered."""
        seen: dict[tuple[str, str], int] = {}
        for entry in self._entries:
            key = (entry.owner, entry.job.name)
            number = seen[key] = seen.get(key, 0) + 1
            yield entry.job.name if number == 1 else f"{entry.job.name}#{number}", entry

    def _find(self, name: str) -> tuple[str, _Entry]:
        found = [
            (known, entry) for known, entry in self._named() if name in (known, f"{entry.owner}:{known}")
        ]
        if len(found) == 1:
            return found[0]
        if found:
            choices = ", ".join(f"{entry.owner}:{known}" for known, entry in found)
            raise LookupError(f"several jobs are named {name!r}: choose one of {choices}")
        near = did_you_mean(name, (known for known, _ in self._named()))
        raise LookupError(f"there is no job {name!r}.{near}")

    def _record(self, entry: _Entry, name: str) -> JobRecord:
        next_run = None
        if self._tasks is not None:
            next_run = self._clock.time() + max(0.0, entry.schedule.seconds_left(self._clock))
        return JobRecord(
            name=name,
            owner=entry.owner,
            schedule=entry.schedule.description,
            next_run=next_run,
            last_run=entry.last_run,
            last_duration=entry.last_duration,
            last_error=entry.last_error,
            runs=entry.runs,
            failures=entry.failures,
            running=entry.running,
        )


class _Entry:
    """One job and what became of it so far."""

    def __init__(self, job: Job, owner: str, schedule: Schedule) -> None:
        self.job = job
        self.owner = owner
        self.schedule = schedule
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self.last_run: float | None = None
        self.last_duration: float | None = None
        self.last_error = ""
        self.runs = 0
        self.failures = 0
        self._in_task = False
        self._in_thread = False  # a thread that was given up may still be at it

    @property
    def running(self) -> bool:
        """Whether a run is under way, be it in a thread that nobody waits for any more."""
        return self._in_task or self._in_thread

    def begin(self, clock: Clock) -> None:
        """Note that a run begins, before its task has had its first turn."""
        self._in_task = True
        self.last_run = clock.time()
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()

    def end(self) -> None:
        """Note that the task of a run ended."""
        self._in_task = False
        self.ended.set()

    async def call(self) -> None:
        """Call the job's function, a plain one in a thread."""
        if _is_async(self.job.function):
            await cast("Callable[[], Awaitable[object]]", self.job.function)()
            return
        self._in_thread = True
        result = await run_in_daemon_thread(self._call_in_thread, name=f"job {self.owner}:{self.job.name}")
        if inspect.isawaitable(result):
            await result

    def explained(self, error: Exception) -> str:
        """Return one line about a failure."""
        if not isinstance(error, LimitPassedError):
            return masked_text(error_line(error))
        if self._in_thread:
            return f"{error}; its thread still runs, and until that ends the job is not started again"
        return str(error)

    def _call_in_thread(self) -> object:
        try:
            return self.job.function()
        finally:
            self._in_thread = False


def _is_async(function: object) -> bool:
    """Whether it is a coroutine function, or an object whose call is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _schedule_of(job: Job, zone: tzinfo | None) -> Schedule:
    if (job.every is None) == (job.cron is None):
        raise ValueError(f"job {job.name!r} needs either every= or cron=")
    if not job.limit > 0:
        raise ValueError(f"job {job.name!r}: a limit is a number of seconds above zero, not {job.limit!r}")
    try:
        if job.cron is not None:
            return CronSchedule(job.cron, zone)
        return IntervalSchedule(seconds_of(job.every or 0.0, "every"))
    except ValueError as error:
        raise ValueError(f"job {job.name!r}: {error}") from None
