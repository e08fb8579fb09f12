"""The application: put together from what plugins contribute, and again whenever plugins come or go."""

from __future__ import annotations

from typing import Any

from starlette.requests import HTTPConnection

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.http import ASGIApp, HttpContext, Receive, Scope, Send
from plughost.contracts.http_settings import HttpSettings
from plughost.contracts.logs import get_logger
from plughost.contracts.records import PluginStateChanged
from plughost.exceptions import RouteError
from plughost.host import Host
from plughost.http.composition import Composition, compose
from plughost.http.health import health_routes
from plughost.http.metrics import metrics_routes
from plughost.http.problems import Problem
from plughost.http.runtime import HttpRuntime
from plughost.http.tracing import request_tracer

_log = get_logger("plughost.http")


class HostApplication:
    """An ASGI application that serves a host. Mount it anywhere; it needs no lifespan of its own.

    It follows the host's plugins: routes of one that is unloaded are gone with the next request, those of one
    that is loaded are there. Make it with ``create_app``.

    Attributes:
        runtime: What it works with.
    """

    def __init__(self, host: Host, settings: HttpSettings, clock: Clock, tracer_provider: Any = None) -> None:
        self.runtime = HttpRuntime(host, settings, clock)
        self._tracer_provider = tracer_provider
        self._composition: Composition | None = None
        self._stale = True
        self._unsubscribe = host.events.subscribe(PluginStateChanged, self._plugins_changed)

    @property
    def host(self) -> Host:
        """The host it serves."""
        return self.runtime.host

    @property
    def composition(self) -> Composition:
        """What it is made of at present; made now if need be.

        Raises:
            RouteError: Something a plugin contributed does not fit, and it was never put together before.
        """
        if self._composition is None or self._stale:
            self._compose()
        assert self._composition is not None  # noqa: S101 - _compose has set it or raised
        return self._composition

    def check(self) -> None:
        """Put it together now; call it once the host has started, so that a wrong route stops the program.

        Raises:
            RouteError: A route has no guard, or something else that a plugin contributed does not fit.
        """
        self._stale = True
        _ = self.composition

    def drain(self) -> None:
        """End event streams and fail readiness: the server is about to stop."""
        self.runtime.draining.set()

    def close(self) -> None:
        """Let go of the host and of files."""
        self._unsubscribe()
        self.runtime.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket; a lifespan is acknowledged and nothing hangs on it."""
        if scope["type"] == "lifespan":
            await _acknowledge_lifespan(receive, send)
            return
        app = self._present()
        if isinstance(app, Problem):
            await _refuse(app, scope, receive, send)
            return
        await app(scope, receive, send)

    def _present(self) -> ASGIApp | Problem:
        if not self.host.running:
            return Problem(503, _NOT_STARTED.format(name=self.host.name), code="host_not_started")
        try:
            return self.composition.app
        except RouteError as error:
            _log.error("routes refused", plugin=error.plugin, path=error.path, reason=str(error))
            return Problem(503, _NOT_COMPOSED, code="routes_refused")

    def _compose(self) -> None:
        first = self._composition is None
        self.runtime.forget_services()
        self.runtime.tracer = request_tracer(self._tracer_provider)
        context = HttpContext(
            host_name=self.host.name,
            environment=self.runtime.environment,
            read_only=self.runtime.settings.read_only,
        )
        own = [*health_routes(), *metrics_routes()]
        self._composition = compose(self.runtime, own, context, strict=first)
        self.runtime.left_out = self._composition.left_out
        self.runtime.routes = self._composition.routes
        self._stale = False

    def _plugins_changed(self, _: PluginStateChanged) -> None:
        self._stale = True


def create_app(
    host: Host,
    *,
    settings: HttpSettings | None = None,
    clock: Clock = SYSTEM_CLOCK,
    tracer_provider: Any = None,
) -> HostApplication:
    """Return the ASGI application of a host: routes, middleware and panels of its plugins, health, metrics.

    Call it before or after the host is started. If the host runs already, what plugins contribute is checked
    now; otherwise with the first request, or when the adapter that starts the host says so.

    Args:
        host: The host to serve.
        settings: How to behave; the configuration's table ``[http]`` when None.
        clock: Tells when tokens and sign-ins end.
        tracer_provider: An OpenTelemetry tracer provider; the program's own when None.

    Raises:
        RouteError: The host runs, and a route has no guard, or something else does not fit.
    """
    application = HostApplication(host, settings or host.config.http, clock, tracer_provider)
    if host.running:
        application.check()
    return application


_NOT_STARTED = (
    "The host {name!r} was not started. Start it where the application around it starts:"
    " `async with host:` in its lifespan, or one of plughost.adapters."
)
_NOT_COMPOSED = "A plugin contributed a route that cannot be served; the log names it."


async def _refuse(problem: Problem, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1011, "reason": problem.code})
        return
    await problem.response(HTTPConnection(scope))(scope, receive, send)


async def _acknowledge_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
