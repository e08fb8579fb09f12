"""Who imports plugins, when the thread that waits for them is in the midst of an import itself.

A module that is being imported is locked for all other threads. An application that starts its host, or calls a hook,
while one of its modules is imported waits with that lock in its hand; a plugin that imports the same module in another
thread would wait for the application. With pluggy there is one thread and the lock is its own. So whoever waits in
the midst of an import does the work, as with pluggy.
"""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from queue import SimpleQueue
from types import CodeType, FrameType
from typing import TypeVar, TypeVarTuple, Unpack

import anyio

from plughost.core.threads import DaemonWorker, Work, outcome_of

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_IMPORT: CodeType = importlib._bootstrap._find_and_load.__code__  # type: ignore[attr-defined]


def is_importing() -> bool:
    """Whether the current thread is in the midst of an import."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is _IMPORT:
            return True
        frame = frame.f_back
    return False


def result_of(begin: Callable[[], Future[T]]) -> T:
    """Begin something in a host's thread and wait for what comes of it; import meanwhile what it asks for.

    Args:
        begin: Begins it; its context variables are those of the work.
    """
    if not is_importing():
        return begin().result()
    waiting = _WaitingThread()
    before = _waiting.set(waiting)
    try:
        future = begin()
    finally:
        _waiting.reset(before)
    future.add_done_callback(lambda _: waiting.leave())
    waiting.help()
    return future.result()


class Importer:
    """Calls functions that import, one after the other: in the thread that waits for them, or in one of its own."""

    def __init__(self) -> None:
        self._worker = DaemonWorker("plughost import")
        self._in_an_import: bool | None = None

    async def run(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Call ``function(*args)``; return its result.

        Cancellation takes effect at once and leaves the thread behind. It cannot where the event loop's own thread
        is in the midst of an import: then the function is called in that.
        """
        if self._in_an_import is None:  # as long as the event loop runs, what it was started in does not end
            self._in_an_import = is_importing()
        if self._in_an_import:
            return function(*args)
        waiting = _waiting.get()
        if waiting is None or waiting.left:
            return await self._worker.run(function, *args)
        try:
            return await outcome_of(
                function, *args, hand_over=lambda work: waiting.take(work, self._worker.take)
            )
        except anyio.get_cancelled_exc_class():
            waiting.leave()
            raise

    def close(self) -> None:
        """Let the thread of its own end; one that is needed later is started anew."""
        self._worker.close()
        self._in_an_import = None


class _WaitingThread:
    """A thread that waits in the midst of an import.

    Attributes:
        left: Whether it does not help any more: what it waited for is there, or it did not come back from an errand.
    """

    def __init__(self) -> None:
        self._errands: SimpleQueue[Work | None] = SimpleQueue()
        self._changing = threading.Lock()
        self.left = False

    def take(self, work: Work, otherwise: Callable[[Work], None]) -> None:
        with self._changing:
            if not self.left:
                self._errands.put(work)
                return
        otherwise(work)

    def leave(self) -> None:
        with self._changing:
            self.left = True
            self._errands.put(None)

    def help(self) -> None:
        while (work := self._errands.get()) is not None:
            work()


_waiting: ContextVar[_WaitingThread | None] = ContextVar("waiting in the midst of an import", default=None)
