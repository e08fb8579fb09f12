"""Compression for whoever takes it, and no work at all for whoever does not."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.middleware.gzip import GZipMiddleware

from plughost.contracts.http import ASGIApp, Receive, Scope, Send

_LEVEL = 6


class Compression:
    """Starlette's gzip middleware for requests that accept gzip; others go straight through.

    An answer that was not compressed says nothing of ``Accept-Encoding``: everybody can read it, so a shared
    cache may hand it to anybody.

    Args:
        app: The application inside.
        minimum: Bytes from which on an answer is compressed.
    """

    def __init__(self, app: ASGIApp, minimum: int) -> None:
        self._app = app
        self._packing = GZipMiddleware(app, minimum_size=minimum, compresslevel=_LEVEL)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request. A coroutine of its own would cost every request."""
        for name, value in scope["headers"]:
            if name == b"accept-encoding" and b"gzip" in value:
                return self._packing(scope, receive, send)
        return self._app(scope, receive, send)
