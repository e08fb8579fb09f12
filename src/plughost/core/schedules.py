"""When a job is due: at an interval, or by a cron expression in local time.

An interval is measured on the monotonic clock, so a wall clock that is set changes nothing. A cron expression
means the wall clock, which may jump and which daylight saving moves; cronsim supplies the rules of Debian's
cron:

- A job at a fixed time (``30 2 * * *``) that the switch to summer time leaves out runs right after the
switch. - A job at a fixed time that the switch to winter time brings twice runs once.
- A job with ``*`` or ``*/n`` as minute or hour goes by the time that passes: twice in the doubled hour, never
  in the missing one.

A slot that passed while nobody was there to see it (the machine slept, the clock was set forward) is due
once, however many such slots there were. A clock that is set back by up to three hours repeats nothing.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol

from cronsim import CronSim, CronSimError

from plughost.contracts.clock import Clock

_LONGEST_NAP: Final = 60.0  # seconds after which a cron schedule looks at the wall clock again
_SET_BACK: Final = 3 * 3600.0  # seconds; beyond that, the clock was wrong before and slots count again


class Schedule(Protocol):
    """Knows when the next slot is."""

    @property
    def description(self) -> str:
        """What people read."""

    @property
    def longest_nap(self) -> float:
        """Seconds after which ``seconds_left`` must be asked again, whatever it said."""

    def start(self, clock: Clock) -> None:
        """Begin to count."""

    def seconds_left(self, clock: Clock) -> float:
        """Return seconds until the next slot; zero or less when it is due."""

    def take(self, clock: Clock) -> None:
        """Take the slot that is due, and those that were missed with it."""


class IntervalSchedule:
    """Slots at equal distances, the first one interval after the start.

    Args:
        seconds: The interval.

    Raises:
        ValueError: It is not a finite number above zero.
    """

    longest_nap = math.inf

    def __init__(self, seconds: float) -> None:
        if not 0 < seconds < math.inf:
            raise ValueError(f"an interval is a number of seconds above zero, not {seconds!r}")
        self._seconds = float(seconds)
        self._due = 0.0

    @property
    def description(self) -> str:
        """Such as ``every 60 s``, ``every 5 min`` or ``every 1 h``."""
        for unit, length in (("h", 3600), ("min", 60)):
            if self._seconds > 60 and self._seconds % length == 0:
                return f"every {self._seconds // length:.0f} {unit}"
        return f"every {self._seconds:g} s"

    def start(self, clock: Clock) -> None:
        """Begin to count."""
        self._due = clock.monotonic() + self._seconds

    def seconds_left(self, clock: Clock) -> float:
        """Return seconds until the next slot."""
        return self._due - clock.monotonic()

    def take(self, clock: Clock) -> None:
        """Go to the first slot that is still to come."""
        late = max(0.0, clock.monotonic() - self._due)
        self._due += self._seconds * (1 + late // self._seconds)


class CronSchedule:
    """Slots by a cron expression.

    Args:
        expression: Five fields.
        zone: The zone it is meant in; the machine's own by default.

    Raises:
        ValueError: The expression is wrong, or never comes true.
    """

    longest_nap = _LONGEST_NAP

    def __init__(self, expression: str, zone: tzinfo | None = None) -> None:
        if not isinstance(expression, str):
            raise TypeError(f"cron is text such as '0 2 * * *', not {expression!r}")
        self._expression = expression
        self._zone = zone or LocalZone()
        self._latest = 0.0
        self._slot = 0.0
        form = "five fields: minute hour day-of-month month day-of-week, such as '0 2 * * *'"
        if len(self._expression.split()) != 5:
            raise ValueError(f"cron expression {self._expression!r} must have {form}")
        try:
            self._after(0.0)
        except CronSimError as error:
            what = str(error)[:1].lower() + str(error)[1:]
            raise ValueError(f"cron expression {self._expression!r}: {what}; it has {form}") from None
        except StopIteration:
            raise ValueError(f"cron expression {self._expression!r} never comes true") from None

    @property
    def description(self) -> str:
        """Such as ``cron 0 2 * * *``."""
        return f"cron {self._expression}"

    def start(self, clock: Clock) -> None:
        """Begin to count."""
        self._latest = clock.time()
        self._slot = self._after(self._latest)

    def seconds_left(self, clock: Clock) -> float:
        """Return seconds until the next slot, by the wall clock as it is now."""
        now = clock.time()
        self._latest = max(self._latest, now)  # a clock may be set back by a little again and again
        if self._latest - now > _SET_BACK:
            self._latest, self._slot = now, self._after(now)
        return self._slot - now

    def take(self, clock: Clock) -> None:
        """Go to the first slot that is still to come."""
        self._slot = self._after(max(clock.time(), self._slot))

    def _after(self, moment: float) -> float:
        return next_by_cron(self._expression, moment, self._zone)


def next_by_cron(expression: str, moment: float, zone: tzinfo) -> float:
    """Return the first slot later than ``moment``.

    In the second pass of a doubled hour cronsim begins with the slots of the first one, which are over by then.

    Raises:
        CronSimError: The expression is wrong.
        StopIteration: It never comes true.
    """
    slots = (slot.timestamp() for slot in CronSim(expression, datetime.fromtimestamp(moment, zone)))
    return next(slot for slot in slots if slot > moment)


class LocalZone(tzinfo):
    """The machine's time zone with its daylight saving, as the C library knows it.

    ``datetime.astimezone`` gives a fixed offset instead, which is wrong beyond the next switch.
    """

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """Return what local time is ahead of UTC."""
        if dt is None:
            return None
        local = dt.replace(tzinfo=None)
        return timedelta(seconds=round(local.replace(tzinfo=UTC).timestamp() - local.timestamp()))

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Return None: how much of the offset is daylight saving is not asked."""
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        """Return ``local``."""
        return "local"

    def fromutc(self, dt: datetime) -> datetime:
        """Return the local time of a moment in UTC; ``fold`` marks the second pass of a doubled hour."""
        return datetime.fromtimestamp(dt.replace(tzinfo=UTC).timestamp()).replace(tzinfo=self)
