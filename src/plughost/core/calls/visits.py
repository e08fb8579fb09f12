"""The requests under way at the routes of one start of a plugin: waited for as hook calls are, and cut at the limit.

A request may ask for the end of the very plugin that answers it, as an administrator's does. It would wait for itself,
so whoever waits does not count the requests that wait for him: they are known by the context that they hand on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from plughost.core.calls.drain import Traffic
from plughost.core.threads import post

_above: ContextVar[tuple[Visit, ...]] = ContextVar("plughost visits", default=())
"""The requests inside which this context runs; one can be inside another's, when routes ask each other."""


class Visit:
    """One request at a route, a WebSocket being one for as long as it is open."""

    __slots__ = ("_ends", "_scope", "_token", "_visits")

    def __init__(self, visits: Visits, scope: anyio.CancelScope) -> None:
        self._visits = visits
        self._token: EventLoopToken = current_token()
        self._scope = scope
        self._ends: anyio.CancelScope | None = None

    def end_with(self, scope: anyio.CancelScope) -> None:
        """Cancel ``scope`` once the plugin leaves: what goes on for good need not be waited for, nor cut."""
        self._ends = scope
        if self._visits.are_leaving:
            scope.cancel()

    def leave_early(self) -> None:
        """End it without a fault, if it can be."""
        if self._ends is not None:
            post(self._token, self._ends.cancel)

    def cut(self) -> None:
        """End it, whatever it does."""
        post(self._token, self._scope.cancel)


class Visits(Traffic):
    """The requests at one start of a plugin.

    Attributes:
        are_leaving: Whether the plugin leaves, so that what goes on for good has to end.
    """

    __slots__ = ("_present", "are_leaving")

    def __init__(self) -> None:
        super().__init__()
        self._present: set[Visit] = set()
        self.are_leaving = False

    @contextmanager
    def one(self, scope: anyio.CancelScope) -> Iterator[Visit]:
        """Count a request for the length of a block.

        Args:
            scope: What it runs in; cancelled when it is cut.
        """
        visit = Visit(self, scope)
        before = _above.set((*_above.get(), visit))
        self._present.add(visit)
        self.entered += 1
        try:
            yield visit
        finally:
            _above.reset(before)
            self._present.discard(visit)
            self.leave()

    def wake(self) -> None:
        """Wake those who wait after each that ends: it may have been the last but those that wait themselves."""
        waiting, self.waiting = self.waiting, []
        for token, event in waiting:
            post(token, event.set)

    async def end(self) -> None:
        """Have streams end, and return when no request is under way but those inside which this is asked."""
        self.are_leaving = True
        for visit in tuple(self._present):
            visit.leave_early()
        while self._left_behind():
            event = anyio.Event()
            self.waiting.append((current_token(), event))
            if self._left_behind():
                await event.wait()

    def cut(self) -> int:
        """End all that are under way but those inside which this is asked; return how many these are."""
        cut = self._left_behind()
        for visit in cut:
            visit.cut()
        return len(cut)

    def _left_behind(self) -> set[Visit]:
        return self._present.difference(_above.get())
