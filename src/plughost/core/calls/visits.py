"""The requests under way at the routes of one start of a plugin: waited for as hook calls are, and cut at the limit.

A request may ask for the end of the very plugin that answers it, as an administrator's does. It would wait for itself,
so whoever waits does not count the requests that wait for him: they are known by the context that they hand on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from types import CoroutineType
from typing import Any, Self

import anyio
from anyio.lowlevel import EventLoopToken, current_token

from plughost.core.calls.drain import Traffic
from plughost.core.calls.watchdog import Watchdog
from plughost.core.stepping import ENDED, Coro, LimitPassedError, event_library
from plughost.core.threads import post

_above: ContextVar[tuple[Visit, ...]] = ContextVar("plughost visits", default=())
"""The requests inside which this context runs; one can be inside another's, when routes ask each other."""


class Visit:
    """One request at a route, a WebSocket being one for as long as it is open. A block counts it.

    What could cut it is only laid down once it really waits, as with the limits of hooks: most requests do not.
    """

    __slots__ = ("_before", "_cut", "_ends", "_is_cut", "_token", "_visits")

    def __init__(self, visits: Visits) -> None:
        self._visits = visits
        self._token: EventLoopToken | None = None
        self._cut: Callable[[], object] | None = None
        self._ends: Callable[[], object] | None = None
        self._is_cut = False

    def __enter__(self) -> Self:
        self._before: Token[tuple[Visit, ...]] = _above.set((*_above.get(), self))
        self._visits.present.add(self)
        self._visits.entered += 1
        return self

    def __exit__(self, *_: object) -> None:
        _above.reset(self._before)
        self._visits.present.discard(self)
        self._visits.leave()

    def rest_of(self, answering: Awaitable[object], watchdog: Watchdog) -> Awaitable[bool] | None:
        """Step what answers it to where it first waits; return the rest, or None where nothing was waited for.

        Awaited at once, that tells whether it came to its end, which it does not when it is cut.
        """
        if event_library.name == "trio" or type(answering) is not CoroutineType:

            async def is_to_the_end_in_scope() -> bool:
                with anyio.CancelScope() as scope:
                    self._can_be_cut_by(scope.cancel)
                    await answering
                    return True
                return False

            return is_to_the_end_in_scope()
        waiting = next(answering.__await__(), ENDED)
        return None if waiting is ENDED else self._is_to_the_end(answering, waiting, watchdog)

    async def _is_to_the_end(self, answering: Coro, waiting: Any, watchdog: Watchdog) -> bool:
        watch = watchdog.watch()
        self._can_be_cut_by(watch.give_up)
        try:
            await watch.hold(answering, waiting, None)
        except LimitPassedError:
            if not self._is_cut:
                raise  # a limit of something that was called
            return False
        finally:
            watch.end()
        return True

    def end_with(self, scope: anyio.CancelScope) -> None:
        """Cancel ``scope`` once the plugin leaves: what goes on for good need not be waited for, nor cut."""
        self._token, self._ends = current_token(), scope.cancel
        if self._visits.are_leaving:
            scope.cancel()

    def leave_early(self) -> None:
        """End it without a fault, if it can be."""
        if self._token is not None and self._ends is not None:
            post(self._token, self._ends)

    def cut(self) -> None:
        """End it, whatever it does."""
        self._is_cut = True
        if self._token is not None and self._cut is not None:
            post(self._token, self._cut)

    def _can_be_cut_by(self, cut: Callable[[], object]) -> None:
        self._token, self._cut = current_token(), cut
        if self._is_cut:  # before it could be
            cut()


class Visits(Traffic):
    """The requests at one start of a plugin.

    Attributes:
        present: Those that are under way.
        are_leaving: Whether the plugin leaves, so that what goes on for good has to end.
    """

    __slots__ = ("are_leaving", "present")

    def __init__(self) -> None:
        super().__init__()
        self.present: set[Visit] = set()
        self.are_leaving = False

    def wake(self) -> None:
        """Wake those who wait after each that ends: it may have been the last but those that wait themselves."""
        waiting, self.waiting = self.waiting, []
        for token, event in waiting:
            post(token, event.set)

    async def end(self) -> None:
        """Have streams end, and return when no request is under way but those inside which this is asked."""
        self.are_leaving = True
        for visit in tuple(self.present):
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
        return self.present.difference(_above.get())
