"""SIGINT and SIGTERM as a request to stop in order."""

from __future__ import annotations

import signal
from collections.abc import Iterator
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


class StopSignals:
    """Listens for the first SIGINT or SIGTERM; after it both do again what they always do.

    Must be used in the main thread.
    """

    def __init__(self) -> None:
        self._asked = anyio.Event()
        self._interruption: Interruption | None = None
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        self._tasks = tasks
        await tasks.start(self._listen)
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

    @contextmanager
    def interrupting(self) -> Iterator[Interruption]:
        """Cancel the block when a signal comes, until the yielded object is disarmed."""
        with anyio.CancelScope() as scope:
            self._interruption = Interruption(scope)
            yield self._interruption

    async def _listen(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for _ in received:
                break
        self._asked.set()
        if self._interruption is not None and self._interruption.armed:
            self._interruption.scope.cancel()
