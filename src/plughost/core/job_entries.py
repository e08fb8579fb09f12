"""One job of the scheduler, and what became of it so far."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, tzinfo
from hashlib import sha256
from typing import cast

import anyio

from plughost.contracts.clock import Clock
from plughost.contracts.error_text import error_line
from plughost.contracts.fleet_jobs import FleetJob, JobGate
from plughost.contracts.jobs import Job
from plughost.contracts.masking import masked_text
from plughost.contracts.plugin import seconds_of
from plughost.core.schedules import CronSchedule, IntervalSchedule, Schedule
from plughost.core.slots import slots_of
from plughost.core.stepping import LimitPassedError
from plughost.core.threads import run_in_daemon_thread


class JobEntry:
    """One job and what became of it so far.

    Args:
        job: What to do and when.
        owner: Name of the plugin.
        zone: The zone in which a cron expression is meant, unless the job is a fleet's.

    Raises:
        ValueError: The schedule is wrong; the message says what.
    """

    def __init__(self, job: Job, owner: str, zone: tzinfo | None) -> None:
        self.job = job
        self.owner = owner
        self.schedule = _schedule_of(job, zone)
        self._shared_zone: tzinfo = UTC
        self.shared = _shared(job, owner, UTC) if job.scope == "fleet" else None
        self.attendance = anyio.CancelScope()
        self.asking = anyio.CancelScope()
        self.gate: JobGate | None = None
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

    def shared_by(self, gate: JobGate) -> FleetJob:
        """Return the job as it is in the fleet of a gate that is asked from now on."""
        self.gate = gate
        if self.shared is None or gate.zone is not self._shared_zone:
            self._shared_zone = gate.zone
            self.shared = _shared(self.job, self.owner, gate.zone)
        return self.shared

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
        # Whether it is a coroutine function, or an object whose call is one
        is_async = inspect.iscoroutinefunction(self.job.function) or inspect.iscoroutinefunction(
            type(self.job.function).__call__
        )
        if is_async:
            await cast("Callable[[], Awaitable[object]]", self.job.function)()
            return
        self._in_thread = True

        def call_in_thread() -> object:
            try:
                return self.job.function()
            finally:
                self._in_thread = False

        result = await run_in_daemon_thread(call_in_thread, name=f"job {self.owner}:{self.job.name}")
        if inspect.isawaitable(result):
            await result

    def explained(self, error: Exception) -> str:
        """Return one line about a failure."""
        if not isinstance(error, LimitPassedError):
            return masked_text(error_line(error))
        if self._in_thread:
            return f"{error}; its thread still runs, and until that ends the job is not started again"
        return str(error)


def _schedule_of(job: Job, zone: tzinfo | None) -> Schedule:
    """Return when a job is due; terms that are none are refused whatever the scope, which may be what is misspelled."""
    if (job.every is None) == (job.cron is None):
        raise ValueError(f"job {job.name!r} needs either every= or cron=")
    try:
        if job.window is not None and not seconds_of(job.window, "window") > 0:
            raise ValueError(f"window is a number of seconds above zero, not {job.window!r}")
        if job.scope not in ("process", "host", "fleet"):
            raise ValueError(f"scope is process, host or fleet, not {job.scope!r}")
        if job.missed not in ("latest", "skip", "all"):
            raise ValueError(f"missed is latest, skip or all, not {job.missed!r}")
        if job.outage not in ("closed", "local"):
            raise ValueError(f"outage is closed or local, not {job.outage!r}")
        if isinstance(job.retries, bool) or not isinstance(job.retries, int) or job.retries < 0:
            raise ValueError(f"retries is a whole number from 0, not {job.retries!r}")
        if not job.limit > 0:
            raise ValueError(f"a limit is a number of seconds above zero, not {job.limit!r}")
        if job.cron is not None:
            return CronSchedule(job.cron, zone)
        return IntervalSchedule(seconds_of(job.every or 0.0, "every"))
    except ValueError as error:
        raise ValueError(f"job {job.name!r}: {error}") from None


def _shared(job: Job, owner: str, zone: tzinfo) -> FleetJob:
    """Return a job as the fleet knows it."""
    window = None if job.window is None else seconds_of(job.window, "window")
    slots = slots_of(job, zone)
    said = f"{slots.description} {job.missed} {window} {job.retries}"
    return FleetJob(
        key=f"{owner}:{job.name}",
        schedule=slots.description,
        definition=sha256(said.encode()).hexdigest()[:12],
        slots=slots,
        missed=job.missed,
        window=window,
        retries=job.retries,
        outage=job.outage,
    )
