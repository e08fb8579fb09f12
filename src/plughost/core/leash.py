"""Running a stranger's coroutine so that one can always walk away from it.

Cancelling asks; a coroutine that catches the cancellation and goes on cannot be made to stop. So the coroutine
is stepped by a small generator which can stop stepping it. Whoever awaits then goes on, and the stranger's
frames are closed behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import types
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

import anyio

T = TypeVar("T")


class LeashCutError(Exception):
    """Raised to whoever awaited a coroutine that would not end and was let go."""


class Leash:
    """Holds the coroutines that one task runs for a plugin, one after the other.

    ``pull`` cancels, politely and for good: everything awaited inside from now on is cancelled. ``cut`` is for
    afterwards, when the coroutine has not ended all the same: it is never stepped again.
    """

    def __init__(self) -> None:
        # Shielded: whoever cancels the host wants its plugins stopped in order, not cancelled all at once.
        self.scope = anyio.CancelScope(shield=True)
        self.is_cut = False
        self._task: asyncio.Task[Any] | None = None

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Await ``coroutine``.

        Raises:
            LeashCutError: ``cut`` was called and the coroutine was let go.
        """
        self._task = _asyncio_task()
        try:
            return await self._step(coroutine)
        finally:
            self._task = None

    def pull(self) -> None:
        """Cancel what runs on the leash now and later."""
        self.scope.cancel()

    def cut(self) -> None:
        """Let go of the coroutine at its next wake-up, and on asyncio see to it that it wakes, shielded or not."""
        self.is_cut = True
        if self._task is not None:
            self._task.cancel()

    @types.coroutine
    def _step(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        step: Any = coroutine.send
        value: Any = None
        while True:
            try:
                signal = step(value)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            # asyncio throws a cancellation in, trio sends it as an outcome: the flag is looked at either way.
            try:
                value = yield signal
                step = coroutine.send
            except BaseException as error:
                value, step = error, coroutine.throw
            if self.is_cut:
                with contextlib.suppress(BaseException):
                    coroutine.close()
                raise LeashCutError


def _asyncio_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no asyncio loop runs here: this is trio
        return None
