"""Time, as a thing that is handed in: whoever waits or measures takes a ``Clock``, so tests need not sleep."""

from __future__ import annotations

import time
from typing import Protocol

import anyio


class Clock(Protocol):
    """The three things a program asks of time, in seconds."""

    def time(self) -> float:
        """Wall-clock time since the epoch; may jump."""

    def monotonic(self) -> float:
        """Time that never goes back; only differences mean something."""

    async def sleep(self, seconds: float) -> None:
        """Return after that long; cancellable."""


class SystemClock:
    """The machine's own time."""

    # In this order: inside the class, `time` names the module only until it is assigned.
    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """Return after that long."""
        await anyio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
"""The clock that is taken when none is handed in."""


class SteadyTime:
    """Wall-clock time that only goes forward while the process lives.

    When somebody sets the clock back, time here goes on at the pace of the monotonic clock: nothing lives
    longer for it. When the clock is set forward it follows at once: what is kept may end early, never late.
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
