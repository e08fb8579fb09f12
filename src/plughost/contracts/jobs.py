"""Jobs: what a plugin wants done again and again, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from plughost.contracts.plugin import JobScope, Seconds

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
            ``plughost serve --workers`` starts; a job of the ``host`` runs in the first of them only.
    """

    name: str
    function: JobFunction
    every: Seconds | None = None
    cron: str | None = None
    limit: float = 60.0
    scope: JobScope = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """What there is to say about one job at one moment. Times of day are seconds since the epoch.

    Attributes:
        name: Its name; a second one of the same name and plugin is ``NAME#2``.
        owner: Name of the plugin it belongs to.
        schedule: When it runs, for people: ``every 60 s``, ``cron 0 2 * * *``.
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
    next_run: float | None = None
    last_run: float | None = None
    last_duration: float | None = None
    last_error: str = ""
    runs: int = 0
    failures: int = 0
    running: bool = False
