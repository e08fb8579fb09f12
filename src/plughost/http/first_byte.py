"""How long an answer may take to begin: a limit that costs nothing where nothing waits.

As for hook calls, what answers is stepped once, and only when it really waits is a watch laid down for the event
loop's one ticker to look at. A cancel scope of its own would cost each request a timer.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable
from types import CoroutineType
from typing import Any

import anyio

from plughost.contracts.http import ASGIApp, Message, Receive, Scope, Send
from plughost.core.calls.watchdog import Unwatched, Watch, Watchdog
from plughost.core.containment import Point, stray
from plughost.core.stepping import ENDED, Coro, LimitPassedError, event_library
from plughost.http.problems import Problem


def rest_within(
    limit: float, app: ASGIApp, scope: Scope, receive: Receive, send: Send, watchdog: Watchdog
) -> Awaitable[None] | None:
    """Let ``app`` answer to where it first waits; return the rest, or None where nothing was waited for.

    Awaited at once, that is given up when nothing was sent within ``limit`` seconds.

    Raises:
        Problem: 503, it took longer.
    """
    answer = _Answer(send)
    answering = app(scope, receive, answer.send)
    if event_library.name == "trio" or type(answering) is not CoroutineType:

        async def in_scope() -> None:
            with anyio.move_on_after(limit) as answer.cancel_scope:
                await answering
                return
            if not answer.begun:
                raise _too_long()

        return in_scope()
    try:
        waiting = next(answering.__await__(), ENDED)
    except GeneratorExit as error:  # its own: nobody closed it
        raise stray(error, Point.ROUTE) from error
    return None if waiting is ENDED else _watched(limit, answering, waiting, answer, watchdog)


async def _watched(limit: float, answering: Coro, waiting: Any, answer: _Answer, watchdog: Watchdog) -> None:
    answer.watch = watch = watchdog.watch()
    end = anyio.current_time() + limit
    try:
        await watch.hold(answering, waiting, None if answer.begun or limit == math.inf else limit)
    except LimitPassedError:
        if answer.in_time or anyio.current_time() < end:
            raise  # not this limit, but one of something that was called
        if not answer.begun:
            raise _too_long() from None
    finally:
        watch.end()


class _Answer:
    """What an application sends, and the limit that ends with the first message.

    Attributes:
        begun: Whether something was sent.
        in_time: Whether that was before the limit.
        watch: What keeps the limit.
        cancel_scope: What keeps it elsewhere than on asyncio.
    """

    __slots__ = ("_send", "begun", "cancel_scope", "in_time", "watch")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = self.in_time = False
        self.watch: Watch | Unwatched | None = None
        self.cancel_scope: anyio.CancelScope | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on. A coroutine of its own would cost every message of every answer."""
        if not self.begun:
            self.begun = True
            if self.cancel_scope is not None:
                self.cancel_scope.deadline = math.inf
            elif not isinstance(self.watch, Watch):
                self.in_time = True
            elif not self.watch.cancels:
                self.in_time, self.watch.deadline = True, math.inf
        return self._send(message)


def _too_long() -> Problem:
    return Problem(503, "This took too long and was given up.", code="timeout")
