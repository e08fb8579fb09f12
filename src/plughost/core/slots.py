"""When jobs of a fleet are due: moments that every host with the same schedule finds by itself.

They are counted from the epoch and in UTC, because "one interval after the start" and local time differ from host
to host. All are whole milliseconds, so that a slot is the same number wherever it is written down.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from cronsim import CronSim

from plughost.contracts.jobs import Job
from plughost.contracts.plugin import seconds_of
from plughost.core.schedules import CronSchedule, IntervalSchedule


def slots_of(job: Job) -> IntervalSlots | CronSlots:
    """Return the slots of a job whose schedule is right."""
    return CronSlots(job.cron) if job.cron is not None else IntervalSlots(seconds_of(job.every or 0.0))


class IntervalSlots:
    """``JobSlots`` at equal distances from the epoch on.

    Args:
        seconds: The interval; less than a millisecond counts as one.

    Raises:
        ValueError: It is not a finite number above zero.
    """

    def __init__(self, seconds: float) -> None:
        self.description = IntervalSchedule(seconds).description
        self._step = max(1, round(seconds * 1000))

    def after(self, moment: float) -> float:
        """Return the first slot later than ``moment``."""
        return (_milliseconds(moment) // self._step + 1) * self._step / 1000

    def before(self, moment: float) -> float:
        """Return the last slot at or before ``moment``."""
        return _milliseconds(moment) // self._step * self._step / 1000


class CronSlots:
    """``JobSlots`` by a cron expression in UTC.

    Args:
        expression: Five fields.

    Raises:
        ValueError: The expression is wrong, or never comes true.
    """

    def __init__(self, expression: str) -> None:
        self.description = f"{CronSchedule(expression, UTC).description} UTC"
        self._expression = expression

    def after(self, moment: float) -> float:
        """Return the first slot later than ``moment``."""
        return self._next(math.floor(moment), reverse=False)

    def before(self, moment: float) -> float:
        """Return the last slot at or before ``moment``."""
        return self._next(math.floor(moment) + 1, reverse=True)

    def _next(self, second: int, *, reverse: bool) -> float:
        start = datetime.fromtimestamp(second, UTC)
        return next(CronSim(self._expression, start, reverse=reverse)).timestamp()


def _milliseconds(moment: float) -> int:
    return math.floor(moment * 1000 + 0.001)  # a slot divided by 1000 may be a little less than it was
