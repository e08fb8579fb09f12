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
