"""A sliding window: at most so many at once, and when a place falls free the most urgent one gets it."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import anyio


class Window:
    """A limiter with priorities; fixed groups that wait for their slowest member cost up to twice the time.

    Args:
        size: How many may be inside at once, at least 1.
    """

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: list[tuple[float, int, anyio.Event]] = []
        self._order = count()

    @asynccontextmanager
    async def place(self, urgency: float) -> AsyncIterator[None]:
        """Wait for a place, hold it, give it on."""
        await self._enter(urgency)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, urgency: float) -> None:
        if self._free:
            self._free -= 1
            return
        turn = anyio.Event()
        heapq.heappush(self._waiting, (-urgency, next(self._order), turn))
        try:
            await turn.wait()
        except BaseException:
            # Cancelled: either still queued, or already given a place that must go on to the next.
            if turn.is_set():
                self._leave()
            else:
                self._waiting = [item for item in self._waiting if item[2] is not turn]
                heapq.heapify(self._waiting)
            raise

    def _leave(self) -> None:
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self._free += 1
