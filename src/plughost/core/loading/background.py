"""A plugin's background tasks: restarted with growing pauses when they crash, given up when they crash too often."""

from __future__ import annotations

import inspect
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import msgspec
from anyio.abc import TaskGroup

from plughost.contracts.clock import Clock
from plughost.core.containment import Point
from plughost.core.late_event import LateEvent
from plughost.core.leash import Leash
from plughost.core.loading.turns import go_inside
from plughost.core.stepping import AbandonedError

GRACE = 0.5
"""Seconds a cancelled coroutine gets to clean up before it is let go."""


class RestartPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often crashes are forgiven.

    Attributes:
        max_crashes: More than this many within ``window`` and the plugin is put in quarantine.
        window: Seconds over which crashes are counted.
        first_pause: Upper bound of the pause after the first crash, in seconds; it doubles with each further one.
        longest_pause: Upper bound of any pause, in seconds.
    """

    max_crashes: int = 5
    window: float = 300.0
    first_pause: float = 0.5
    longest_pause: float = 60.0


class CrashBudget:
    """Counts the crashes of one plugin over a sliding window; it outlives the tasks that it restarts."""

    def __init__(self, policy: RestartPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self._crashes: deque[float] = deque()

    def spend(self) -> bool:
        """Note a crash; returns whether it is forgiven."""
        now = self._clock.monotonic()
        self._crashes.append(now)
        while self._crashes[0] < now - self._policy.window:
            self._crashes.popleft()
        return len(self._crashes) <= self._policy.max_crashes

    @property
    def is_first(self) -> bool:
        """Whether the last crash was the only one."""
        return len(self._crashes) == 1

    def pause(self) -> float:
        """Seconds to wait before the next try: full jitter below a bound that doubles with each crash."""
        doubled = self._policy.first_pause * 2.0 ** (len(self._crashes) - 1)
        return random.uniform(0, min(doubled, self._policy.longest_pause))  # noqa: S311  not a secret


class Watcher(Protocol):
    """Who is told what becomes of the tasks."""

    def crashed(self, error: BaseException) -> None:
        """A task crashed and will be restarted."""

    def resumed(self) -> None:
        """It runs again."""

    def exhausted(self, error: BaseException) -> None:
        """It crashed once too often; called at most once."""


class BackgroundTasks:
    """All background tasks of one start of one plugin."""

    def __init__(self, tasks: TaskGroup, budget: CrashBudget, watcher: Watcher, clock: Clock) -> None:
        self._tasks = tasks
        self._budget = budget
        self._watcher = watcher
        self._clock = clock
        self._running: dict[Leash, LateEvent] = {}
        self._stopping = False

    def spawn(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start one; must be called in the host's event loop. Once all are being stopped nothing is started."""
        if self._stopping:
            return
        leash = Leash()
        self._running[leash] = LateEvent()

        async def keep_running() -> None:
            go_inside(None)  # start() and stop() do not wait for it
            try:
                with leash.scope:
                    while not await self._run_once(leash, function, args):
                        await self._clock.sleep(self._budget.pause())
                        self._watcher.resumed()
            finally:
                self._running.pop(leash).set()

        self._tasks.start_soon(keep_running)

    async def stop(self, limit: float) -> bool:
        """Cancel all and wait; those that will not end are let go. Returns whether all ended by themselves."""
        self._stopping = True
        for leash in self._running:
            leash.pull()
        return await end_all(dict(self._running), limit)

    async def _run_once(
        self, leash: Leash, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> bool:
        """Run the task to its end; returns whether that was its end for good."""
        try:
            await leash.run(_as_coroutine(function, args), Point.BACKGROUND)
        except AbandonedError:
            return True
        except Exception as error:
            if self._stopping:
                return True
            if self._budget.spend():
                self._watcher.crashed(error)
                return False
            self._stopping = True
            self._watcher.exhausted(error)
        return True


async def end_all(running: dict[Leash, LateEvent], limit: float) -> bool:
    """Wait until every leash's event is set; cut those that are not within ``limit``. Returns whether all were."""
    with anyio.move_on_after(limit):
        for ended in running.values():
            await ended.wait()
        return True
    for leash, ended in running.items():
        if not ended.is_set():
            leash.let_go()
    with anyio.move_on_after(GRACE):
        for ended in running.values():
            await ended.wait()
    return False


async def _as_coroutine(function: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
    made = function(*args)
    if not inspect.isawaitable(made):
        raise TypeError(
            "spawn awaits what is handed to it, and there is nothing to await: write `async def`, not `def`"
        )
    await made
