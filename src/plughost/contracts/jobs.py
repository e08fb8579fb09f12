"""Jobs: what a plugin wants done again and again, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from plughost._dataclasses import dataclass
from plughost.contracts.plugin import JobOutage, JobScope, MissedSlots, Seconds, check_function

JobFunction = Callable[[], Awaitable[object] | object]
"""Called without arguments. A plain function runs in a worker thread. What it returns is dropped."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do at an interval or by a cron expression; exactly one of the two is given.

    Attributes:
        name: How reports and ``run_now`` call it; need be unique only within its plugin.
        function: What to do.
        every: Seconds, or a ``timedelta``, from one start to the next; the first is one interval away.
        cron: Five fields (minute, hour, day of month, month, day of week), in local time.
        limit: Seconds that one run may take.
        scope: ``process`` for what concerns the memory of a process, which must run in each of those that
            ``plughost serve --workers`` starts; a job of the ``host`` runs in the first of them only; one of the
            ``fleet`` runs once for each slot, on whichever host claims it first. Slots of a fleet are the same on
            all hosts: those of an interval are counted from the epoch, those of a cron expression are in the fleet's
            own zone, UTC unless its setting ``zone`` says otherwise.
        missed: Of a fleet's job, which of the slots that passed with nobody there are run: the ``latest``, none
            (``skip``), or ``all``, at most 100, one after the other.
        window: Of a fleet's job, seconds after which a slot is not started any more; None for no bound.
        retries: Of a fleet's job, how often a slot is given again when its run failed or its host was lost. 0 means
            that a slot starts at most once.
        outage: Of a fleet's job, what happens on a host that cannot reach the fleet's store: it starts nothing
            (``closed``), or runs each slot by itself (``local``), for what may be done twice.
    """

    name: str
    function: JobFunction
    every: Seconds | None = None
    cron: str | None = None
    limit: float = 60.0
    scope: JobScope = "host"
    missed: MissedSlots = "latest"
    window: Seconds | None = None
    retries: int = 0
    outage: JobOutage = "closed"

    def __post_init__(self) -> None:
        """Refuse what is not a function: it would be found out when the job is due."""
        check_function(self.function, f"job {self.name!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What there is to say about one job at one moment. Times of day are seconds since the epoch.

    Attributes:
        name: Its name; a second one of the same name and plugin is ``NAME#2``.
        owner: Name of the plugin it belongs to.
        schedule: When it runs, for people: ``every 60 s``, ``cron 0 2 * * *``.
        scope: Where it runs, as in ``Job``.
        next_run: When it is due; None while the scheduler does not run.
        last_run: When the last run began; None before the first.
        last_duration: Seconds the last finished run took; None before the first has finished.
        last_error: What the last finished run failed of; empty when it did not.
        runs: How many runs have finished, failed ones too.
        failures: How many of them failed.
        running: Whether it is running now.
    """

    name: str
    owner: str
    schedule: str
    scope: JobScope = "host"
    next_run: float | None = None
    last_run: float | None = None
    last_duration: float | None = None
    last_error: str = ""
    runs: int = 0
    failures: int = 0
    running: bool = False
