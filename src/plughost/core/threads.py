"""Plain functions that wait, run in daemon threads that can be left behind.

``anyio.to_thread`` keeps non-daemon workers: one that hangs keeps the interpreter from exiting. The threads
here are daemons, the awaiting task may leave at any moment, and what an abandoned thread comes up with later
is dropped. A thread cannot be killed, so an abandoned one runs on until its function returns.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack, cast

import anyio
from anyio.lowlevel import EventLoopToken, current_token

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_in_daemon_thread(
    function: Callable[[Unpack[Ts]], T],
    *args: *Ts,
    limiter: anyio.CapacityLimiter | None = None,
    name: str | None = None,
) -> T:
    """Call ``function(*args)`` in a daemon thread with the caller's context variables; return its result.

    Cancellation takes effect at once: the thread is abandoned, its place in ``limiter`` is free again, and
    its result or error is dropped.

    Args:
        function: What to call. It must not touch the event loop, except by ``anyio.from_thread`` with a
            token.
        args: Its positional arguments.
        limiter: Bounds how many run at once; waiting for a place is cancellable. None means no bound.
        name: Name of the thread, for debuggers.

    Raises:
        BaseException: Whatever ``function`` raised.
        RuntimeError: The machine allows no further thread.
    """
    if limiter is None:
        return await _Errand(function, args, name).outcome()
    borrower = object()  # not the task, which may be waiting for another errand already
    await limiter.acquire_on_behalf_of(borrower)
    try:
        return await _Errand(function, args, name).outcome()
    finally:
        limiter.release_on_behalf_of(borrower)


def post(token: EventLoopToken, callback: Callable[[], object]) -> None:
    """Have the event loop behind ``token`` call ``callback`` soon, from any thread, without waiting.

    A loop that is no longer there is ignored: nobody is left who could care. The road not taken is
    ``anyio.from_thread.run_sync``, because it blocks the calling thread until the loop gets to it.
    """
    loop: Any = token.native_token
    hand_over = getattr(loop, "call_soon_threadsafe", None) or loop.run_sync_soon  # asyncio, trio
    with contextlib.suppress(RuntimeError):  # closed; trio's RunFinishedError is one too
        hand_over(callback)


class _Errand(Generic[T]):
    """One function in one thread, and the event that tells its end."""

    __slots__ = ("_args", "_context", "_ended", "_error", "_function", "_name", "_token", "_value")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...], name: str | None) -> None:
        self._function = function
        self._args = args
        self._name = name or f"plughost {getattr(function, '__qualname__', function)!s}"
        self._ended = anyio.Event()
        self._token = current_token()
        self._context = contextvars.copy_context()
        self._value: T | None = None
        self._error: BaseException | None = None

    async def outcome(self) -> T:
        threading.Thread(target=self._work, name=self._name, daemon=True).start()
        await self._ended.wait()
        if self._error is None:
            return cast("T", self._value)
        try:
            raise self._error
        finally:
            self._error = None  # the traceback refers to this frame: do not leave a circle

    def _work(self) -> None:
        try:
            self._value = self._context.run(self._function, *self._args)
        except BaseException as error:
            self._error = error
        post(self._token, self._ended.set)
