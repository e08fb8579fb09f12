"""What a context makes of ``every`` and ``cron``: jobs, wherever the plugin runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, TypedDict, Unpack

from plughost.contracts.jobs import Job
from plughost.contracts.plugin import JobOutage, JobScope, MissedSlots, Seconds


class JobTerms(TypedDict, total=False):
    """How a job is scheduled, as ``Job`` describes it; what is left out is as there."""

    scope: JobScope
    missed: MissedSlots
    window: Seconds | None
    retries: int
    outage: JobOutage


class SchedulesJobs(ABC):
    """The part of a ``PluginContext`` that schedules, inside the host and in a process of the plugin's own."""

    @abstractmethod
    def schedule(self, job: Job) -> None:
        """Take a job."""

    def every(
        self,
        interval: Seconds,
        function: Callable[[], Any],
        *,
        name: str | None = None,
        **terms: Unpack[JobTerms],
    ) -> None:
        """Call ``function`` each ``interval``."""
        self.schedule(Job(name or _name_of(function), function, every=interval, **terms))

    def cron(
        self,
        expression: str,
        function: Callable[[], Any],
        *,
        name: str | None = None,
        **terms: Unpack[JobTerms],
    ) -> None:
        """Call ``function`` by a cron expression."""
        self.schedule(Job(name or _name_of(function), function, cron=expression, **terms))


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__)).rpartition(".")[2]
