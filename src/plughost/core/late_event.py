"""An event that is made when somebody has to wait for it, as mostly nobody has."""

from __future__ import annotations

import anyio
import anyio.lowlevel


class LateEvent:
    """An ``anyio.Event`` at a tenth of its price where it is set before anybody asks."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._is_set = False
        self._event: anyio.Event | None = None

    def is_set(self) -> bool:
        """Whether it happened."""
        return self._is_set

    def set(self) -> None:
        """It happened: wake those who wait."""
        self._is_set = True
        if self._event is not None:
            self._event.set()

    async def wait(self) -> None:
        """Return when it has happened."""
        if self._is_set:
            await anyio.lowlevel.checkpoint()
            return
        if self._event is None:
            self._event = anyio.Event()
        await self._event.wait()

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for it."""
        return self._event is not None and bool(self._event.statistics().tasks_waiting)
