"""The calls under way on a plan, and how to wait for their end after it was replaced."""

from __future__ import annotations

from collections.abc import Iterable

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from plughost.core.threads import post


class Traffic:
    """The calls of one plan, in numbers that only grow, because that costs a call least.

    Under the interpreter lock each ``+= 1`` on a slot is one step: no other thread comes between.

    Attributes:
        entered: How many calls have begun.
        left: How many of these have ended.
        passed: How many went the short way from the first step to the last.
        followed: Whether ``passed`` is read by the tallies of the plan.
        waiting: Who wants to be woken when both are the same.
    """

    __slots__ = ("entered", "followed", "left", "passed", "waiting")

    def __init__(self) -> None:
        self.entered = 0
        self.left = 0
        self.passed = 0
        self.followed = False
        self.waiting: list[tuple[EventLoopToken, anyio.Event]] = []

    @property
    def under_way(self) -> int:
        """How many calls have begun and not ended."""
        return self.entered - self.left

    def leave(self) -> None:
        """A call ended."""
        self.left += 1
        if self.waiting:
            self.wake()

    def wake(self) -> None:
        """Wake those who wait for the last call, if it was the last one."""
        if self.left == self.entered:
            waiting, self.waiting = self.waiting, []
            for token, event in waiting:
                post(token, event.set)

    async def end(self) -> None:
        """Return when no call is under way."""
        while self.left != self.entered:
            event = anyio.Event()
            self.waiting.append((current_token(), event))
            if self.left != self.entered:
                await event.wait()


class Drain:
    """The end of a plugin's last calls after it was unregistered or replaced."""

    def __init__(self, traffic: Iterable[Traffic]) -> None:
        self._traffic = tuple(traffic)

    @classmethod
    def of_all(cls, drains: Iterable[Drain]) -> Drain:
        """Return the end of all of these."""
        return cls(traffic for drain in drains for traffic in drain._traffic)

    @property
    def under_way(self) -> int:
        """How many calls made on the old plans are still running."""
        return sum(each.under_way for each in self._traffic)

    async def wait(self) -> None:
        """Return when no call made before is running any more.

        Never from inside such a call: it would wait for itself.
        """
        for each in self._traffic:
            await each.end()
