"""One task per plugin owns its start and its stop, so that what ``start`` opened ``stop`` may close.

Limits are kept from outside: the plugin's task has one cancel scope around its whole life and none around its
phases. A plugin may therefore enter a task group in ``start`` and leave it in ``stop``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from plughost.contracts.clock import Clock
from plughost.contracts.error_text import error_line
from plughost.contracts.plugin import PluginContext
from plughost.core.containment import Point
from plughost.core.late_event import LateEvent
from plughost.core.leash import Leash
from plughost.core.loading.background import GRACE, BackgroundTasks, end_all
from plughost.core.loading.shape import PluginHandle
from plughost.core.loading.turns import Hold, go_inside, inside
from plughost.exceptions import PluginError, PluginStartError, PluginStopError, PluginTimeoutError


class Supervisor:
    """Keeps one start of one plugin: its own task, and its background tasks.

    Args:
        handle: The plugin.
        tasks: The host's task group; it outlives every plugin.
        background: The plugin's background tasks.
        clock: Time, for what phases took.
    """

    def __init__(
        self, handle: PluginHandle, tasks: TaskGroup, background: BackgroundTasks, clock: Clock
    ) -> None:
        self.handle = handle
        self.background = background
        self.start_took: float | None = None
        self.stop_took: float | None = None
        self._tasks = tasks
        self._clock = clock
        self._leash = Leash()
        self._started = LateEvent()
        self._may_stop = anyio.Event()
        self._ended = LateEvent()
        self._stop_called = False
        self._stopping: Hold | None = None
        self._start_error: BaseException | None = None
        self._stop_error: BaseException | None = None

    async def start(self, context: PluginContext, limit: float) -> None:
        """Run the plugin's ``start`` in a task of its own.

        Raises:
            PluginTimeoutError: It took longer than ``limit`` seconds; the task was cancelled, and let go if it
                would not end.
            PluginStartError: It raised, or exited.
        """
        self._tasks.start_soon(self._live, context, name=f"plugin {self.handle.name}")
        began = self._clock.monotonic()
        try:
            await anyio.lowlevel.checkpoint()
            # Most plugins wait for nothing, and a limit costs more than their start.
            if not self._started.is_set():
                with anyio.move_on_after(limit):
                    await self._started.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                # Nobody waits for the start any more; one that had just succeeded is stopped like any other
                if self._started.is_set() and self._start_error is None:
                    with contextlib.suppress(PluginError):
                        await self.stop(limit)
                else:
                    await self._give_up()
            raise
        self.start_took = self._clock.monotonic() - began
        if not self._started.is_set():
            await self._give_up()
            raise self._timed_out("start", limit)
        if self._start_error is not None:
            await self.background.stop(GRACE)
            raise self._wrapped(PluginStartError, "start", self._start_error)

    async def stop(self, limit: float) -> None:
        """End the background tasks, then run the plugin's ``stop``; all within ``limit`` seconds.

        Raises:
            PluginTimeoutError: It took longer; what would not end was let go.
            PluginStopError: ``stop`` raised.
        """
        began = self._clock.monotonic()
        with anyio.move_on_after(limit):
            await self.background.stop(GRACE)
            self._stopping = inside()
            self._may_stop.set()
            await self._ended.wait()
        self.stop_took = self._clock.monotonic() - began
        if not self._ended.is_set():
            await self._give_up()
            raise self._timed_out("stop", limit)
        if self._stop_error is not None:
            raise self._wrapped(PluginStopError, "stop", self._stop_error)

    async def _live(self, context: PluginContext) -> None:
        try:
            if self._leash.scope.cancel_called:
                return  # given up before it began: a start without a wait in it would run to its end
            with self._leash.scope:
                self._start_error = await self._phase(Point.START, self.handle.start(context))
                self._started.set()
                if self._start_error is None:
                    await self._may_stop.wait()
                    self._stop_called = True
                    go_inside(self._stopping)
                    self._stop_error = await self._phase(Point.STOP, self.handle.stop())
            if self._started.is_set() and self._start_error is None and not self._stop_called:
                # The start was given up and succeeded all the same, because nothing in it was left to cancel
                with anyio.move_on_after(GRACE, shield=True):
                    self._stop_error = await self._phase(Point.STOP, self.handle.stop())
        finally:
            self._ended.set()

    async def _phase(self, point: Point, coroutine: Coroutine[Any, Any, None]) -> BaseException | None:
        """Run one phase; returns its failure."""
        try:
            await self._leash.run(coroutine, point)
        except Exception as error:
            return error
        return None

    async def _give_up(self) -> None:
        self._leash.pull()
        await end_all({self._leash: self._ended}, GRACE)
        await self.background.stop(GRACE)  # after it: until its end a start may spawn more

    def _timed_out(self, phase: str, limit: float) -> PluginTimeoutError:
        setting = "host.load_timeout" if phase == "start" else "host.shutdown_timeout"
        stubborn = "" if self._ended.is_set() else " It would not end when cancelled and was let go."
        return PluginTimeoutError(
            f"{phase}() of plugin {self.handle.name!r} took longer than its limit of {limit:g} s.{stubborn} Move "
            f"slow work to context.spawn(...), or raise {setting}",
            plugin=self.handle.name,
            phase=phase,
            limit=limit,
        )

    def _wrapped(
        self, kind: Callable[..., PluginStartError | PluginStopError], phase: str, cause: BaseException
    ) -> PluginStartError | PluginStopError:
        error = kind(
            f"{phase}() of plugin {self.handle.name!r} raised {error_line(cause).rstrip('.')}. Its traceback is in "
            f"`plughost info {self.handle.name}`",
            plugin=self.handle.name,
        )
        error.__cause__ = cause
        return error
