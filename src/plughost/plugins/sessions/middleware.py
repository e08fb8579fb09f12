"""The ASGI middleware: a session in each scope, and a No to what other sites ask for in a visitor's name."""

from __future__ import annotations

from plughost.contracts import ASGIApp, Receive, Scope, Send
from plughost.exceptions import SessionUnreadableError
from plughost.plugins.sessions.csrf import SAFE_METHODS, CsrfCheck
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.problems import send_forbidden, send_unavailable
from plughost.plugins.sessions.session import LazySession
from plughost.plugins.sessions.sockets import SocketSession, SocketWatch


class SessionMiddleware:
    """Stands around the application.

    Args:
        app: The application inside.
        desk: Where sessions are fetched and handed in.
        csrf: Refuses requests from elsewhere; None lets all pass.
        watch: Closes WebSockets whose session ended.
        preload: Load the session of each request that carries a cookie before the handler runs, whether or not it is
            expected to look.
    """

    def __init__(
        self, app: ASGIApp, *, desk: Desk, csrf: CsrfCheck | None, watch: SocketWatch, preload: bool
    ) -> None:
        self._app = app
        self._desk = desk
        self._csrf = csrf
        self._watch = watch
        self._preload = preload
        self._foresight = desk.foresight

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        kind = scope["type"]
        if kind == "http":
            if scope["method"] not in SAFE_METHODS and self._csrf is not None and self._csrf.refuses(scope):
                await send_forbidden(send)
                return
            # In place and not in a method: each coroutine more costs every request a tenth of a microsecond.
            session = scope["session"] = LazySession(self._desk, scope, send)
            foresight = self._foresight
            expected = foresight is not None and foresight.expects(scope)
            if expected or self._preload:
                await session.preload()
            try:
                await self._app(scope, receive, session.send)
                if expected and foresight is not None:
                    foresight.loaded(scope, used=session.looked_at)
            except Exception as error:
                # Whatever a handler made of being refused its session: that the store is away is what went wrong.
                if session.begun or not (session.refused or isinstance(error, SessionUnreadableError)):
                    raise
                await send_unavailable(send)
            finally:
                session.let_go()
        elif kind == "websocket":
            await self._serve_socket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._csrf is not None and self._csrf.refuses(scope):
            await send({"type": "websocket.close", "code": 1008, "reason": "cross-site"})
            return
        session = SocketSession(self._desk, scope, send)
        scope["session"] = session
        if self._preload or self._foresight is not None:
            await session.preload()
        await self._watch.serve(self._app, session, scope, receive)
