"""What the health checks found a moment ago, for those who need not know more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from plughost.contracts.clock import Clock
from plughost.contracts.health import HealthReport

GOOD_FOR: Final = 5.0
"""Seconds that a stranger may be told what the checks found before."""


class RecentReport:
    """What all checks found, run once for all strangers who ask at about the same time.

    Checks ask databases and servers: without this, a stranger's request of a hundred bytes would be the cheapest way
    to keep them busy. Whoever may see figures is told what is true now.

    Args:
        look: Runs the checks.
        clock: Tells how old a report is.
    """

    def __init__(self, look: Callable[[], Awaitable[HealthReport]], clock: Clock) -> None:
        self._look = look
        self._clock = clock
        self._one_at_a_time = anyio.Lock()
        self._report: HealthReport | None = None
        self._made = 0.0

    async def get(self, *, told: bool) -> HealthReport:
        """Return a report; one of a moment ago, unless who asks is told figures."""
        if told:
            return await self._run()
        async with self._one_at_a_time:
            if self._report is not None and self._clock.monotonic() - self._made < GOOD_FOR:
                return self._report
            return await self._run()

    async def _run(self) -> HealthReport:
        report = await self._look()
        self._report, self._made = report, self._clock.monotonic()
        return report
