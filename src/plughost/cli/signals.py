"""Signals as requests: SIGINT and SIGTERM to stop in order, SIGHUP to reload."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup, TaskStatus


class Interruption:
    """A part of the program that a signal cancels, until it is disarmed."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        self.scope = scope
        self.armed = True

    def disarm(self) -> None:
        """From now on a signal is only noted."""
        self.armed = False


@contextmanager
def hangups_held() -> Iterator[None]:
    """Keep a SIGHUP that comes in the block until ``hangups`` listens for it; it ends the process no longer.

    Use it in the main thread, before the configuration is read.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # lets go of one that nobody listened for
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGHUP, handler)


@contextmanager
def hangups() -> Iterator[AsyncIterable[object]]:
    """Listen for SIGHUP: what is yielded gives one item for each that came, those that were held too.

    Open it around the whole life of the host: one that starts or stops is not ended by a request to reload.
    """
    with anyio.open_signal_receiver(signal.SIGHUP) as received:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            yield received
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


class StopSignals:
    """Listens for the first SIGINT or SIGTERM; after it both do again what they always do.

    Must be used in the main thread.

    Args:
        looked_after: Whether another process, which is sent the signals too, asks this one to stop. Service managers
            signal every process of a service and terminals every one in the foreground, so that a second signal is
            the usual thing there and must end no request.

    Attributes:
        politely: Whether it was SIGTERM, by which a service manager asks, and not a person at the terminal.
    """

    def __init__(self, *, looked_after: bool = False) -> None:
        self.politely = False
        self._looked_after = looked_after
        self._asked = anyio.Event()
        self._interruption: Interruption | None = None
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks

        async def listen(*, task_status: TaskStatus[None]) -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
                task_status.started()
                async for number in received:
                    if not self.asked:
                        self.politely = number == signal.SIGTERM
                        self.stop()
                    if not self._looked_after:
                        break

        await tasks.start(listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What the body raised is not handed to the task group, which would wrap it in an ExceptionGroup.
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)

    async def wait(self) -> None:
        """Return once the process was asked to stop."""
        await self._asked.wait()

    @property
    def asked(self) -> bool:
        """Whether the process was asked to stop."""
        return self._asked.is_set()

    def stop(self) -> None:
        """Stop as if a signal had come."""
        self._asked.set()
        if self._interruption is not None and self._interruption.armed:
            self._interruption.scope.cancel()

    @contextmanager
    def interrupting(self) -> Iterator[Interruption]:
        """Cancel the block when a signal comes, until the yielded object is disarmed."""
        with anyio.CancelScope() as scope:
            self._interruption = Interruption(scope)
            yield self._interruption
