"""Awaiting somebody else's code for so long and no longer, on a clock that is handed in."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, TypeVar, cast

import anyio

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.core.containment import Point, contained
from plughost.core.leash import Leash
from plughost.core.stepping import AbandonedError, LimitPassedError

T = TypeVar("T")

_GRACE: Final = 1.0  # seconds that cancelled code has to come to an end before it is let go


class _Outcome(Generic[T]):
    """What became of the call; empty when it was cancelled."""

    __slots__ = ("error", "late", "value")

    def __init__(self) -> None:
        self.value: T | None = None
        self.error: BaseException | None = None
        self.late = False


async def call_within(
    seconds: float, function: Callable[[], Coroutine[Any, Any, T]], clock: Clock, point: str = ""
) -> T:
    """Await ``function()`` and return its value.

    The call runs in a task of its own: a cancellation that it brings on itself does not reach the caller,
    while the caller's cancellation reaches it. What it raises is raised here as it is, not in a group. A call
    that swallows its cancellation is let go a second after the limit.

    Args:
        seconds: The limit; ``math.inf`` is none.
        function: A coroutine function without arguments.
        clock: Measures the limit.
        point: Where the code comes from, in words.

    Raises:
        LimitPassedError: It took longer.
        StrayError: It raised what is no ``Exception``, or cancelled itself.
    """
    outcome: _Outcome[T] = _Outcome()
    leash = Leash()
    own = anyio.CancelScope()

    async def run() -> None:
        try:
            with own:
                outcome.value = await leash.run(function(), point)
        except anyio.get_cancelled_exc_class():
            raise
        except AbandonedError:
            pass
        except BaseException as error:  # raised again below, in the task of the caller, KeyboardInterrupt too
            outcome.error = error
        finally:
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await clock.sleep(seconds)
        outcome.late = True
        own.cancel()
        await clock.sleep(_GRACE)
        leash.let_go()
    if outcome.late and not isinstance(outcome.error, KeyboardInterrupt):
        raise LimitPassedError(f"took longer than its limit of {seconds:g} s") from outcome.error
    if outcome.error is not None:
        raise outcome.error
    return cast("T", outcome.value)


async def contained_call(
    point: Point,
    function: Callable[..., Any],
    *args: object,
    limit: float = math.inf,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Call a plugin's function, plain or async, for at most ``limit`` seconds of its waiting; return its value.

    A plain function runs here and now. What waits runs in a task of its own.

    Raises:
        Exception: As ``contained`` does.
        LimitPassedError: It took longer.
    """
    returned = contained(point, function, *args)
    if not inspect.isawaitable(returned):
        return returned

    async def wait() -> Any:
        return await returned

    return await call_within(limit, wait, clock, point)
