"""Loads that outlive the request that began them: a stop waits for their end, as the host does for requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio


class UnderWay:
    """Counts loads that have begun and not ended."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = anyio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count something for the length of a block."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def end(self, within: float) -> None:
        """Return when nothing is being done, or after so many seconds."""
        with anyio.move_on_after(within):
            while self._count:
                self._idle = anyio.Event()
                await self._idle.wait()
