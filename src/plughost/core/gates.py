"""Who decides on a fleet's jobs while no plugin does: a host that is alone says yes to each slot."""

from __future__ import annotations

from datetime import UTC

import anyio

from plughost.contracts.clock import Clock
from plughost.contracts.fleet_jobs import FleetJob, JobRun

_LONGEST_NAP = 60.0  # seconds after which the wall clock is looked at again
_PAUSE = 5.0  # seconds before a slot is tried again


class AloneGate:
    """The gate of a host that is part of no fleet.

    Args:
        clock: Its wall clock says what is due.
    """

    def __init__(self, clock: Clock) -> None:
        self.zone = UTC
        self._clock = clock
        self._again: dict[str, JobRun] = {}

    async def next_run(self, job: FleetJob) -> JobRun | None:
        """Return at the next slot."""
        slot = job.slots.after(self._clock.time())
        again = self._again.pop(job.key, None)
        if again is not None and again.attempt <= job.retries + 1 and slot - self._clock.time() > _PAUSE:
            await self._clock.sleep(_PAUSE)
            return again
        while (left := slot - self._clock.time()) > 0:
            await self._clock.sleep(min(left, _LONGEST_NAP))
            slot = min(slot, job.slots.after(self._clock.time()))  # the clock may have been set back
        return JobRun(job.key, slot)

    async def lost(self, run: JobRun) -> None:
        """Never: nobody can take a run from it."""
        await anyio.sleep_forever()

    def finish(self, run: JobRun, error: str) -> None:
        """Note what failed, to try it again where the job wants that."""
        if error:
            self._again[run.job] = JobRun(run.job, run.slot, attempt=run.attempt + 1)


class ClosedGate:
    """The gate while the plugin that decides is expected and not there: nothing runs."""

    zone = UTC

    async def next_run(self, job: FleetJob) -> JobRun | None:
        """Wait until somebody else is to be asked."""
        await anyio.sleep_forever()
        return None

    async def lost(self, run: JobRun) -> None:
        """Never called: nothing runs."""

    def finish(self, run: JobRun, error: str) -> None:
        """Never called: nothing runs."""
