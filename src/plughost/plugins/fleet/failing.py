"""How often calls fail on a host, and whether they fail more often where a change is followed than elsewhere."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from plughost.contracts import CallCounts, Clock, StoredMember

WINDOW = 60.0
"""Seconds that are looked back."""

FEWEST = 5
"""Failures below this number tell nothing."""


class RecentCalls:
    """What plugins of this host were asked for of late; it begins anew with each revision that the host follows.

    Args:
        count: Returns what they were asked for in all.
        clock: Time.
    """

    def __init__(self, count: Callable[[], CallCounts], clock: Clock) -> None:
        self._count = count
        self._clock = clock
        self._applied = 0
        self._counts: deque[tuple[float, CallCounts]] = deque([(clock.monotonic(), count())])
        self._before = CallCounts()

    def look(self, applied: int) -> tuple[CallCounts, CallCounts]:
        """Return the counts since the host followed ``applied``, and of the time before; each of a minute at most."""
        now, total = self._clock.monotonic(), self._count()
        self._counts.append((now, total))
        while self._counts[1][0] <= now - WINDOW:
            self._counts.popleft()
        recent = total - self._counts[0][1]
        if applied != self._applied:
            self._applied, self._before, recent = applied, recent, CallCounts()
            self._counts = deque([(now, total)])
        return recent, self._before


def fails_more_often(followers: Sequence[StoredMember], others: Sequence[StoredMember], ratio: float) -> str:
    """Return how much more often calls fail on those who follow a change; empty when they do not.

    They are held against the others, or, when nobody called anything there, against their own time before.

    Args:
        followers: Those who follow.
        others: Those who do not yet.
        ratio: How many times the others' share of failures theirs may be.
    """
    here = sum((CallCounts(one.calls, one.failures) for one in followers), CallCounts())
    there, where = sum((CallCounts(one.calls, one.failures) for one in others), CallCounts()), "elsewhere"
    if not there.calls:
        there = sum((CallCounts(one.calls_before, one.failures_before) for one in followers), CallCounts())
        where = "before"
    if here.failures < FEWEST or here.share <= ratio * there.share:
        return ""
    names = ", ".join(one.member for one in followers if one.failures)
    return (
        f"{names}: {here.failures} of {here.calls} calls failed, {where} {there.failures} of {there.calls}:"
        " the log of these hosts says why"
    )
