"""What a context makes of ``every`` and ``cron``: jobs, wherever the plugin runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from plughost.contracts.jobs import Job
from plughost.contracts.plugin import JobOutage, JobScope, MissedSlots, Seconds


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
        scope: JobScope = "host",
        missed: MissedSlots = "latest",
        window: Seconds | None = None,
        retries: int = 0,
        outage: JobOutage = "closed",
    ) -> None:
        """Call ``function`` each ``interval``."""
        self.schedule(
            Job(
                name=name or _name_of(function), function=function, every=interval, scope=scope, missed=missed,
                window=window, retries=retries, outage=outage,
            )
        )  # fmt: skip

    def cron(
        self,
        expression: str,
        function: Callable[[], Any],
        *,
        name: str | None = None,
        scope: JobScope = "host",
        missed: MissedSlots = "latest",
        window: Seconds | None = None,
        retries: int = 0,
        outage: JobOutage = "closed",
    ) -> None:
        """Call ``function`` by a cron expression."""
        self.schedule(
            Job(
                name=name or _name_of(function), function=function, cron=expression, scope=scope, missed=missed,
                window=window, retries=retries, outage=outage,
            )
        )  # fmt: skip


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__)).rpartition(".")[2]
