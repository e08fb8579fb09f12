"""Running a stranger's coroutines in a task of the host's own, where all that they raise is theirs."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio

from plughost.core.containment import is_interrupt, stray
from plughost.core.stepping import Driven, drive, drive_on_trio, nurseries

T = TypeVar("T")


class Leash(Driven):
    """Holds the coroutines that one task runs for a plugin, one after the other.

    The task is the host's, so nobody else has a reason to cancel it: a cancellation that no scope around it asked
    for is the plugin's failure, as ``sys.exit()`` is. What comes out is therefore an ``Exception``, but for the
    person's interrupt and a cancellation of the host.

    ``pull`` cancels, politely and for good: everything awaited inside from now on is cancelled. ``let_go`` is for
    afterwards, when the coroutine has not ended all the same: it is never stepped again.
    """

    def __init__(self) -> None:
        super().__init__([])
        # Shielded: whoever cancels the host wants its plugins stopped in order, not cancelled all at once.
        self.scope = anyio.CancelScope(shield=True)
        self._task: asyncio.Task[Any] | None = None
        self._nurseries = 0

    async def run(self, coroutine: Coroutine[Any, Any, T], point: str = "") -> T:
        """Await ``coroutine``.

        Args:
            coroutine: What to await.
            point: Where it comes from, in words.

        Raises:
            AbandonedError: ``let_go`` was called.
            StrayError: It raised what is no ``Exception``, or was cancelled by somebody else than the host.
        """
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no asyncio loop runs here: this is trio
            task = None
        self._task = task
        before = task.cancelling() if task is not None else 0
        try:
            return await self._step(coroutine)
        except Exception:
            raise
        except GeneratorExit:
            task = None  # whoever closes this coroutine wants no more waiting in it
            raise
        except BaseException as error:
            if is_interrupt(error) or (
                isinstance(error, anyio.get_cancelled_exc_class()) and _is_cancelled()
            ):
                raise
            raise stray(error, point) from error
        finally:
            self._task = None
            if task is not None and task.cancelling() > before and not _is_cancelled():
                # A plugin did this to the task that ran it, as by ``asyncio.current_task().cancel()``. It may not
                # have been delivered yet: it would come at the next wait, which is the host's.
                while task.cancelling() > before:
                    task.uncancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)

    def pull(self) -> None:
        """Cancel what runs on the leash now and later."""
        self.scope.cancel()

    def let_go(self) -> None:
        """Let go of the coroutine at its next wake-up, and on asyncio see to it that it wakes, shielded or not."""
        self.cut = True
        if self._task is not None:
            self._task.cancel()

    def is_over(self) -> bool:
        """Asked on trio each time the coroutine is about to go on: whether it was let go."""
        return self.cut

    def in_nursery(self) -> bool:
        """Whether the coroutine stands in a nursery of its own, on trio."""
        return nurseries() > self._nurseries

    async def _step(self, coroutine: Coroutine[Any, Any, T]) -> T:
        self._nurseries = nurseries() if self._task is None else 0
        try:
            waiting = coroutine.send(None)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except GeneratorExit as error:
            raise stray(error) from error
        if self._task is not None:
            return await drive(coroutine, waiting, self)  # type: ignore[no-any-return]
        return await drive_on_trio(coroutine, waiting, self, self.unclosable)  # type: ignore[no-any-return]


def _is_cancelled() -> bool:
    """Whether a scope around the current task was cancelled."""
    return anyio.current_effective_deadline() == -math.inf
