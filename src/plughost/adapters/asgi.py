"""What all ASGI frameworks need: somebody who starts the host, and a prefix that is where it should be.

No mounted application gets a lifespan of its own, in any of them: the application around it has to start the
host, and ``running`` is how.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import unquote

from plughost.contracts.error_text import error_line
from plughost.contracts.http import ASGIApp, Message, Receive, Scope, Send
from plughost.contracts.logs import get_logger
from plughost.host import Host
from plughost.http import HostApplication

STATE = "plughost"
"""Name under which frameworks keep the host."""

_log = get_logger("plughost.http")


@asynccontextmanager
async def host_running(application: HostApplication) -> AsyncIterator[Host]:
    """Run the host of an application, and close both. A host that runs already is left to who started it.

    Raises:
        RouteError: A plugin contributed a route without a guard, or something else that cannot be served.
    """
    host = application.host
    async with AsyncExitStack() as stack:
        if not host.running:
            await stack.enter_async_context(host)
        application.check()
        try:
            yield host
        finally:
            application.drain()
            application.close()


async def live_around(
    inner: ASGIApp, application: HostApplication, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run the host of an application around the lifespan of another one, which may have none.

    The server hears that all has ended only once the host has too: it does not wait for more than that word.
    """
    scope.setdefault("state", {})[STATE] = application.host
    life = _Lifespan(receive, send)
    begun = False
    try:
        async with host_running(application):
            begun = True  # from here on the application inside speaks for itself
            await life.live(inner, scope)
    except BaseException as error:
        if not begun:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
        elif life.last is not None:
            await send({"type": "lifespan.shutdown.failed", "message": str(error)})
        raise
    if life.last is not None:
        await send(life.last)


class _Lifespan:
    """The talk between a server and an application of which somebody around it keeps the last word.

    Attributes:
        last: What the application said of its end; None when it said nothing.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._has_heard = self._has_spoken = False
        self.last: Message | None = None

    async def live(self, inner: ASGIApp, scope: Scope) -> None:
        """Have an application live; one that fails before it says a word has no lifespan, as Django's has none."""
        try:
            await inner(scope, self._hear, self._say)
        except Exception as error:
            if self._has_spoken:
                raise
            # Whoever listened may have meant to start; it is served all the same, as the protocol has it.
            if self._has_heard:
                _log.warning("application failed at its start without a word", reason=error_line(error))
        if not self._has_spoken:
            if not self._has_heard:
                await self._receive()
            await self._send({"type": "lifespan.startup.complete"})
            await self._receive()
            self.last = {"type": "lifespan.shutdown.complete"}

    async def _hear(self) -> Message:
        message = await self._receive()
        self._has_heard = True
        return message

    async def _say(self, message: Message) -> None:
        self._has_spoken = True
        if message["type"].startswith("lifespan.shutdown."):
            self.last = message
        else:
            await self._send(message)


def beside(outer: ASGIApp, application: HostApplication, prefix: str) -> ASGIApp:
    """Return one application out of two: below ``prefix`` the host's, everywhere else the other.

    The server's lifespan runs the host, and is not handed on: this is for frameworks that have none.
    """
    prefix = prefix.rstrip("/")
    inner = repaired(application, prefix)

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            try:
                context: Any = host_running(application)
                await context.__aenter__()
            except BaseException as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                raise
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await context.__aexit__(None, None, None)
            await send({"type": "lifespan.shutdown.complete"})
            return
        path, root = scope["path"], scope.get("root_path", "").rstrip("/")
        within = path.removeprefix(root) if root and _lies_below(root, path) else path
        if _lies_below(prefix, within):
            await inner(scope, receive, send)
        else:
            scope.setdefault("state", {})[STATE] = application.host
            await outer(scope, receive, send)

    return both


def repaired(application: ASGIApp, prefix: str) -> ASGIApp:
    """Return the application as it should be called below ``prefix``, whatever was done to path and prefix.

    The path is read again from what the client sent: Litestar, for one, takes the prefix off, says so nowhere,
    and adds a slash. Servers differ in whether the path holds what stands before it, their ``root_path``.
    """
    prefix = prefix.rstrip("/")

    async def below(scope: Scope, receive: Receive, send: Send) -> None:
        sent = scope.get("raw_path")
        path = scope["path"] if sent is None else unquote(sent.partition(b"?")[0].decode("latin-1"))
        outer = scope.get("root_path", "").rstrip("/")
        root = outer + prefix
        if not _lies_below(root, path):
            path = outer + path
        await application({**scope, "path": path, "root_path": root}, receive, send)

    return below


def _lies_below(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}/")
