"""One life of a plugin at a time: whoever loads, reloads or unloads it does so in its turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio.abc import TaskGroup

from plughost.exceptions import HostNotReadyError, PluginStartError

T = TypeVar("T")


class Turn:
    """What is being done with one plugin.

    Attributes:
        start: The scope of a start that is under way and may be broken off; None when there is none.
    """

    def __init__(self) -> None:
        # A semaphore and not a lock: a turn is taken by whoever plans a start and ended by the start's own task.
        self._free = anyio.Semaphore(1)
        self.start: anyio.CancelScope | None = None

    async def begin(self) -> None:
        """Wait until nobody else is at it."""
        await self._free.acquire()

    async def begin_start(self) -> anyio.CancelScope:
        """Do the same for a start; return the scope in which it has to happen."""
        await self._free.acquire()
        self.start = anyio.CancelScope()
        return self.start

    def end(self) -> None:
        """Let the next one in."""
        self.start = None
        self._free.release()

    def interrupt(self) -> bool:
        """Break off the start that is under way; returns whether there was one."""
        if self.start is None:
            return False
        self.start.cancel()
        return True


class Turns:
    """The turns of all plugins of a host, by name.

    Args:
        tasks: The host's task group. What is done in a turn is done in a task of it, so that a plugin can ask
            for its own end: the asking task ends with the plugin, and the work goes on.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._turns: dict[str, Turn] = {}

    def of(self, name: str) -> Turn:
        """Return the turn of a plugin."""
        return self._turns.setdefault(name, Turn())

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Have the turn of a plugin for the length of a block."""
        turn = self.of(name)
        await turn.begin()
        try:
            yield
        finally:
            turn.end()

    async def start(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work``, which starts a plugin, in its turn; it is broken off when the caller is, or by ``interrupt``.

        Raises:
            Exception: What ``work`` raised.
            PluginStartError: It was unloaded meanwhile.
            HostNotReadyError: The host stopped meanwhile.
        """
        return await self._in_own_task(name, work, is_start=True, outlives_caller=False)

    async def restart(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the same for a start in the place of another, which goes on when the caller is cancelled."""
        return await self._in_own_task(name, work, is_start=True, outlives_caller=True)

    async def take(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work``, which ends a plugin, in its turn; it goes on when the caller is cancelled."""
        return await self._in_own_task(name, work, is_start=False, outlives_caller=True)

    async def _in_own_task(
        self, name: str, work: Callable[[], Awaitable[T]], *, is_start: bool, outlives_caller: bool
    ) -> T:
        results: list[T] = []
        failures: list[Exception] = []
        done = anyio.Event()
        waiting = anyio.CancelScope()

        async def run() -> None:
            turn = self.of(name)
            try:
                with waiting:
                    await turn.begin()
                    if is_start:
                        turn.start = waiting
                    try:
                        results.append(await work())
                    finally:
                        turn.end()
            except Exception as error:
                failures.append(error)
            finally:
                done.set()

        self._tasks.start_soon(run, name=f"turn of plugin {name}")
        try:
            await done.wait()
        except BaseException:
            if not outlives_caller:
                waiting.cancel()
                with anyio.CancelScope(shield=True):
                    await done.wait()
            raise
        if failures:
            raise failures[0]
        if not results and waiting.cancel_called:
            raise PluginStartError(
                f"the start of plugin {name!r} was broken off: it was unloaded meanwhile", plugin=name
            )
        if not results:
            raise HostNotReadyError(f"the host stopped before it was done with plugin {name!r}")
        return results[0]
