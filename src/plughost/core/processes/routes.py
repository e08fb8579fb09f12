"""Routes of a plugin in its own process, as the host has them: each request is a stream of messages.

What the process sends is a stranger's word: each message is looked at before a server is given it, one at a time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import anyio

from plughost._dataclasses import dataclass
from plughost.contracts.http import Receive, Send
from plughost.core.wire.routes import AsgiMessage, GuardManifest, RouteAnswer, RouteManifest, RouteRequest

_FROM_THERE: Final = frozenset(
    {"http.response.start", "http.response.body", "http.response.trailers"}
    | {"websocket.accept", "websocket.send", "websocket.close"}
)
_ODD: Final = (b"\r", b"\n", b"\0")


class RouteStream:
    """The messages of one request.

    Args:
        receive: Waits for the client.
        send: Sends to the client.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._begun: AsgiMessage | None = None
        self._has_begun = False
        self._sending = anyio.Lock()
        self._pieces: Iterator[AsgiMessage] = iter(())

    async def receive(self) -> AsgiMessage:
        """Return the client's next message, a big one in pieces."""
        piece = next(self._pieces, None)
        if piece is None:
            self._pieces = AsgiMessage.of(await self._receive()).pieces()
            piece = next(self._pieces)
        return piece

    def begin(self, message: AsgiMessage) -> None:
        """Take in how an answer begins; it is sent with what comes next, or by ``flush``.

        Raises:
            ValueError: It is no such message, or not the first.
        """
        if self._has_begun or message.type != "http.response.start":
            raise ValueError(f"an answer does not begin with {message.type!r} here")
        self._begun, self._has_begun = _checked(message), True

    async def flush(self) -> None:
        """Send how the answer begins, if that is not sent yet; who serves the request knows what fails."""
        with suppress(Exception):
            async with self._sending:
                await self._flush()

    async def send(self, message: AsgiMessage) -> None:
        """Send a message to the client; returns when the server has taken it.

        Raises:
            Exception: It is no such message, or what the server raised.
        """
        message = _checked(message)
        if message.type.startswith("http.response.") and (
            not self._has_begun or message.type.endswith("start")
        ):
            raise ValueError("an answer has to begin, once, before its body comes")
        async with self._sending:
            await self._flush()
            await self._send(message.message())

    async def _flush(self) -> None:
        begun, self._begun = self._begun, None
        if begun is not None:
            await self._send(begun.message())


@dataclass(frozen=True, slots=True)
class ElsewhereRoute:
    """A route of a plugin in its own process; ``register_routes`` of its stand-in returns these.

    Attributes:
        manifest: What it is.
        answer: Answers a request there.
    """

    manifest: RouteManifest
    answer: Callable[[RouteRequest, RouteStream], Awaitable[RouteAnswer]]

    @property
    def path(self) -> str:
        """Where it is, as of every ``GuardedRoute``."""
        return self.manifest.path

    @property
    def guard(self) -> GuardManifest | None:
        """Who may use it; None when it cannot be served."""
        return self.manifest.guard


def _checked(message: AsgiMessage) -> AsgiMessage:
    if message.type not in _FROM_THERE:
        raise ValueError(f"{message.type!r} is not a message of an answer")
    status = message.rest.get("status", 200)
    if type(status) is not int or not 200 <= status <= 599:
        raise ValueError(f"{status!r} is not a status of an answer")
    for pair in message.headers:
        if any(odd in part for part in pair for odd in _ODD):
            raise ValueError("a header has a line end in it")
    if message.type == "http.response.start":
        return replace(message, headers=tuple((name.lower(), value) for name, value in message.headers))
    return message
