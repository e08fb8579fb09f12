"""The two clocks of a session."""

from __future__ import annotations

import msgspec

from plughost.contracts import Seconds, StoredSession, seconds_of


class Lifetimes(msgspec.Struct, frozen=True):
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
