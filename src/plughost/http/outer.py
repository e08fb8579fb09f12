"""What stands around an application of somebody's own, in place of a route table."""

from __future__ import annotations

from plughost.contracts.http import ASGIApp, Receive, Scope, Send
from plughost.http.csrf import cross_site, is_unchecked_from_elsewhere
from plughost.http.runtime import ANSWERED_WITHIN, HttpRuntime
from plughost.http.shell import Shell


class OuterShell(Shell):
    """The shell around an application that has its own idea of what a page may do and load.

    It adds no headers to an answer, and leaves counting to an application of the host within, if that one answers.
    """

    def __init__(self, app: ASGIApp, runtime: HttpRuntime) -> None:
        super().__init__(app, runtime)
        self._added_to = lambda headers, scheme: [(name, value) for name, value in headers]

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        if not scope[ANSWERED_WITHIN]:
            super()._note(scope, status, seconds)


class OriginCheck:
    """Refuses what a page of another site makes a visitor's browser send, unless a middleware has let it pass."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection.

        Raises:
            Problem: 403, another site made the request.
        """
        if is_unchecked_from_elsewhere(scope):
            raise cross_site()
        await self._app(scope, receive, send)
