"""The pace of calls: who waits, for how long, and who goes next.

How many calls an allowance has left is counted by the host's ``RateLimiter``, so that all instances on one Redis keep
one pace; the queue before it is this process's own.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio
from anyio.abc import TaskGroup, TaskStatus

from plughost.contracts import Clock, Limit, RateLimiter
from plughost.http.rates import WindowCounts
from plughost_upstream.protocols import Pace, PaceFigures, UpstreamBusyError, UpstreamUnavailableError
from plughost_upstream.queue import Queue, Waiter

MOST_WAITING: Final = 100
_SLOWEST: Final = 16  # a rate is never halved below this part of what it was
_GROWTH: Final = 1.1  # each minute
_MOST_LANES: Final = 1000
_SHORTEST_NAP: Final = 0.005


@dataclass(slots=True)
class _Lane:
    """One allowance.

    Attributes:
        pace: What was asked for.
        rate: Calls per second, now.
        changed_at: When the rate was last changed.
        resume_at: Until when nothing is sent.
        next_at: When the next call may be sent, as far as it is known.
        queue: Who waits.
        pumping: Whether somebody lets them through.
    """

    pace: Pace
    rate: float
    changed_at: float = 0.0
    resume_at: float = 0.0
    next_at: float = 0.0
    queue: Queue = field(default_factory=lambda: Queue(MOST_WAITING))
    pumping: bool = False

    def wait_behind(self, ahead: int, now: float) -> float:
        """Return how long one waits before whom so many go."""
        limit = limit_of(self.rate)
        return max(self.resume_at - now, self.next_at - now, 0.0) + ahead // limit.limit * limit.window

    def recover(self, now: float) -> None:
        """Let the rate come back."""
        minutes = int((now - self.changed_at) / 60)
        if minutes and self.rate < self.pace.rate:
            self.rate = min(self.pace.rate, self.rate * _GROWTH**minutes)
            self.changed_at += 60 * minutes


class Pacer:
    """Lets calls through one after another; ``run`` must run while it is used.

    Args:
        clock: Time.
        limiter: Returns what counts for all instances; None counts here.
    """

    def __init__(self, clock: Clock, limiter: Callable[[], RateLimiter | None]) -> None:
        self._clock, self._limiter = clock, limiter
        self._local = WindowCounts(clock)
        self._lanes: OrderedDict[str, _Lane] = OrderedDict()
        self._tasks: TaskGroup | None = None
        self._due: list[_Lane] = []  # until `run` runs

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Let through who waits, until cancelled; who still waits then is turned away."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                while self._due:
                    tasks.start_soon(self._pump, self._due.pop())
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._tasks = None
            for lane in self._lanes.values():
                lane.pumping = False
                lane.queue.refuse_all(_stopped)

    async def turn(self, pace: Pace, ceiling: Sequence[tuple[str, Limit]], waiter: Waiter) -> None:
        """Return when it is this call's turn.

        Args:
            pace: Its allowance.
            ceiling: What else it counts against.
            waiter: Who waits.

        Raises:
            UpstreamBusyError: It would not be within its deadline, or too many wait.
        """
        lane, now = self._lane(pace), self._clock.monotonic()
        if not lane.queue and lane.resume_at <= now and await self._may(lane, ceiling) == 0.0:
            return
        now = self._clock.monotonic()
        wait = lane.wait_behind(lane.queue.ahead_of(waiter), now)
        if now + wait >= waiter.until:
            raise _busy(wait)
        lane.queue.add(waiter, partial(_busy, wait))
        if not lane.pumping:
            lane.pumping = True
            if self._tasks is None:
                self._due.append(lane)
            else:
                self._tasks.start_soon(self._pump, lane)
        await waiter.wait(lane.queue)

    def pause(self, pace: Pace, seconds: float) -> None:
        """The service said that it is too much: send nothing for a while, and half as much from then on."""
        lane, now = self._lane(pace), self._clock.monotonic()
        if lane.resume_at <= now:  # answers to calls that were under way together are one answer
            lane.rate = max(lane.pace.rate / _SLOWEST, lane.rate / 2)
        lane.changed_at = now
        lane.resume_at = max(lane.resume_at, now + seconds)
        lane.queue.refuse_before(lane.resume_at, partial(_busy, lane.resume_at - now))

    def figures(self) -> dict[str, PaceFigures]:
        """What the allowances are like."""
        now = self._clock.monotonic()
        return {
            key: PaceFigures(rate=lane.rate, waiting=len(lane.queue), paused=max(0.0, lane.resume_at - now))
            for key, lane in self._lanes.items()
        }

    def _lane(self, pace: Pace) -> _Lane:
        lane = self._lanes.pop(pace.key, None) or _Lane(pace, pace.rate, self._clock.monotonic())
        if lane.pace.rate != pace.rate:
            lane.pace, lane.rate = pace, pace.rate
        self._lanes[pace.key] = lane  # at the end: what was used last is forgotten last
        if len(self._lanes) > _MOST_LANES:
            self._forget_one()
        lane.recover(self._clock.monotonic())
        return lane

    def _forget_one(self) -> None:
        now = self._clock.monotonic()
        for key, lane in self._lanes.items():
            if not lane.queue and lane.resume_at <= now:
                del self._lanes[key]
                return

    async def _pump(self, lane: _Lane) -> None:
        while lane.queue:
            lane.queue.refuse_before(self._clock.monotonic(), partial(_busy, 1 / lane.rate))
            waiter = lane.queue.first()
            if waiter is None:
                break
            nap = lane.resume_at - self._clock.monotonic()
            if nap <= 0:
                lane.recover(self._clock.monotonic())
                nap = await self._may(lane, waiter.ceiling)
                if nap == 0.0:
                    lane.queue.let_one_through()
                    continue
            await self._clock.sleep(max(nap, _SHORTEST_NAP))
        lane.pumping = False

    async def _may(self, lane: _Lane, ceiling: Sequence[tuple[str, Limit]]) -> float:
        """Return 0.0 and count a call, or how long until it may be asked again."""
        limits = [(f"upstream:{lane.pace.key}", limit_of(lane.rate)), *ceiling]
        limiter = self._limiter()
        results = self._local.check(limits) if limiter is None else [await limiter.check_all(limits)]
        refused = [result.retry_after for result in results if not result.allowed]
        if not refused:
            return 0.0
        nap = max(*refused, _SHORTEST_NAP)
        lane.next_at = self._clock.monotonic() + nap
        return nap


def limit_of(rate: float) -> Limit:
    """Return a rate per second as what a limiter counts: whole calls in a window."""
    whole = max(1, math.floor(rate))
    return Limit(limit=whole, window=1.0 if rate >= 1 else 1 / rate)


def _busy(wait: float) -> UpstreamBusyError:
    return UpstreamBusyError("too many calls wait for their turn", retry_after=max(1.0, wait))


def _stopped() -> UpstreamUnavailableError:
    return UpstreamUnavailableError("the plugin upstream was stopped")
