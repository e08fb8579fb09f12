"""A clock that stands still until a test moves it."""

from __future__ import annotations

import heapq
from itertools import count

import anyio
import anyio.lowlevel


class FakeClock:
    """A ``Clock`` under the test's hand.

    ``await clock.advance(seconds)`` moves time on, wakes every sleeper whose moment came, in order, and lets
    each run as far as it can before the next wakes. It works on asyncio and on trio.

    Args:
        start: Wall-clock time at the beginning, in seconds since the epoch.
    """

    _SETTLE_TURNS = 20  # turns of the loop that a woken task gets to reach its next wait

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._start = start
        self._now = 0.0
        self._sleepers: list[tuple[float, int, anyio.Event]] = []
        self._order = count()

    def time(self) -> float:
        """Wall-clock time."""
        return self._start + self._now

    def monotonic(self) -> float:
        """Seconds that were advanced so far."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Move the wall clock alone, as an administrator or NTP would."""
        self._start += seconds

    async def sleep(self, seconds: float) -> None:
        """Return when the test has advanced that far."""
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        event = anyio.Event()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), event))
        await event.wait()

    async def advance(self, seconds: float) -> None:
        """Move time on and let everything that was waiting for it happen."""
        end = self._now + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            moment, _, event = heapq.heappop(self._sleepers)
            self._now = max(self._now, moment)
            event.set()
            await self._settle()
        self._now = end
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(self._SETTLE_TURNS):
            await anyio.lowlevel.checkpoint()
