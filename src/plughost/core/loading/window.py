"""A sliding window: at most so many at once, and when a place falls free the most urgent one gets it."""

from __future__ import annotations

import heapq
from contextlib import AbstractAsyncContextManager
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

    def place(self, urgency: float = 0.0) -> AbstractAsyncContextManager[None]:
        """Wait for a place, hold it for the length of a block, give it on."""
        return _Place(self, urgency)

    async def enter(self, urgency: float = 0.0) -> None:
        """Wait for a place; whoever has it gives it on by ``leave``, be it another task."""
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
                self.leave()
            else:
                self._waiting = [item for item in self._waiting if item[2] is not turn]
                heapq.heapify(self._waiting)
            raise

    def leave(self) -> None:
        """Give a place on to the most urgent one that waits."""
        if self._waiting:
            heapq.heappop(self._waiting)[2].set()
        else:
            self._free += 1


class _Place(AbstractAsyncContextManager[None]):
    """A place for the length of a block; a generator would take several times as long."""

    def __init__(self, window: Window, urgency: float) -> None:
        self._window = window
        self._urgency = urgency

    async def __aenter__(self) -> None:
        await self._window.enter(self._urgency)

    async def __aexit__(self, *_: object) -> None:
        self._window.leave()
