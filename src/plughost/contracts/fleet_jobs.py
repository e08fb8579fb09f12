"""A job of which each slot runs once in the whole fleet, and who decides where."""

from __future__ import annotations

from contextvars import ContextVar
from datetime import tzinfo
from typing import Protocol, runtime_checkable

from plughost._dataclasses import dataclass
from plughost.contracts.plugin import JobOutage, MissedSlots


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job with ``scope="fleet"``.

    Attributes:
        job: ``OWNER:NAME``.
        slot: The moment it is for, the same on whichever host it runs.
        token: Grows with every run of the job: what is written with a smaller one than before is late, and whoever
            is written to can refuse it. 0 when the host runs by itself, without a fleet.
        attempt: Which try of the slot it is, from 1.
    """

    job: str
    slot: float
    token: int = 0
    attempt: int = 1


RUN_UNDER_WAY: ContextVar[JobRun | None] = ContextVar("plughost_job_run", default=None)
"""Set by the scheduler around a run; read it with ``current_run``."""


def current_run() -> JobRun | None:
    """Return the run that this code is part of; None outside of a job with ``scope="fleet"``."""
    return RUN_UNDER_WAY.get()


class JobSlots(Protocol):
    """When a job is due: the same moments on every host that has the same schedule."""

    def after(self, moment: float) -> float:
        """Return the first slot later than ``moment``."""

    def before(self, moment: float) -> float:
        """Return the last slot at or before ``moment``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetJob:
    """A job that the whole fleet runs once for each slot, as a gate is told of it.

    Attributes:
        key: ``OWNER:NAME``, the same on all hosts.
        schedule: When it runs, for people.
        definition: Changes when the schedule or what holds for missed slots does.
        slots: When it is due.
        missed: What becomes of slots that passed with nobody there.
        window: Seconds after which a slot is not started any more; None for no bound.
        retries: How often a slot is given again, when its run failed or its host was lost.
        outage: What happens while the store is away.
    """

    key: str
    schedule: str
    definition: str
    slots: JobSlots
    missed: MissedSlots = "latest"
    window: float | None = None
    retries: int = 0
    outage: JobOutage = "closed"


@runtime_checkable
class JobGate(Protocol):
    """Decides which host runs a slot of a fleet job. The fleet plugin provides it as a service."""

    @property
    def zone(self) -> tzinfo:
        """The zone in which cron expressions are meant, the same on all hosts."""

    async def next_run(self, job: FleetJob) -> JobRun | None:
        """Return when this host is to start a run of ``job``; it has been claimed.

        None means that the gate closes: whoever takes its place is asked then.
        """

    async def lost(self, run: JobRun) -> None:
        """Return when this host must not go on with a run; called while it runs, and cancelled when it ends."""

    def finish(self, run: JobRun, error: str) -> None:
        """Note that a run ended; ``error`` is empty when it went well. The gate tells the fleet by itself."""
