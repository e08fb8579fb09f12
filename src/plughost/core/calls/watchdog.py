"""Time limits: one shared timer for each event loop, and none for an implementation that does not wait.

An implementation is stepped once. When that ends it, no limit was needed: none can stop code that does not
await. Only when it really waits, a ``Watch`` with its deadline is laid down for the ticker to look at. At the
deadline the ticker cancels the task as ``asyncio.timeout`` would; an implementation that swallows that gets a
grace period and is then abandoned. On trio a cancel scope does the first part.
"""

from __future__ import annotations

import asyncio
import math
import types
import weakref
from collections.abc import Callable, Generator
from time import monotonic
from typing import Any

import anyio

from plughost.core.containment import stray
from plughost.core.stepping import (
    Coro,
    Driven,
    LimitPassedError,
    drive,
    drive_on_trio,
    event_library,
    nurseries,
)
from plughost.exceptions import Refused

_MESSAGE = "plughost: this passed its limit"
_CLOSEST = 0.01  # seconds between two looks of a ticker


class Watchdog:
    """Awaits implementations, each for so long and no longer; belongs to one dispatcher or one application.

    Attributes:
        unclosable: Coroutines that swallowed even being closed. They are kept so that nobody steps them.

    Args:
        grace: Seconds an implementation has to end after it was cancelled.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._tickers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Ticker]
        self._tickers = weakref.WeakKeyDictionary()
        self._last: tuple[Callable[[], object], Ticker] = (lambda: None, Ticker(grace))
        self.unclosable: list[object] = []

    def watch(self) -> Watch | Unwatched:
        """Return what watches one call in the current task; on trio that is nothing, scopes do it there."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return Unwatched(self.unclosable)
        task = asyncio.current_task(loop)
        return (
            Unwatched(self.unclosable) if task is None else Watch(task, loop, self._of(loop), self.unclosable)
        )

    async def finish(
        self, coroutine: Coro, limit: float | None, watching: Callable[[], Watch | Unwatched]
    ) -> Any:
        """Await ``coroutine`` for at most ``limit`` seconds; ``watching`` is asked for a watch once it really waits.

        Raises:
            LimitPassedError: It took longer.
            StrayError: It raised ``GeneratorExit``, though nobody closed it.
        """
        if limit is not None and event_library.name == "trio":
            return await self.guard_by_scope(coroutine, limit)
        try:
            waiting = coroutine.send(None)
        except StopIteration as done:
            return done.value
        except GeneratorExit as error:  # its own: the caller's would come where it waits
            raise stray(error) from error
        return await watching().hold(coroutine, waiting, limit)

    async def finish_alone(self, coroutine: Coro, limit: float | None) -> Any:
        """Do the same for an implementation that has a task for itself."""
        watch = self.watch()
        try:
            return await self.finish(coroutine, limit, lambda: watch)
        finally:
            watch.end()

    def ticker(self) -> Ticker:
        """Return the ticker of the running event loop."""
        return self._of(asyncio.get_running_loop())

    def _of(self, loop: asyncio.AbstractEventLoop) -> Ticker:
        last, ticker = self._last
        if last() is not loop:  # a look into the dictionary costs more than all else here
            ticker = self._tickers.get(loop) or Ticker(self._grace)
            self._tickers[loop], self._last = ticker, (weakref.ref(loop), ticker)
        return ticker

    async def guard_by_scope(self, coroutine: Coro, limit: float) -> Any:
        """Await ``coroutine`` for at most ``limit`` seconds on trio.

        Raises:
            LimitPassedError: It took longer. Its result, should it have come late, is dropped.
        """
        end = anyio.current_time() + limit
        scope = anyio.CancelScope(deadline=end)
        patience = _TrioPatience(scope, end + self._grace)
        try:
            with scope:
                value = await self._run_on_trio(coroutine, patience)
                if not patience.turns:
                    return value
        except Refused:
            raise
        except Exception as error:
            if not patience.turns:
                raise
            raise LimitPassedError from error
        raise LimitPassedError

    async def _run_on_trio(self, coroutine: Coro, patience: _TrioPatience) -> Any:
        try:
            waiting = coroutine.send(None)
        except StopIteration as done:
            return done.value
        except GeneratorExit as error:
            raise stray(error) from error
        return await drive_on_trio(coroutine, waiting, patience, self.unclosable)


class _TrioPatience:
    """How long an implementation on trio may go on after its scope was cancelled.

    Attributes:
        turns: How often it has gone on since.
    """

    _TURNS = 1000  # trio cancels each further wait at once, so swallowing it makes a busy loop

    def __init__(self, scope: anyio.CancelScope, end: float) -> None:
        self._scope = scope
        self._end = end
        self._nurseries = nurseries()
        self.turns = 0

    def in_nursery(self) -> bool:
        return nurseries() > self._nurseries

    def is_over(self) -> bool:
        if not self._scope.cancel_called:
            return False
        self.turns += 1
        return self.turns > self._TURNS or anyio.current_time() > self._end


class Endless:
    """Never over: for an implementation without a limit."""

    def is_over(self) -> bool:
        """No."""
        return False

    def in_nursery(self) -> bool:
        """Of no interest."""
        return False


class Unwatched:
    """Stands in for a ``Watch`` where there is no asyncio task to cancel, and so no limit to keep."""

    __slots__ = ("_unclosable",)

    def __init__(self, unclosable: list[object]) -> None:
        self._unclosable = unclosable

    def end(self, first: Any = None, run: object = None) -> None:
        """The call is over, which ``run`` had begun with the coroutine ``first``."""
        if first is not None and first.cr_frame is not None:
            self._unclosable.append(run)

    def give_up(self) -> None:
        """There is nothing to cancel."""

    def lay_down(self, limit: float | None) -> None:
        """There is nothing that could keep a limit."""

    async def hold(
        self, coroutine: Coro, waiting: Any, limit: float | None, thrown: BaseException | None = None
    ) -> Any:
        """Go on with a coroutine that was stepped once and is ``waiting`` for something, or got ``thrown`` instead."""
        return await drive_on_trio(coroutine, waiting, Endless(), self._unclosable, thrown)


