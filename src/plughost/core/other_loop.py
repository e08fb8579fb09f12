"""From another thread into an event loop and back: what a call costs that has to be made over there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, TypeVarTuple, Unpack, cast

import anyio.from_thread
import sniffio
from anyio.lowlevel import EventLoopToken

from plughost.exceptions import HostNotReadyError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


def call_there(
    token: EventLoopToken, function: Callable[[Unpack[Ts]], Coroutine[Any, Any, T]], *args: *Ts
) -> T:
    """Await ``function(*args)`` on the event loop behind ``token``, which runs in another thread; wait for it here.

    ``anyio.from_thread.run`` does the same with three more objects for a call, which takes twice as long. It stays
    where it can do more: on trio, and in its own worker threads, where a cancellation of the caller is passed on.

    Raises:
        BaseException: What it raised.
        HostNotReadyError: It was cancelled over there.
        RuntimeError: The event loop has ended.
    """
    loop: Any = token.native_token
    if not isinstance(loop, asyncio.AbstractEventLoop) or _is_in_worker():
        return anyio.from_thread.run(function, *args, token=token)
    errand = _Errand(function(*args))
    loop.call_soon_threadsafe(errand.begin, loop)
    return cast("T", errand.outcome())


class _Errand:
    """One coroutine that is awaited in another thread than the one that wants its outcome."""

    __slots__ = ("_coroutine", "_ended", "_error", "_task", "_value")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        self._coroutine = coroutine
        self._error: BaseException | None = None
        self._ended = threading.Lock()
        self._ended.acquire()

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        # The caller's context says which event loop runs there.
        sniffio.current_async_library_cvar.set(None)
        self._task = loop.create_task(self._run())

    async def _run(self) -> None:
        try:
            self._value = await self._coroutine
        except BaseException as error:
            self._error = error
        finally:
            self._ended.release()

    def outcome(self) -> Any:
        self._ended.acquire()
        if self._error is None:
            return self._value
        try:
            if isinstance(self._error, asyncio.CancelledError):
                # In this thread nobody knows what it means, and it would go past every `except Exception`.
                raise HostNotReadyError("the host was left while this call ran over there") from self._error
            raise self._error
        finally:
            self._error = None  # the traceback refers to this frame: do not leave a circle


def _is_in_worker() -> bool:
    try:
        anyio.from_thread.check_cancelled()
    except RuntimeError:  # no worker thread of anyio's
        return False
    return True
