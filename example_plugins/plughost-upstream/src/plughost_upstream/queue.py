"""Who waits for a turn: persons before caches before jobs, and within each the users in turn."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, get_args

import anyio

from plughost.contracts import Limit
from plughost_upstream.protocols import Priority, UpstreamError

_ORDER: Final[tuple[Priority, ...]] = get_args(Priority)

Why = Callable[[], UpstreamError]
"""Makes the error for one who is turned away: each gets one of their own, for a traceback is added to it."""


@dataclass(slots=True, eq=False)
class Waiter:
    """One call that waits.

    Attributes:
        priority: Who waits for it.
        user: Who asked.
        until: When it is too late, on the clock that never goes back.
        ceiling: What it counts against beside its own allowance.
        refused: Why it was turned away; None while it was not.
    """

    priority: Priority
    user: str
    until: float
    ceiling: Sequence[tuple[str, Limit]] = ()
    refused: UpstreamError | None = None
    _called: anyio.Event = field(default_factory=anyio.Event)

    def call(self, refused: UpstreamError | None = None) -> None:
        """Its turn has come, or it is turned away."""
        self.refused = refused
        self._called.set()

    async def wait(self, queue: Queue) -> None:
        """Return when its turn has come.

        Raises:
            UpstreamError: It was turned away.
        """
        try:
            await self._called.wait()
        finally:
            queue.discard(self)
        if self.refused is not None:
            raise self.refused


class Queue:
    """Those who wait.

    Args:
        most: How many at once; a person takes the place of one who can wait better.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._waiting: dict[Priority, OrderedDict[str, deque[Waiter]]] = {
            name: OrderedDict() for name in _ORDER
        }

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiter]:
        for users in self._waiting.values():
            for waiters in users.values():
                yield from waiters

    def ahead_of(self, waiter: Waiter) -> int:
        """How many go before somebody who comes now; those of the same user all do, of others one each turn."""
        rank = _ORDER.index(waiter.priority)
        before = sum(len(waiters) for name in _ORDER[:rank] for waiters in self._waiting[name].values())
        users = self._waiting[waiter.priority]
        own = len(users.get(waiter.user, ()))
        return before + own + sum(min(len(w), own + 1) for user, w in users.items() if user != waiter.user)

    def add(self, waiter: Waiter, why: Why) -> None:
        """Let somebody wait.

        Raises:
            UpstreamError: ``why``: too many wait already, and none of them can wait better.
        """
        if self._count >= self._most:
            last = self._last_below(waiter.priority)
            if last is None:
                raise why()
            self._turn_away(last, why)
        self._waiting[waiter.priority].setdefault(waiter.user, deque()).append(waiter)
        self._count += 1

    def first(self) -> Waiter | None:
        """Return who goes next."""
        for users in self._waiting.values():
            for waiters in users.values():
                return waiters[0]
        return None

    def let_one_through(self) -> None:
        """Call who goes next; the user's others go behind those of everybody else."""
        waiter = self.first()
        if waiter is not None:
            self.discard(waiter)
            users = self._waiting[waiter.priority]
            if waiter.user in users:
                users.move_to_end(waiter.user)
            waiter.call()

    def discard(self, waiter: Waiter) -> None:
        """Forget one who waits no more."""
        users = self._waiting[waiter.priority]
        waiters = users.get(waiter.user)
        if waiters is None or waiter not in waiters:
            return
        waiters.remove(waiter)
        self._count -= 1
        if not waiters:
            del users[waiter.user]

    def refuse_before(self, moment: float, why: Why) -> None:
        """Turn away those for whom it is too late at that moment."""
        for waiter in [waiter for waiter in self if waiter.until <= moment]:
            self._turn_away(waiter, why)

    def refuse_all(self, why: Why) -> None:
        """Turn everybody away."""
        for waiter in list(self):
            self._turn_away(waiter, why)

    def _turn_away(self, waiter: Waiter, why: Why) -> None:
        self.discard(waiter)
        waiter.call(why())

    def _last_below(self, priority: Priority) -> Waiter | None:
        for name in reversed(_ORDER[_ORDER.index(priority) + 1 :]):
            users = self._waiting[name]
            if users:
                return max(users.values(), key=len)[-1]
        return None
