"""Stepping a stranger's coroutine so that one can walk away from it.

Cancelling asks; a coroutine that catches the cancellation and goes on cannot be made to stop. So what waits is
stepped by a generator that hands the event loop whatever it waits for, and can stop doing so. Everything that
runs a stranger's coroutine, a hook call, a plugin's task or a time limit, does it through here.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, Final, Protocol

import anyio
import sniffio

from plughost.core.containment import is_interrupt, stray

Coro = Coroutine[Any, Any, Any]
_Future = asyncio.Future

_CLOSING_ROUNDS = 32  # how many awaits in ``finally`` clauses a coroutine may have left when it is closed


class AbandonedError(Exception):
    """The coroutine would not end and is not stepped any more."""


class LimitPassedError(TimeoutError):
    """The call took longer than its limit and was cancelled, or abandoned.

    Apart from ``TimeoutError``, so that one raised by the called code is not taken for it.
    """


event_library = sniffio.thread_local
"""What runs in this thread, in ``name``: ``"trio"``, or None for asyncio and nothing."""

ENDED: Final = object()
"""What ``next(called.__await__(), ENDED)`` gives where nothing was waited for: that takes half the time of an exception
that is raised and caught, and most of what a request goes through never waits."""


def belongs_to_caller(error: BaseException) -> bool:
    """Whether ``error``, out of code that ran in its caller's task, is the caller's cancellation or the end of it all.

    A stranger's code may also have waited for something that somebody else cancelled.
    """
    if isinstance(error, Exception):
        return False
    if isinstance(error, BaseExceptionGroup):
        return any(belongs_to_caller(each) for each in error.exceptions)
    if isinstance(error, GeneratorExit) or is_interrupt(error):
        return True
    if isinstance(error, asyncio.CancelledError):
        try:
            task = asyncio.current_task()
        except RuntimeError:  # no event loop, so nobody to be cancelled
            return False
        return task is None or task.cancelling() > 0
    return (
        event_library.name == "trio"
        and isinstance(error, anyio.get_cancelled_exc_class())
        and anyio.current_effective_deadline() == -math.inf
    )


def step_at_once(coroutine: Coro) -> Any:
    """Run a coroutine in which nothing waits; return what it returns.

    Raises:
        AssertionError: Something in it waits after all.
    """
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise AssertionError("nothing may wait here, and yet something does")


def own_exits_contained(called: Awaitable[Any], point: str = "") -> Awaitable[None] | None:
    """Step what a call gave to await to where it first waits; return the rest, or None where nothing was waited for.

    The rest is to be awaited at once. From outside, a ``GeneratorExit`` that a coroutine raises looks like that of its
    closing. Here they come by different ways: a closing arrives while it waits.

    Raises:
        StrayError: It raised ``GeneratorExit``, though nobody closed it.
    """
    stepped = called.__await__()
    try:
        waiting = next(stepped, ENDED)
    except GeneratorExit as error:
        raise stray(error, point) from error
    return None if waiting is ENDED else _rest_with_own_exits_contained(stepped, waiting, point)


@types.coroutine
def _rest_with_own_exits_contained(stepped: Any, waiting: Any, point: str) -> Generator[Any, Any, None]:
    step: Callable[[Any], Any]
    value: Any
    while True:
        try:
            value, step = (yield waiting), stepped.send
        except GeneratorExit:
            stepped.close()
            raise
        except BaseException as error:
            value, step = error, stepped.throw
        try:
            waiting = step(value)
        except StopIteration:
            return
        except GeneratorExit as error:
            raise stray(error, point) from error


class Driven:
    """What the driver and whoever watches it tell each other.

    Attributes:
        cut: Whether the coroutine is to be abandoned when the task wakes.
        delivered: The last cancellation that went into the coroutine.
        unclosable: Where coroutines are kept that cannot even be closed.
    """

    __slots__ = ("cut", "delivered", "unclosable")

    def __init__(self, unclosable: list[object]) -> None:
        self.cut = False
        self.delivered: asyncio.CancelledError | None = None
        self.unclosable = unclosable


@types.coroutine
def drive(
    coroutine: Coro, waiting: Any, driven: Driven, thrown: BaseException | None = None
) -> Generator[Any, Any, Any]:
    """Step ``coroutine``, which waits for ``waiting``, to its end on asyncio; return what it returns.

    ``thrown`` is what came instead of what it waits for, if that is so.

    A plain future, or nothing at all, is handed on to the task. Any other future decides itself what a
    cancellation does to it, as a task or ``gather`` does, and could hold up the caller.

    Raises:
        AbandonedError: It was cut.
    """
    while True:
        value: Any
        step: Callable[[Any], Any]
        try:
            if thrown is not None:
                error, thrown = thrown, None
                raise error
            if waiting is not None and type(waiting) is not _Future and isinstance(waiting, _Future):
                yield from _await_refusing(waiting, driven)
                value = None
            else:
                value = yield waiting
            step = coroutine.send
        except GeneratorExit:
            dispose(coroutine, driven.unclosable)
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                driven.delivered = error
            value, step = error, coroutine.throw
        if driven.cut:
            dispose(coroutine, driven.unclosable)
            raise AbandonedError
        try:
            waiting = step(value)
        except StopIteration as done:
            return done.value
        except GeneratorExit as error:  # its own: nobody closed it
            raise stray(error) from error


def _await_refusing(future: asyncio.Future[Any], driven: Driven) -> Generator[Any, Any, None]:
    """Wait for a future that may refuse to be cancelled, through one that may not.

    As when a task waits for it directly, a cancellation is passed on to it and its answer awaited, unless the
    driver was cut.
    """
    while not future.done() and not driven.cut:
        between = future.get_loop().create_future()

        def wake(_: object, between: asyncio.Future[None] = between) -> None:
            if not between.done():
                between.set_result(None)

        future.add_done_callback(wake)
        try:
            yield from between
        except asyncio.CancelledError as error:
            driven.delivered = error
            if not driven.cut and not future.cancel(*error.args):
                raise
        finally:
            future.remove_done_callback(wake)


def dispose(coroutine: Coro, unclosable: list[object]) -> None:
    """Close a coroutine that is waiting, whatever it thinks of that.

    Each round throws ``GeneratorExit`` at the point where it waits, so that ``with`` blocks are left on the
    way out. One that catches even this for ever is kept in ``unclosable``, where nobody steps it.
    """
    for _ in range(_CLOSING_ROUNDS):
        try:
            coroutine.close()
        except KeyboardInterrupt:
            raise
        except BaseException:  # what a coroutine raises that nobody awaits any more interests nobody
            if inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:
                return
        else:
            return
    unclosable.append(coroutine)


class Patience(Protocol):
    """When a coroutine on trio has gone on for too long."""

    def is_over(self) -> bool:
        """Asked each time the coroutine is about to go on: whether it is to be abandoned instead."""

    def in_nursery(self) -> bool:
        """Whether the coroutine stands in a nursery of its own."""


def nurseries() -> int:
    """How many nurseries are open in the current trio task."""
    from trio.lowlevel import current_task  # trio is there when this is asked, and only then

    return len(current_task().child_nurseries)


@types.coroutine
def drive_on_trio(
    coroutine: Coro,
    waiting: Any,
    patience: Patience,
    unclosable: list[object],
    thrown: BaseException | None = None,
) -> Generator[Any, Any, Any]:
    """Step ``coroutine``, which waits for ``waiting``, to its end on trio; return what it returns.

    One that stands in a nursery cannot be left there, or trio would wake a task that is long elsewhere. It is
    driven out first: closed instead of cancelled once more, and stepped while the nursery waits for its
    children. So a child that will not end holds up the caller, as it does everywhere on trio.

    Args:
        coroutine: What is stepped; the scope around it cancels it.
        waiting: What it waits for now.
        patience: Tells when to abandon it.
        unclosable: Where coroutines are kept that cannot even be closed.
        thrown: What came instead of what it waits for, if that is so.

    Raises:
        AbandonedError: Patience was over.
    """
    over = False
    while True:
        step, value = yield from _hand_on(coroutine, waiting, unclosable, thrown)
        thrown = None
        over = over or patience.is_over()
        if over:
            if not patience.in_nursery():
                dispose(coroutine, unclosable)
                raise AbandonedError
            if isinstance(getattr(value, "error", None), BaseException):  # trio sends what is to be raised
                step, value = coroutine.throw, GeneratorExit()
        try:
            waiting = step(value)
        except StopIteration as done:
            return done.value
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if over:
                raise AbandonedError from None
            if isinstance(error, GeneratorExit):
                raise stray(error) from error
            raise


def _hand_on(
    coroutine: Coro, waiting: Any, unclosable: list[object], thrown: BaseException | None
) -> Generator[Any, Any, tuple[Callable[[Any], Any], Any]]:
    """Let the event loop have what ``coroutine`` waits for; return how to go on, and with what."""
    try:
        if thrown is not None:
            raise thrown
        return coroutine.send, (yield waiting)
    except GeneratorExit:
        dispose(coroutine, unclosable)
        raise
    except BaseException as error:
        return coroutine.throw, error
