"""The two clocks of a session, and a time that never goes back."""

from __future__ import annotations

from dataclasses import dataclass

from plughost.contracts import Clock, Seconds, StoredSession, seconds_of


class SteadyTime:
    """Wall-clock time that only goes forward while the process lives.

    When somebody sets the clock back, time here goes on at the pace of the monotonic clock: no session lives
    longer for it. When the clock is set forward it follows at once: sessions may end early, never late.
    """

    __slots__ = ("_monotonic", "_offset", "_time")

    def __init__(self, clock: Clock) -> None:
        self._time = clock.time
        self._monotonic = clock.monotonic
        self._offset = clock.time() - clock.monotonic()

    def __call__(self) -> float:
        """Seconds since the epoch; may be called from any thread, for one number is all that changes."""
        wall = self._time()  # read first: a pause between the two readings must not push time ahead
        mono = self._monotonic()
        offset = wall - mono
        if offset > self._offset:
            self._offset = offset
        return mono + self._offset


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions live.

    Attributes:
        idle: Seconds without being used.
        absolute: Seconds at most.
        touch: Use is noted in the store at most this often. A crash may shorten an idle clock by that much.
    """

    idle: float
    absolute: float
    touch: float

    def of(self, ttl: Seconds | None, absolute: Seconds | None) -> tuple[float, float]:
        """Return idle and absolute seconds for a new session; idle never outlives absolute."""
        whole = self.absolute if absolute is None else in_seconds(absolute)
        idle = self.idle if ttl is None else in_seconds(ttl)
        return min(idle, whole), whole

    def touch_is_due(self, row: StoredSession, now: float) -> bool:
        """Whether the use of a session should be noted: not more often than is worth a write."""
        if row.successor_of is not None:
            return False
        return now - row.touched_at >= min(self.touch, row.idle / 10)


def in_seconds(length: Seconds) -> float:
    """Return a positive length of time in seconds.

    Raises:
        ValueError: It is not positive, or not a number.
    """
    seconds = seconds_of(length)
    if not seconds > 0 or seconds == float("inf"):
        raise ValueError(f"a session lives for a positive number of seconds, not {length!r}")
    return seconds
