"""The outermost shell of the application: headers, figures and failures of every request in one place.

One layer instead of four: each ASGI middleware costs a call and a closure per request, and these four need
the same two moments, the beginning of the answer and its end.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Awaitable
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection

from plughost.contracts.error_text import error_text, error_type_name
from plughost.contracts.http import ASGIApp, Message, Receive, Scope, Send
from plughost.contracts.logs import get_logger
from plughost.contracts.records import RUNNING_STATES
from plughost.core.containment import Point, failure_fields, stray
from plughost.core.stepping import belongs_to_caller, own_exits_contained
from plughost.exceptions import HostNotReadyError, PluginProcessError, StoreUnavailableError
from plughost.http.access_log import note_request
from plughost.http.csrf import ORIGINS, OriginPolicy
from plughost.http.figures import FailedRequest
from plughost.http.guards import ANONYMOUS
from plughost.http.headers import RawHeaders, SecurityHeaders
from plughost.http.loopback import TRUST
from plughost.http.problems import Problem
from plughost.http.runtime import AUDIT_DETAIL, AUDIT_TARGET, IDENTITY, REQUEST_ID, RUNTIME, HttpRuntime
from plughost.http.shapes import refuse_odd_shape
from plughost.http.tracing import RequestTracer


class Shell:
    """Stands around all contributed middleware and routes of one application.

    Args:
        app: What stands inside.
        runtime: The application's parts.
    """

    def __init__(self, app: ASGIApp, runtime: HttpRuntime) -> None:
        self._app = app
        self._runtime = runtime
        public = urlsplit(runtime.settings.public_url)
        self._public_host = public.netloc.encode("latin-1")
        self._public_schemes = {"http": public.scheme, "ws": public.scheme.replace("http", "ws")}
        self._origins = OriginPolicy.of(runtime.settings.trusted_origins)
        # A public address is one that a proxy passes on, whatever it says of it.
        self._trust = runtime.settings.trust_loopback if not public.netloc else False
        self._added_to = SecurityHeaders(runtime.settings.hsts).added_to
        self._log = get_logger("plughost.http")
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count(1)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[Any]:
        """Serve a request or a WebSocket. A coroutine of its own would cost every request."""
        # A request to the public address is seen as the browser does, whatever the proxy says or leaves out.
        if self._public_host and (b"host", self._public_host) in scope["headers"]:
            scope["scheme"] = self._public_schemes.get(scope["scheme"], scope["scheme"])
        scope[RUNTIME] = self._runtime
        scope[ORIGINS] = self._origins
        scope[TRUST] = self._trust
        scope[REQUEST_ID] = f"{self._prefix}-{next(self._numbers)}"
        if scope["type"] == "websocket":
            return self._websocket(scope, receive, send)
        if self._runtime.tracer is not None:
            return self._traced(self._runtime.tracer, scope, receive, send)
        return self._request(scope, receive, send)

    async def _traced(self, tracer: RequestTracer, scope: Scope, receive: Receive, send: Send) -> None:
        with tracer.span(scope) as span:
            status = await self._request(scope, receive, send)
            tracer.end(span, scope, status)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Answer a request; return the status of the answer."""
        figures, now = self._runtime.figures, self._runtime.clock.monotonic
        began, status = now(), 0

        # No coroutine: that would cost every message of every answer.
        def send_dressed(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = self._added_to(message.get("headers", ()), scope.get("scheme", "http"))
                message = {**message, "headers": _private(scope, headers)}
            return send(message)

        figures.under_way += 1
        try:
            refuse_odd_shape(scope)
            if rest := own_exits_contained(self._app(scope, receive, send_dressed), Point.ROUTE):
                await rest
        except ClientDisconnect:
            pass  # nobody is left to answer
        except BaseException as error:
            if belongs_to_caller(error):
                raise
            problem = self._problem_of(failure := _as_exception(error), scope)
            if status:
                raise failure from error.__cause__  # too late for another answer: the server cuts the connection
            # A route may have its own answer to those it does not let in.
            refuse = getattr(scope.get("route"), "refuse", None) if problem.status in (401, 403) else None
            asked = HTTPConnection(scope)
            response = refuse(asked, problem) if refuse is not None else problem.response(asked)
            await response(scope, receive, send_dressed)
        finally:
            figures.under_way -= 1
            self._note(scope, status, now() - began)
        return status

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        accepted = False

        async def send_noting(message: Message) -> None:
            nonlocal accepted
            accepted = accepted or message["type"] == "websocket.accept"
            await send(message)

        try:
            rest = own_exits_contained(self._app(scope, receive, send_noting), Point.ROUTE)
            if rest is not None:
                await rest
        except BaseException as error:
            if belongs_to_caller(error):
                raise
            problem = self._problem_of(_as_exception(error), scope)
            code = 1011 if problem.status >= 500 else 1008
            if not accepted:
                await receive()  # the handshake, which is refused by closing
            await send({"type": "websocket.close", "code": code, "reason": problem.detail[:100]})

    def _problem_of(self, error: Exception, scope: Scope) -> Problem:
        """Return what the client is told; what it is not told goes to the log and the figures."""
        if isinstance(error, Problem):
            if error.code == "timeout":
                self._note_failure(scope, "timeout", "passed its time limit", None)
            return error
        if isinstance(error, HTTPException):
            return Problem(error.status_code, error.detail, headers=dict(error.headers or {}))
        self._note_failure(scope, error_type_name(error), error_text(error), error)
        plugin = getattr(scope.get("route"), "plugin", "")
        record = self._runtime.host.plugin(plugin) if plugin else None
        was_stopped = plugin and (record is None or record.state not in RUNNING_STATES)
        if isinstance(error, _NOT_NOW) or was_stopped:
            return Problem(
                503, "A part of this host is not available now; try again later.", code="unavailable"
            )
        return Problem(
            500, f"This failed; the log knows more under {scope[REQUEST_ID]}.", code="internal_error"
        )

    def _note_failure(self, scope: Scope, kind: str, message: str, error: Exception | None) -> None:
        route = scope.get("route")
        path, plugin = getattr(route, "path", ""), getattr(route, "plugin", "")
        method = scope.get("method", "WEBSOCKET")
        self._runtime.figures.note_failure(
            FailedRequest(
                at=self._runtime.clock.time(),
                request_id=scope[REQUEST_ID],
                method=method,
                path=path,
                plugin=plugin,
                kind=kind,
                message=message[:300],
            )
        )
        self._log.error(
            "request failed",
            request_id=scope[REQUEST_ID],
            method=method,
            route=path,
            plugin=plugin,
            kind=kind,
            **failure_fields(error),
        )

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope.get("route")
        path, plugin = getattr(route, "path", ""), getattr(route, "plugin", "")
        method = scope["method"] if route is not None else "*"  # whatever a client invents is not a series
        self._runtime.figures.observe(method, path, plugin, status or 499, seconds)
        verb = getattr(route, "audit", "")
        if verb and scope.get(IDENTITY, ANONYMOUS).known:
            parts = ", ".join(str(value) for value in scope.get("path_params", {}).values())
            try:
                self._runtime.audit.add(
                    actor=scope[IDENTITY].actor,
                    verb=verb,
                    target=scope.get(AUDIT_TARGET) or parts,
                    status=status,
                    detail=scope.get(AUDIT_DETAIL, ""),
                    address=(scope.get("client") or ("",))[0],
                    request_id=scope[REQUEST_ID],
                )
            except StoreUnavailableError as error:
                self._log.error("audit entry lost", verb=verb, status=status, exc_info=error)
        note_request(scope, status, seconds)


_NOT_NOW = StoreUnavailableError | HostNotReadyError | PluginProcessError


def _as_exception(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else stray(error, Point.ROUTE)


def _private(scope: Scope, headers: RawHeaders) -> RawHeaders:
    """Keep shared caches from what was made for somebody: said of every route that asks who it is."""
    guard = getattr(scope.get("route"), "guard", None)
    if guard is None or not guard.looks_at_identity:
        return headers
    names = {name.lower() for name, _ in headers}
    private = [] if b"cache-control" in names else [(b"cache-control", b"no-store")]
    told = [] if b"vary" in names else [(b"vary", b"Cookie, Authorization")]
    return [*headers, *private, *told]