class Watch(Driven):
    """The waiting implementations of one call, one after the other, under the eyes of the ticker.

    Attributes:
        task: The caller's task.
        before: How many cancellations had been requested of the task when the watch began.
        deadline: When the ticker has to act next, in the event loop's time.
        cancels: How often the ticker has cancelled the task.
    """

    __slots__ = ("_ticker", "_time", "before", "cancels", "deadline", "task")

    def __init__(
        self,
        task: asyncio.Task[Any],
        loop: asyncio.AbstractEventLoop,
        ticker: Ticker,
        unclosable: list[object],
    ) -> None:
        # What ``Driven`` has, without a call: this is made for every call that waits
        self.cut, self.delivered, self.unclosable = False, None, unclosable
        self.task = task
        # asyncio's own is a function in Python around this one, and each implementation that waits asks it
        self._time = monotonic if type(loop).time is asyncio.BaseEventLoop.time else loop.time
        self.before = task.cancelling()
        self.deadline = math.inf
        self.cancels = 0
        self._ticker = ticker
        ticker.watches.add(self)

    def end(self, first: Any = None, run: object = None) -> None:
        """The call is over, which ``run`` had begun with the coroutine ``first``."""
        # When it could not be closed, ``run`` would try again
        if first is not None and first.cr_frame is not None:
            self.unclosable.append(run)
        self._ticker.watches.discard(self)

    def give_up(self) -> None:
        """Let the ticker act in the next turn of the event loop, as if a limit had passed."""
        self.deadline = now = self._time()
        if now < self._ticker.due:
            self._ticker.arm(self.task.get_loop(), now)

    def lay_down(self, limit: float | None) -> None:
        """Have the ticker act in ``limit`` seconds, instead of what was laid down before."""
        due = self.deadline = math.inf if limit is None else self._time() + limit
        if due < self._ticker.due:
            self._ticker.arm(self.task.get_loop(), due)

    @types.coroutine
    def hold(
        self, coroutine: Coro, waiting: Any, limit: float | None, thrown: BaseException | None = None
    ) -> Generator[Any, Any, Any]:
        """Go on with a coroutine that was stepped once and is ``waiting`` for something, or got ``thrown`` instead.

        Raises:
            LimitPassedError: It took longer than ``limit`` seconds from now, whatever came of it afterwards,
                but for a refusal.
            CancelledError: The caller was cancelled; swallowing it is not an implementation's to do.
        """
        if limit is not None:
            self.lay_down(limit)
        try:
            # The usual; all else is for the driver
            while thrown is None and (waiting is None or type(waiting) is asyncio.Future):
                try:
                    value = yield waiting
                except BaseException as error:
                    thrown = error
                    break
                try:
                    waiting = coroutine.send(value)
                except StopIteration as done:
                    self.deadline = math.inf
                    return done.value
                except GeneratorExit as error:  # its own: nobody closed it
                    raise stray(error) from error
            value = yield from drive(coroutine, waiting, self, thrown)
        except BaseException as error:
            self.deadline = math.inf
            yield from self._settle(error).__await__()
            raise
        self.deadline = math.inf
        if self.delivered is not None:
            yield from self._settle(None).__await__()
        return value

    async def _settle(self, error: BaseException | None) -> None:
        """Sort out whose cancellation it was that an implementation got.

        As in ``asyncio.timeout``, the task's count of requests tells whether somebody else wants it
        cancelled.

        Args:
            error: What came out of the implementation, None when it returned.
        """
        ours, delivered = self.cancels, self.delivered
        self.cancels, self.delivered, self.cut = 0, None, False
        for _ in range(ours):
            self.task.uncancel()
        if isinstance(error, KeyboardInterrupt | GeneratorExit):
            return
        if delivered is not None and self.task.cancelling() > self.before:
            if isinstance(error, asyncio.CancelledError) and not ours:
                return
            # A cancelled anyio scope cancels again in the next turn, in words that it knows for its own.
            await asyncio.sleep(0)
            raise asyncio.CancelledError from None
        if ours and not isinstance(error, Refused):
            raise LimitPassedError from None if isinstance(error, asyncio.CancelledError) else error


class Ticker:
    """Looks at the watches of one event loop, and cancels the tasks of those whose deadline has come.

    Its timer runs only while one of them has a deadline.

    Attributes:
        watches: The watches of the calls that wait.
        due: When it looks at them next.
    """

    def __init__(self, grace: float) -> None:
        self.watches: set[Watch] = set()
        self._grace = grace
        self.due = math.inf  # the handle of the timer is not kept: it would keep the event loop

    def arm(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        """Look at the watches when it is ``due``, in the event loop's time."""
        self.due = due
        loop.call_at(due, self._tick, loop, due)

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if due != self.due:
            return  # an earlier one took its place
        self.due = math.inf
        now = loop.time()
        for watch in self.watches:
            if watch.deadline <= now:
                watch.cut = watch.cancels > 0  # it was asked before
                watch.cancels += 1
                watch.deadline = now + self._grace
                watch.task.cancel(_MESSAGE)
        next_deadline = min((watch.deadline for watch in self.watches), default=math.inf)
        if next_deadline < math.inf:
            self.arm(loop, max(next_deadline, now + _CLOSEST))
