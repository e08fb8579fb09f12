"""One life of a plugin at a time: whoever loads, reloads or unloads it does so in its turn.

A plugin may ask for turns itself, its own among them, from ``start``, ``stop``, a hook or a task. Who waits for
whom is written down, so that a request that would wait for itself is refused at once and in words.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel
import msgspec
from anyio.abc import TaskGroup

from plughost.core.loading.window import Window
from plughost.exceptions import HostNotReadyError, PluginDependencyError, PluginStartError

T = TypeVar("T")

_inside: ContextVar[Hold | None] = ContextVar("plughost turn", default=None)
"""The turn that cannot end before what runs in this context has ended."""


class Hold:
    """Somebody has the turn of a plugin.

    Attributes:
        name: The plugin.
        start: The scope of a start that may be broken off; None when something else is done.
        cause: Why it was broken off; empty when it was not, or by a caller who left.
        is_over: Whether nothing that runs inside can keep the turn from ending.
    """

    def __init__(self, name: str, turn: Window, start: anyio.CancelScope | None) -> None:
        self.name = name
        self.start = start
        self.cause = ""
        self.is_over = False
        self._turn: Window | None = turn

    def end(self) -> None:
        """Let the next one in; a second call does nothing."""
        self.is_over = True
        self.start = None
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.leave()


class _Wait(msgspec.Struct, frozen=True):
    """A turn that lasts until something of another plugin has happened.

    Attributes:
        hold: The turn.
        awaited: Name of the other plugin.
        planned: Whether the load plan knows of it, which has no circles.
    """

    hold: Hold
    awaited: str
    planned: bool


def inside() -> Hold | None:
    """Return the turn that waits for the end of what runs here, if one does."""
    hold = _inside.get()
    return None if hold is None or hold.is_over else hold


def go_inside(hold: Hold | None) -> None:
    """Say that a turn waits for the end of this task; None: that none does, as for a plugin's background tasks."""
    _inside.set(hold)


