"""Routes that say who may use them: Starlette's, with a guard that has no default."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Collection, Sequence
from operator import itemgetter
from typing import Any, Final

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import WebSocketRoute as StarletteWebSocketRoute

from plughost.contracts.arguments import several
from plughost.contracts.http import ASGIApp, Receive, Scope, Send
from plughost.contracts.plugin import check_function, seconds_of
from plughost.core.threads import run_in_daemon_thread
from plughost.core.wire.routes import RouteManifest
from plughost.http.bodies import bounded_receive, too_large
from plughost.http.first_byte import rest_within
from plughost.http.gate import pass_gate
from plughost.http.guards import Guard
from plughost.http.problems import Problem
from plughost.http.response_cache import CachePolicy, serve_cached
from plughost.http.runtime import RUNTIME, HttpRuntime, runtime_of
from plughost.http.standing import serve_while_standing, standing_of

_name: Final = itemgetter(0)
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_NO_RUNTIME = "This route is not served by plughost.http.create_app(host), which would guard it."


class Route(StarletteRoute):
    """Starlette's ``Route`` with a guard, and what else the host sees to for it.

    An endpoint that is a plain function runs in a thread, which is left behind when it passes its limit.

    Args:
        path: Where it is: ``/things/{id}``; Starlette's convertors work (``{path:path}``).
        endpoint: A coroutine function or plain function that takes the request and returns a response, or an
            ASGI application.
        methods: The methods it answers; ``GET`` when it is a function and nothing is said.
        guard: Who may use it: ``PUBLIC``, ``SIGNED_IN``, ``scope("things:read")``, ``any_of(...)``.
        csrf: Whether requests that change something are refused when a page of another site makes them.
        rate: Rate class it counts in, such as ``read`` or ``write``; None counts nothing.
        audit: Verb under which its uses are noted in the audit trail, such as ``things.delete``. It makes the
            route an administrative action, which a read-only host refuses. Empty for all others.
        max_body: Bytes its request body may have; None takes the application's limit.
        timeout: Seconds until its answer must have begun; None takes the application's limit, ``math.inf`` is
            none.
        cache: How its answers may be cached; None never.
        refuse: Makes the answer to whom the guard turns away, of the request and the problem; None answers
            with the problem itself.
        name: For ``request.url_for``; the endpoint's name when None.
        summary: One sentence for OpenAPI documents.
        body: Type of its JSON body, for OpenAPI documents.

    Raises:
        TypeError: What is given cannot be called, or an option is of another kind.
        ValueError: A limit that is none.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: Collection[str] | None = None,
        guard: Guard,
        csrf: bool = True,
        rate: str | None = None,
        audit: str = "",
        max_body: int | None = None,
        timeout: float | None = None,
        cache: CachePolicy | None = None,
        refuse: Callable[[HTTPConnection, Problem], Response] | None = None,
        name: str | None = None,
        summary: str = "",
        body: Any = None,
    ) -> None:
        check_function(endpoint, f"route {path}")
        _check_options(methods, max_body, timeout, cache)
        endpoint = _never_blocking(endpoint)
        super().__init__(path, endpoint, methods=methods, name=name)
        if _is_function(endpoint):
            self.app = _answering(endpoint, self.app)
        self.guard = guard
        self.csrf = csrf
        self.rate = rate
        self.audit = audit
        self.max_body = max_body
        self.timeout = None if timeout is None else seconds_of(timeout)
        self.cache = cache
        self.refuse = refuse
        self.summary = summary
        self.body = body
        self.plugin = ""
        """Name of the plugin that contributed it; set when the application is put together."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, if its guard lets it through."""
        runtime: HttpRuntime | None = scope.get(RUNTIME)
        if runtime is None:
            await Problem(503, _NO_RUNTIME, code="unguarded").response()(scope, receive, send)
            return
        if self.methods and scope["method"] not in self.methods:
            raise Problem(405, headers={"Allow": ", ".join(sorted(self.methods))}, code="method_not_allowed")
        await pass_gate(self, runtime, scope)
        if not _FRAMING.isdisjoint(map(_name, scope["headers"])):
            most = runtime.settings.max_body if self.max_body is None else self.max_body
            if any(name == b"content-length" and int(value) > most for name, value in scope["headers"]):
                raise too_large(most)
            receive = bounded_receive(receive, most)
        limit = runtime.settings.request_timeout if self.timeout is None else self.timeout
        if self.cache is None:
            rest = self._rest_within(limit, scope, receive, send)
            if rest is not None:
                await rest
        else:
            app = functools.partial(self._answer_within, limit)
            await serve_cached(app, self.cache, runtime, scope, receive, send)

    def elsewhere(self, siblings: Sequence[Any]) -> tuple[RouteManifest, Any]:
        """Return what a host is told of this route of a plugin in its own process, and what answers its requests there.

        Args:
            siblings: All routes of the plugin.
        """
        from plughost.http.crossing import crossing

        return crossing(self, siblings)

    async def _answer_within(self, limit: float, scope: Scope, receive: Receive, send: Send) -> None:
        rest = self._rest_within(limit, scope, receive, send)
        if rest is not None:
            await rest

    def _rest_within(
        self, limit: float, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None] | None:
        runtime: HttpRuntime = scope[RUNTIME]
        standing = standing_of(self.guard, runtime, scope)
        if standing is not None:
            send = standing.ending(send)
        return rest_within(limit, self.app, scope, receive, send, runtime.watchdog)


