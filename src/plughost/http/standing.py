"""What a credential opened ends with it: connections that go on are asked again who they are.

A token may be revoked by another process, a browser signed out by another tab, a session ended by an administrator.
None of these knows what was opened before, so that each long connection looks for itself, every other second.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import anyio
from starlette.requests import ClientDisconnect

from plughost.contracts.http import ASGIApp, Message, Receive, Scope, Send
from plughost.contracts.session import SOCKET_CLOSED_BY_SESSION
from plughost.core.stepping import belongs_to_caller
from plughost.exceptions import StoreUnavailableError
from plughost.http.gate import is_still_admitted
from plughost.http.guards import ANONYMOUS, Guard
from plughost.http.runtime import IDENTITY, HttpRuntime

LOOK_EVERY: Final = 2.0
"""Seconds between two looks."""

STANDING = "plughost.standing"
"""Key of the ASGI scope."""


class Standing:
    """Whether the credential behind one connection still opens it.

    Args:
        guard: What it passed.
        runtime: The application's parts.
        connection: The ASGI scope, in which the gate noted who asks.
    """

    def __init__(self, guard: Guard, runtime: HttpRuntime, connection: Scope) -> None:
        self._guard = guard
        self._runtime = runtime
        self._connection = connection
        self._looked = runtime.clock.monotonic()
        self._watched = False

    async def is_over(self) -> bool:
        """Look, unless that was done a moment ago. A store that is away ends nothing."""
        now = self._runtime.clock.monotonic()
        if now - self._looked < LOOK_EVERY:
            return False
        self._looked = now
        try:
            return not await is_still_admitted(self._guard, self._runtime, self._connection)
        except StoreUnavailableError:
            return False

    async def is_over_unwatched(self) -> bool:
        """Look, unless somebody waits in ``until_over``, who will act on it."""
        return not self._watched and await self.is_over()

    def ending(self, send: Send) -> Send:
        """Return a ``send`` that ends an answer which comes in pieces once the credential has ended."""

        async def send_while_standing(message: Message) -> None:
            if message.get("more_body") and await self.is_over_unwatched():
                raise ClientDisconnect  # nobody is there any more who may be told the rest
            await send(message)

        return send_while_standing

    async def until_over(self) -> None:
        """Return when the credential has ended."""
        self._watched = True
        while True:
            await self._runtime.clock.sleep(LOOK_EVERY)
            if await self.is_over():
                return


def standing_of(guard: Guard, runtime: HttpRuntime, connection: Scope) -> Standing | None:
    """Return the standing of a connection that passed the gate, also in its scope; None when nobody is known."""
    identity = connection.get(IDENTITY, ANONYMOUS)
    if identity is not ANONYMOUS and identity.known:
        standing = connection[STANDING] = Standing(guard, runtime, connection)
        return standing
    return None


async def cancel_when_over(connection: Mapping[str, Any], scope: anyio.CancelScope) -> None:
    """Cancel ``scope`` when the credential behind a connection has ended; returns at once when there is none."""
    standing: Standing | None = connection.get(STANDING)
    if standing is not None:
        await standing.until_over()
        scope.cancel()


async def serve_while_standing(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run a WebSocket's application until it is done, or the credential that opened the socket has ended."""
    closed = False
    failure: BaseException | None = None

    async def send_noting(message: Message) -> None:
        nonlocal closed
        closed = closed or message["type"] == "websocket.close"
        await send(message)

    async def receive_noting() -> Message:
        nonlocal closed
        message = await receive()
        closed = closed or message["type"] == "websocket.disconnect"
        return message

    with anyio.CancelScope() as until_over:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cancel_when_over, scope, until_over)
            try:
                await app(scope, receive_noting, send_noting)
            except BaseException as error:
                if belongs_to_caller(error):
                    raise
                failure = error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if until_over.cancel_called and not closed:
        await send(
            {"type": "websocket.close", "code": SOCKET_CLOSED_BY_SESSION, "reason": "the credential ended"}
        )
