"""When jobs of a fleet are due: moments that every host with the same schedule finds by itself.

They are counted from the epoch and in one zone for all, because "one interval after the start" and local time differ
from host to host. All are whole milliseconds, so that a slot is the same number wherever it is written down.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, tzinfo

from cronsim import CronSim

from plughost.contracts.jobs import Job
from plughost.contracts.plugin import seconds_of
from plughost.core.schedules import CronSchedule, IntervalSchedule, next_by_cron


def slots_of(job: Job, zone: tzinfo) -> IntervalSlots | CronSlots:
    """Return the slots of a job whose schedule is right."""
    return CronSlots(job.cron, zone) if job.cron is not None else IntervalSlots(seconds_of(job.every or 0.0))


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
    """``JobSlots`` by a cron expression; what daylight saving makes of them is told in ``schedules``.

    Args:
        expression: Five fields.
        zone: The zone it is meant in.

    Raises:
        ValueError: The expression is wrong, or never comes true.
    """

    def __init__(self, expression: str, zone: tzinfo = UTC) -> None:
        self.description = f"{CronSchedule(expression, zone).description} {zone}"
        self._expression = expression
        self._zone = zone

    def after(self, moment: float) -> float:
        """Return the first slot later than ``moment``."""
        return next_by_cron(self._expression, math.floor(moment), self._zone)

    def before(self, moment: float) -> float:
        """Return the last slot at or before ``moment``."""
        second = math.floor(moment)
        start = datetime.fromtimestamp(second + 1, self._zone)
        slot = next(CronSim(self._expression, start, reverse=True)).timestamp()
        # Where clocks are changed, cronsim does not find backwards what it finds forwards.
        if self._zone is UTC or (slot <= second < self.after(slot) and self.after(slot - 1) == slot):
            return slot
        span = _SHORTEST_LOOK
        while (slot := self.after(second - span)) > second:
            span *= 8
        while (later := self.after(slot)) <= second:
            slot = later
        return slot


_SHORTEST_LOOK = 120  # seconds


def _milliseconds(moment: float) -> int:
    return math.floor(moment * 1000 + 0.001)  # a slot divided by 1000 may be a little less than it was
