"""Awaiting somebody else's code for so long and no longer, on a clock that is handed in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from plughost.contracts.clock import Clock

T = TypeVar("T")


class LimitPassedError(TimeoutError):
    """The call took longer than its limit and was cancelled.

    Apart from ``TimeoutError``, so that one raised by the called code is not taken for it.
    """


class _Outcome(Generic[T]):
    """What became of the call; empty when it was cancelled."""

    __slots__ = ("error", "late", "value")

    def __init__(self) -> None:
        self.value: T | None = None
        self.error: BaseException | None = None
        self.late = False


async def call_within(seconds: float, function: Callable[[], Awaitable[T]], clock: Clock) -> T | None:
    """Await ``function()`` and return its value.

    The call runs in a task of its own: a cancellation that it brings on itself does not reach the caller,
    while the caller's cancellation reaches it. What it raises is raised here as it is, not in a group.

    Args:
        seconds: The limit; ``math.inf`` is none.
        function: Called without arguments.
        clock: Measures the limit.

    Returns:
        The value; None too when the call cancelled itself.

    Raises:
        LimitPassedError: It took longer.
    """
    outcome: _Outcome[T] = _Outcome()

    async def run() -> None:
        try:
            outcome.value = await function()
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # raised again below, in the task of the caller, KeyboardInterrupt too
            outcome.error = error
        finally:
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.sleep(seconds)
        outcome.late = True
        tasks.cancel_scope.cancel()
    if outcome.error is not None:
        raise outcome.error
    if outcome.late:
        raise LimitPassedError(f"took longer than its limit of {seconds:g} s")
    return outcome.value
