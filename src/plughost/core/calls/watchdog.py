"""Time limits: one shared timer for each event loop, and none for an implementation that does not wait.

An implementation is stepped once. When that ends it, no limit was needed: none can stop code that does not
await. Only when it really waits, a ``Watch`` with its deadline is laid down for the ticker to look at. At the
deadline the ticker cancels the task as ``asyncio.timeout`` would; an implementation that swallows that gets a
grace period and is then abandoned. On trio a cancel scope does the first part.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from types import SimpleNamespace
from typing import Any

import anyio

from plughost.core.calls.drive import Coro, Watch, drive, drive_on_trio
from plughost.exceptions import Refused

event_library: Any
"""What runs in this thread, in ``name``: ``"trio"``, or None for asyncio and nothing."""

try:
    import sniffio
except ImportError:  # it comes with trio, so that cannot be running
    event_library = SimpleNamespace(name=None)
else:
    event_library = sniffio.thread_local

_MESSAGE = "plughost: a hook implementation passed its limit"
_CLOSEST = 0.01  # seconds between two looks of a ticker


class LimitPassedError(Exception):
    """An implementation was stopped, or abandoned, because it passed its limit."""


class Watchdog:
    """Awaits implementations, each for so long and no longer; belongs to one dispatcher, serves many loops.

    Attributes:
        unclosable: Coroutines that swallowed even being closed. They are kept so that nobody steps them.

    Args:
        grace: Seconds an implementation has to end after it was cancelled.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._tickers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Ticker]
        self._tickers = weakref.WeakKeyDictionary()
        self.unclosable: list[object] = []

    async def guard(self, coroutine: Coro, limit: float | None) -> Any:
        """Await ``coroutine`` for at most ``limit`` seconds; None is no limit.

        Raises:
            LimitPassedError: It took longer. Its result, should it have come late, is dropped.
        """
        if limit is not None and event_library.name == "trio":
            return await self._guard_by_scope(coroutine, limit)
        try:
            waiting = coroutine.send(None)
        except StopIteration as done:
            return done.value
        return await self.hold(coroutine, waiting, limit)

    async def hold(self, coroutine: Coro, waiting: Any, limit: float | None) -> Any:
        """Go on with a coroutine that was stepped once and is ``waiting`` for something.

        Only on asyncio it has a limit: on trio that must be set before the first step.

        Raises:
            LimitPassedError: It took longer than ``limit`` from now.
        """
        task = current_asyncio_task()
        if task is None:
            return await drive_on_trio(coroutine, waiting, _never, self.unclosable)
        watch = Watch(task, self.unclosable)
        ticker = self._ticker()
        if limit is not None:
            ticker.add(watch, limit)
        try:
            value = await drive(coroutine, waiting, watch)
        except BaseException as error:
            ticker.discard(watch)
            await _settle(watch, error)
            raise
        ticker.discard(watch)
        if watch.delivered is not None:
            await _settle(watch, None)
        return value

    def _ticker(self) -> _Ticker:
        loop = asyncio.get_running_loop()
        ticker = self._tickers.get(loop)
        if ticker is None:
            ticker = self._tickers[loop] = _Ticker(self._grace)
        return ticker

    async def _guard_by_scope(self, coroutine: Coro, limit: float) -> Any:
        end = anyio.current_time() + limit
        scope = anyio.CancelScope(deadline=end)
        patience = _Patience(scope, end + self._grace)
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

    async def _run_on_trio(self, coroutine: Coro, patience: _Patience) -> Any:
        try:
            waiting = coroutine.send(None)
        except StopIteration as done:
            return done.value
        return await drive_on_trio(coroutine, waiting, patience.is_over, self.unclosable)


def _never() -> bool:
    return False


class _Patience:
    """How long an implementation on trio may go on after its scope was cancelled.

    Attributes:
        turns: How often it has gone on since.
    """

    _TURNS = 1000  # trio cancels each further wait at once, so swallowing it makes a busy loop

    def __init__(self, scope: anyio.CancelScope, end: float) -> None:
        self._scope = scope
        self._end = end
        self.turns = 0

    def is_over(self) -> bool:
        if not self._scope.cancel_called:
            return False
        self.turns += 1
        return self.turns > self._TURNS or anyio.current_time() > self._end


class _Ticker:
    """Looks at the watches of one event loop; its timer runs only while there are any."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self.watches: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf

    def add(self, watch: Watch, limit: float) -> None:
        loop = asyncio.get_running_loop()
        watch.deadline = loop.time() + limit
        self.watches.add(watch)
        if watch.deadline < self._due:
            self._arm(loop, watch.deadline)

    def discard(self, watch: Watch) -> None:
        self.watches.discard(watch)

    def _arm(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        self._timer = loop.call_at(due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer, self._due = None, math.inf
        now = loop.time()
        for watch in self.watches:
            if watch.deadline <= now:
                watch.cut = watch.cancels > 0  # it was asked before
                watch.cancels += 1
                watch.deadline = now + self._grace
                watch.task.cancel(_MESSAGE)
        if self.watches:
            self._arm(loop, max(min(watch.deadline for watch in self.watches), now + _CLOSEST))


def current_asyncio_task() -> asyncio.Task[Any] | None:
    """Return the asyncio task this runs in, or None on trio."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


async def _settle(watch: Watch, error: BaseException | None) -> None:
    """Sort out, after an implementation ended, whose cancellation it was.

    As in ``asyncio.timeout``, the task's count of requests tells whether somebody else wants it cancelled.

    Args:
        watch: The watch, off duty now.
        error: What came out of the implementation, None when it returned.

    Raises:
        CancelledError: The caller was cancelled; swallowing it is not an implementation's to do.
        LimitPassedError: The limit was passed, whatever came of it afterwards, but for a refusal.
    """
    for _ in range(watch.cancels):
        watch.task.uncancel()
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return
    if watch.delivered is not None and watch.task.cancelling() > watch.before:
        if isinstance(error, asyncio.CancelledError) and not watch.cancels:
            return
        await asyncio.sleep(0)  # a cancelled anyio scope cancels again, in words that it knows for its own
        raise asyncio.CancelledError from None
    if watch.cancels and not isinstance(error, Refused):
        raise LimitPassedError from None if isinstance(error, asyncio.CancelledError) else error
