"""The scheduler: one task that waits for all jobs, and a task for each run.

A job of a fleet has a task of its own that asks a gate when this host is to run it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import tzinfo

import anyio
from anyio.abc import TaskGroup, TaskStatus

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.fleet_jobs import RUN_UNDER_WAY, FleetJob, JobGate, JobRun
from plughost.contracts.jobs import Job, JobRecord
from plughost.contracts.logs import get_logger
from plughost.core.containment import Point, contained, failure_fields
from plughost.core.gates import AloneGate
from plughost.core.job_entries import JobEntry
from plughost.core.stepping import LimitPassedError
from plughost.core.time_limit import call_within, contained_call
from plughost.exceptions import did_you_mean

_STOPPED = "it was stopped with its plugin"
_LOOK = 0.5  # seconds between two looks at whether a job may be asked about


class JobScheduler:
    """Runs jobs when they are due.

    A job never runs twice at once: a slot that comes while it runs is dropped. A run that fails or passes its
    limit is logged and counted, and the next one happens all the same. Use it from the thread of the event
    loop only.

    Args:
        clock: Tells the time.
        zone: The zone in which cron expressions are meant; the machine's own by default.
        leads: Whether jobs of the host are run here when due; another process does it otherwise.
        gate: Returns who decides on jobs of the fleet now; by default each of their slots is run here.
    """

    def __init__(
        self,
        *,
        clock: Clock = SYSTEM_CLOCK,
        zone: tzinfo | None = None,
        leads: bool = True,
        gate: Callable[[], JobGate] | None = None,
    ) -> None:
        alone = AloneGate(clock)
        self._gate = gate or (lambda: alone)
        self._leads = leads
        self._clock = clock
        self._zone = zone
        self._log = get_logger("plughost.jobs")
        self._entries: list[JobEntry] = []
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
        entry = JobEntry(job, owner or "application", self._zone)
        self._entries.append(entry)
        if self._tasks is not None:
            self._begin(entry, self._tasks)
            if self._nap is not None:
                self._nap.cancel()

        def remove() -> None:
            if entry in self._entries:
                self._entries.remove(entry)
                entry.attendance.cancel()
                entry.scope.cancel()

        return remove

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
                self._begin(entry, tasks)
            task_status.started()
            try:
                while True:
                    seconds = self._start_due(tasks)
                    # ``add`` cancels it: there is something new to wait for.
                    with anyio.CancelScope() as self._nap:
                        if seconds == math.inf:
                            await anyio.sleep_forever()
                        await self._clock.sleep(max(0.0, seconds))
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
        found = [
            (known, entry) for known, entry in self._named() if name in (known, f"{entry.owner}:{known}")
        ]
        if not found:
            near = did_you_mean(name, (known for known, _ in self._named()))
            raise LookupError(f"there is no job {name!r}.{near}")
        if len(found) > 1:
            choices = ", ".join(f"{entry.owner}:{known}" for known, entry in found)
            raise LookupError(f"several jobs are named {name!r}: choose one of {choices}")
        name, entry = found[0]
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

    def look_again(self) -> None:
        """Note that somebody else may decide on jobs of the fleet now: whoever waits for another is asked anew."""
        for entry in self._entries:
            if entry.gate is not None and entry.gate is not self._gate():
                entry.asking.cancel()

    def _begin(self, entry: JobEntry, tasks: TaskGroup) -> None:
        if entry.shared is None:
            entry.schedule.start(self._clock)
        else:
            tasks.start_soon(self._attend, entry)

    async def _attend(self, entry: JobEntry) -> None:
        """Run a job of the fleet whenever the gate says that it is this host's turn."""
        with entry.attendance:
            while True:
                while entry.running:  # by hand, or in a thread that nobody waits for any more
                    await self._clock.sleep(_LOOK)
                gate = self._gate()
                run = await self._next_run(entry, gate, entry.shared_by(gate))
                if run is not None:
                    await self._run_claimed(entry, gate, run)

    async def _next_run(self, entry: JobEntry, gate: JobGate, job: FleetJob) -> JobRun | None:
        # A claim on its way goes on to its end when whoever waits for it is cancelled.
        claimed: list[JobRun] = []

        async def ask() -> None:
            if (run := await gate.next_run(job)) is not None:
                claimed.append(run)

        try:
            with anyio.CancelScope() as entry.asking:
                try:
                    await contained_call(Point.JOB, ask, clock=self._clock)
                except Exception as error:
                    self._log.error("who decides on a job of the fleet failed", job=job.key, exc_info=error)
                if not claimed and gate is self._gate():
                    await self._clock.sleep(_LOOK)
        except anyio.get_cancelled_exc_class():
            for run in claimed:
                self._tell_end(gate, run, _STOPPED)
            raise
        return claimed[0] if claimed else None

    async def _run_claimed(self, entry: JobEntry, gate: JobGate, run: JobRun) -> None:
        entry.begin(self._clock)
        RUN_UNDER_WAY.set(run)  # this task runs nothing else
        error = _STOPPED

        async def stop_when_lost() -> None:
            await contained_call(Point.JOB, gate.lost, run, clock=self._clock)
            entry.last_error = "this host lost its place in the fleet while the job ran"
            self._log.warning("job stopped", job=run.job, slot=run.slot, reason=entry.last_error)
            entry.scope.cancel()

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(stop_when_lost)
                await self._run(entry)
                tasks.cancel_scope.cancel()
            error = entry.last_error
        finally:
            self._tell_end(gate, run, error)

    def _tell_end(self, gate: JobGate, run: JobRun, error: str) -> None:
        try:
            contained(Point.JOB, gate.finish, run, error)
        except Exception as failure:
            self._log.error("the end of a job was not told to the fleet", job=run.job, exc_info=failure)

    def _start_due(self, tasks: TaskGroup) -> float:
        """Start what is due; return seconds until there is something to look at again."""
        nap = math.inf
        for entry in self._entries:
            if entry.shared is not None:
                continue
            if entry.schedule.seconds_left(self._clock) <= 0:
                entry.schedule.take(self._clock)
                if not entry.running and (self._leads or entry.job.scope == "process"):
                    entry.begin(self._clock)
                    tasks.start_soon(self._run, entry)
            left = entry.schedule.seconds_left(self._clock)
            nap = min(nap, left, entry.schedule.longest_nap)
        return nap

    async def _run(self, entry: JobEntry) -> None:
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

    def _note(self, entry: JobEntry, duration: float, error: Exception | None) -> None:
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
            self._log.warning("job failed", **known, **failure_fields(error))

    def _named(self) -> Iterator[tuple[str, JobEntry]]:
        """Yield each entry with its name; a plugin's second one of the same name is numbered."""
        seen: dict[tuple[str, str], int] = {}
        for entry in self._entries:
            key = (entry.owner, entry.job.name)
            number = seen[key] = seen.get(key, 0) + 1
            yield entry.job.name if number == 1 else f"{entry.job.name}#{number}", entry

    def _record(self, entry: JobEntry, name: str) -> JobRecord:
        next_run = None
        if self._tasks is not None and entry.shared is not None:
            next_run = entry.shared.slots.after(self._clock.time())
        elif self._tasks is not None:
            next_run = self._clock.time() + max(0.0, entry.schedule.seconds_left(self._clock))
        return JobRecord(
            name=name,
            owner=entry.owner,
            schedule=entry.schedule.description if entry.shared is None else entry.shared.schedule,
            scope=entry.job.scope,
            next_run=next_run,
            last_run=entry.last_run,
            last_duration=entry.last_duration,
            last_error=entry.last_error,
            runs=entry.runs,
            failures=entry.failures,
            running=entry.running,
        )
