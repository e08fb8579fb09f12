"""Calls that are under way in a plugin's process: each is a task that the host can cancel.

What is being stepped is noted before it is stepped, so that the host can see who holds the event loop.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Protocol

import anyio
from anyio.abc import TaskGroup

from plughost.core.containment import stray
from plughost.core.stepping import event_library
from plughost.core.wire.page import FlightRecorder

Work = Callable[[], Coroutine[Any, Any, None]]
"""Answers one call; never raises but when it is cancelled."""


class CallTasks(Protocol):
    """The calls that are under way."""

    def begin(self, call: int, work: Work) -> None:
        """Begin to work on a call."""

    def cancel(self, call: int) -> None:
        """Cancel it, if it is not over."""

    def cancel_all(self) -> None:
        """Cancel all that are not over."""


def call_tasks(tasks: TaskGroup) -> CallTasks:
    """Return where calls are worked on, on the event loop that runs here."""
    return _ScopedTasks(tasks) if event_library.name == "trio" else _AsyncioTasks()


class _AsyncioTasks:
    """On asyncio: since Python 3.12 a call in which nothing waits is over when ``begin`` returns."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[int, asyncio.Task[None]] = {}
        self._options: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}

    def begin(self, call: int, work: Work) -> None:
        task = asyncio.Task(self._work(call, work), loop=self._loop, **self._options)
        if not task.done():
            self._under_way[call] = task

    def cancel(self, call: int) -> None:
        if (task := self._under_way.get(call)) is not None:
            task.cancel()

    def cancel_all(self) -> None:
        for task in list(self._under_way.values()):
            task.cancel()

    async def _work(self, call: int, work: Work) -> None:
        try:
            await work()
        finally:
            self._under_way.pop(call, None)


class _ScopedTasks:
    """On trio: a task and a scope for each call."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._under_way: dict[int, anyio.CancelScope] = {}

    def begin(self, call: int, work: Work) -> None:
        scope = self._under_way[call] = anyio.CancelScope()
        self._tasks.start_soon(self._work, call, scope, work)

    def cancel(self, call: int) -> None:
        if (scope := self._under_way.get(call)) is not None:
            scope.cancel()

    def cancel_all(self) -> None:
        for scope in list(self._under_way.values()):
            scope.cancel()

    async def _work(self, call: int, scope: anyio.CancelScope, work: Work) -> None:
        try:
            with scope:
                await work()
        finally:
            self._under_way.pop(call, None)


async def recorded(recorder: FlightRecorder, call: int, member: int, function: Any, arguments: Any) -> Any:
    """Call a function, sync or async; the page says so whenever it is being stepped."""
    recorder.begin(call, member)
    try:
        value = function(*arguments)
    finally:
        recorder.end()
    return await _stepped(recorder, call, member, value) if inspect.isawaitable(value) else value


@types.coroutine
def _stepped(recorder: FlightRecorder, call: int, member: int, awaitable: Any) -> Generator[Any, Any, Any]:
    coroutine = awaitable.__await__()
    step, value = coroutine.send, None
    while True:
        recorder.begin(call, member)
        try:
            waiting = step(value)
        except StopIteration as done:
            return done.value
        except GeneratorExit as error:
            raise stray(error) from error
        finally:
            recorder.end()
        try:
            value, step = (yield waiting), coroutine.send
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:
            value, step = error, coroutine.throw