class Turns:
    """The turns of all plugins of a host, by name.

    Args:
        tasks: The host's task group. What is done in a turn is done in a task of it, so that a plugin can ask
            for its own end: the asking task ends with the plugin, and the work goes on.

    Attributes:
        is_closed: Whether the host stops; nothing is started any more.
    """

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        # Not locks: a turn is taken by whoever plans a start and ended by the start's own task.
        self._turns: dict[str, Window] = {}
        self._holds: dict[str, Hold] = {}
        self._waits: list[_Wait] = []
        self.is_closed = False

    async def begin(self, name: str, start: anyio.CancelScope | None = None) -> Hold:
        """Wait until nobody else is at it; whoever begins a turn ends it."""
        turn = self._turns.setdefault(name, Window(1))
        # One who is to leave begins nothing, though the turn is free.
        await anyio.lowlevel.checkpoint_if_cancelled()
        await turn.enter()
        hold = self._holds[name] = Hold(name, turn, start)
        return hold

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Have the turn of a plugin for the length of a block."""
        hold = await self.begin(name)
        before = _inside.set(hold)
        try:
            yield
        finally:
            _inside.reset(before)
            hold.end()

    def interrupt(self, name: str, cause: str) -> bool:
        """Break off the start of a plugin that is under way; returns whether there was one."""
        if not self.is_starting(name):
            return False
        hold = self._holds[name]
        hold.cause = hold.cause or cause
        hold.is_over = True
        if hold.start is not None:
            hold.start.cancel()
        return True

    def is_starting(self, name: str) -> bool:
        """Whether a start of the plugin is under way."""
        return name in self._holds and self._holds[name].start is not None

    def why_broken_off(self, name: str) -> str:
        """Say that the present start of a plugin was broken off, and why when somebody told."""
        hold = self._holds.get(name)
        cause = f": {hold.cause}" if hold is not None and hold.cause else ""
        return f"its start was broken off{cause}"

    def close(self) -> None:
        """Break off every start that is under way and refuse others: the host stops."""
        self.is_closed = True
        for name in self._holds:
            self.interrupt(name, "the host stopped")

    async def start(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work``, which starts a plugin, in its turn; it is broken off when the caller is, or by ``interrupt``.

        Raises:
            Exception: What ``work`` raised.
            PluginStartError: It was unloaded meanwhile.
            PluginDependencyError: The caller would wait for itself.
            HostNotReadyError: The host stopped meanwhile.
        """
        return await self._in_own_task(name, work, is_start=True, outlives_caller=False)

    async def restart(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the same for a start in the place of another, which goes on when the caller is cancelled."""
        return await self._in_own_task(name, work, is_start=True, outlives_caller=True)

    async def take(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work``, which ends a plugin, in its turn; it goes on when the caller is cancelled."""
        return await self._in_own_task(name, work, is_start=False, outlives_caller=True)

    @contextmanager
    def waiting(self, hold: Hold | None, awaited: str, *, planned: bool = False) -> Iterator[None]:
        """Note for the length of a block that a turn waits for a plugin.

        Raises:
            PluginDependencyError: That plugin waits for the turn.
        """
        if hold is None or self._holds.get(hold.name) is not hold:  # it may be a turn of another host
            yield
            return
        wait = _Wait(hold, awaited, planned)
        self._refuse_circle(wait)
        self._waits.append(wait)
        try:
            yield
        finally:
            self._waits.remove(wait)

    def _refuse_circle(self, wait: _Wait) -> None:
        paths = [[wait]]
        seen: set[str] = set()
        while paths:
            path = paths.pop()
            last = path[-1].awaited
            if last == wait.hold.name and not all(each.planned for each in path):
                circle = " -> ".join(repr(name) for name in (last, *(each.awaited for each in path)))
                raise PluginDependencyError(
                    f"plugin {last!r} waits for itself: {circle}. Take one of these out of `requires` or `after`;"
                    " what start() or stop() asks of the host for this plugin, ask from context.spawn(...)",
                    plugin=last,
                )
            if last not in seen:
                seen.add(last)
                further = [w for w in self._waits if w.hold.name == last and not w.hold.is_over]
                paths += [[*path, each] for each in further]

    async def _in_own_task(
        self, name: str, work: Callable[[], Awaitable[T]], *, is_start: bool, outlives_caller: bool
    ) -> T:
        task = _Task(self, name, work, is_start)
        task.refuse_when_closed()
        with self.waiting(inside(), name):
            self._tasks.start_soon(task.run, name=f"turn of plugin {name}")
            try:
                await task.done.wait()
            except BaseException:
                if not outlives_caller:
                    task.scope.cancel()
                    with anyio.CancelScope(shield=True):
                        await task.done.wait()
                raise
        return task.result()


class _Task(Generic[T]):
    """What is done in the turn of a plugin, in a task of its own: it may be broken off before its turn has come."""

    def __init__(self, turns: Turns, name: str, work: Callable[[], Awaitable[T]], is_start: bool) -> None:
        self._turns = turns
        self._name = name
        self._work = work
        self._is_start = is_start
        self._hold: Hold | None = None
        self._results: list[T] = []
        self._failure: Exception | None = None
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()

    def refuse_when_closed(self) -> None:
        """Start nothing while the host stops."""
        if self._is_start and self._turns.is_closed:
            raise _host_stopped(self._name)

    async def run(self) -> None:
        """Wait for the turn, do the work and end the turn."""
        try:
            with self.scope:
                self._hold = await self._turns.begin(self._name, self.scope if self._is_start else None)
                go_inside(self._hold)
                try:
                    self.refuse_when_closed()
                    self._results.append(await self._work())
                finally:
                    self._hold.end()
        except Exception as error:
            self._failure = error
        finally:
            self.done.set()

    def result(self) -> T:
        """Return what the work returned, or raise what it raised or why it was not done."""
        if self._failure is not None:
            raise self._failure
        if self._results:
            return self._results[0]
        if not self.scope.cancel_called or self._turns.is_closed:
            raise _host_stopped(self._name)
        cause = self._hold.cause if self._hold is not None else ""
        raise PluginStartError(
            f"the start of plugin {self._name!r} was broken off: {cause or 'it was unloaded meanwhile'}",
            plugin=self._name,
        )


def _host_stopped(name: str) -> HostNotReadyError:
    return HostNotReadyError(f"the host stopped before it was done with plugin {name!r}")
