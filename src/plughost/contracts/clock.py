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

    time = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Return after that long."""
        await anyio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