class WebSocketRoute(StarletteWebSocketRoute):
    """Starlette's ``WebSocketRoute`` with a guard; who does not pass it gets no handshake.

    Args:
        path: Where it is.
        endpoint: A coroutine function that takes the WebSocket, or an ASGI application.
        guard: Who may use it.
        csrf: Whether a handshake that a page of another site makes is refused.
        rate: Rate class its handshakes count in; None counts nothing.
        name: For ``url_for``; the endpoint's name when None.
    """

    methods = frozenset({"WEBSOCKET"})
    audit = ""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        guard: Guard,
        csrf: bool = True,
        rate: str | None = None,
        name: str | None = None,
    ) -> None:
        check_function(endpoint, f"route {path}")
        super().__init__(path, endpoint, name=name)
        self.guard = guard
        self.csrf = csrf
        self.rate = rate
        self.plugin = ""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take the WebSocket, if its guard lets it through."""
        runtime: HttpRuntime | None = scope.get(RUNTIME)
        if runtime is None:
            await send({"type": "websocket.close", "code": 1011, "reason": _NO_RUNTIME})
            return
        await pass_gate(self, runtime, scope)
        if standing_of(self.guard, runtime, scope) is None:
            await self.app(scope, receive, send)
        else:
            await serve_while_standing(self.app, scope, receive, send)

    def elsewhere(self, siblings: Sequence[Any]) -> tuple[RouteManifest, Any]:
        """Return what a host is told of this route of a plugin in its own process, and what answers its requests there.

        Args:
            siblings: All routes of the plugin.
        """
        from plughost.http.crossing import crossing

        return crossing(self, siblings)


def _check_options(methods: Collection[str] | None, max_body: object, timeout: Any, cache: object) -> None:
    """Refuse what no request could be answered by, while whoever wrote the route is there to be told."""
    several("methods", () if methods is None else methods)
    if max_body is not None and (not isinstance(max_body, int) or max_body < 0):
        raise ValueError(f"max_body is a number of bytes from 0, not {max_body!r}")
    if timeout is not None and not seconds_of(timeout, "timeout") > 0:
        raise ValueError(f"timeout is a number of seconds above zero, not {timeout!r}")
    if cache is not None and not isinstance(cache, CachePolicy):
        raise TypeError(f"cache is a CachePolicy, not {cache!r}")


def _never_blocking(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Return an endpoint that can be given up: a plain function gets a thread that may be left behind.

    Starlette would run it in a thread that anyio waits for, so a hanging one would never be answered.
    """
    if not _is_function(endpoint) or inspect.iscoroutinefunction(_unwrapped(endpoint)):
        return endpoint

    @functools.wraps(_unwrapped(endpoint))
    async def in_thread(request: Request) -> Any:
        name = f"plughost route {request.scope['path'][:60]}"
        return await run_in_daemon_thread(endpoint, request, limiter=runtime_of(request).threads, name=name)

    return in_thread


def _answering(endpoint: Callable[[Request], Any], in_application: ASGIApp) -> ASGIApp:
    """Return ``endpoint`` as an ASGI application.

    Starlette's own looks for exception handlers of the application around it; where there are none, as in one that
    ``create_app`` made, whatever is raised goes through it, and it costs a request as much as the endpoint.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if "starlette.exception_handlers" in scope:
            await in_application(scope, receive, send)
            return
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)

    return answer


def _is_function(endpoint: Callable[..., Any]) -> bool:
    """Whether it is called with a request, and is not an ASGI application."""
    inner = _unwrapped(endpoint)
    return inspect.isfunction(inner) or inspect.ismethod(inner)


def _unwrapped(endpoint: Callable[..., Any]) -> Any:
    while isinstance(endpoint, functools.partial):
        endpoint = endpoint.func
    return endpoint
