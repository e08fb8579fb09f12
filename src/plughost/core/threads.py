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
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, TypeVarTuple, Unpack, cast

import anyio
import sniffio
from anyio.lowlevel import EventLoopToken, current_token

from plughost.core.containment import Point, stray

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Work = Callable[[], None]
"""What a thread is to do; it raises nothing."""


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
        BaseException: What ``function`` raised.
        StrayError: It raised ``KeyboardInterrupt``, which only in the main thread is the person's.
        RuntimeError: The machine allows no further thread.
    """
    errand = _Errand(function, args)
    if limiter is None:
        return await errand.outcome(lambda work: _start_thread(work, name or errand.name))
    borrower = object()  # not the task, which may be waiting for another errand already
    await limiter.acquire_on_behalf_of(borrower)
    try:
        return await errand.outcome(lambda work: _start_thread(work, name or errand.name))
    finally:
        limiter.release_on_behalf_of(borrower)


async def outcome_of(function: Callable[[Unpack[Ts]], T], *args: *Ts, hand_over: Callable[[Work], None]) -> T:
    """Have ``function(*args)`` called in whatever thread ``hand_over`` gives the work to; return its result."""
    return await _Errand(function, args).outcome(hand_over)


def context_for_a_thread() -> contextvars.Context:
    """Return the caller's context variables as a thread of its own may have them.

    One of them says that an event loop runs here, and in another thread that is not so: a function there may run one.
    """
    context = contextvars.copy_context()
    context.run(sniffio.current_async_library_cvar.set, None)
    return context


class DaemonWorker:
    """Calls functions one after the other in one daemon thread, started when the first one comes.

    To start a thread is to wait until the machine has run it, which is long for many small functions on a busy
    one. A function that is left behind keeps its thread; the next one is called in another.

    Args:
        name: Name of the thread, for debuggers.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._errands: SimpleQueue[Work | None] | None = None

    async def run(self, function: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        """Do as ``run_in_daemon_thread`` does, after what was handed in before has ended or was left behind."""
        try:
            return await outcome_of(function, *args, hand_over=self.take)
        except anyio.get_cancelled_exc_class():
            self.close()
            raise

    def close(self) -> None:
        """Let the thread end after what it is at; one that is needed later is started anew."""
        if self._errands is not None:
            self._errands.put(None)
            self._errands = None

    def take(self, work: Work) -> None:
        """Do ``work`` after what was handed in before."""
        if self._errands is None:
            errands: SimpleQueue[Work | None] = SimpleQueue()

            def work_off() -> None:
                while (work := errands.get()) is not None:
                    work()
                    del work  # it refers to what the function was called with

            _start_thread(work_off, self._name)
            self._errands = errands
        self._errands.put(work)


def _start_thread(work: Work, name: str) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()


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

    __slots__ = ("_args", "_context", "_ended", "_error", "_function", "_token", "_value")

    def __init__(self, function: Callable[..., T], args: tuple[Any, ...]) -> None:
        self._function = function
        self._args = args
        self._ended = anyio.Event()
        self._token = current_token()
        self._context = context_for_a_thread()
        self._value: T | None = None
        self._error: BaseException | None = None

    @property
    def name(self) -> str:
        return f"plughost {getattr(self._function, '__qualname__', self._function)!s}"

    async def outcome(self, hand_over: Callable[[Work], None]) -> T:
        hand_over(self._work)
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
        except KeyboardInterrupt as error:  # that of the person comes to the main thread
            self._error = stray(error, Point.THREAD)
        except BaseExceptionGroup as error:
            holds_one = error.subgroup(KeyboardInterrupt) is not None
            self._error = stray(error, Point.THREAD) if holds_one else error
        except BaseException as error:
            self._error = error
        post(self._token, self._ended.set)
