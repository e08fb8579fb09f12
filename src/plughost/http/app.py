"""The application: put together from what plugins contribute, and again whenever plugins come or go."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import HTTPConnection

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.config import HostConfig
from plughost.contracts.http import ASGIApp, Receive, Scope, Send
from plughost.contracts.http_settings import AdminPath, HttpSettings
from plughost.contracts.logs import get_logger
from plughost.contracts.records import PluginStateChanged
from plughost.core.config import load_config
from plughost.exceptions import RouteError
from plughost.host import Host
from plughost.http.composition import Composition, compose, compose_around
from plughost.http.health import health_routes
from plughost.http.metrics import metrics_routes
from plughost.http.problems import Problem
from plughost.http.runtime import ANSWERED_WITHIN, AROUND, HttpRuntime
from plughost.http.tracing import request_tracer

_log = get_logger("plughost.http")


class HostApplication:
    """An ASGI application that serves a host. Mount it anywhere; it needs no lifespan of its own.

    It follows the host's plugins: routes of one that is unloaded are gone with the next request, those of one
    that is loaded are there. Make it with ``create_app``.

    Given an application of somebody's own, ``inner``, it stands around that one: the plugins' middleware, the check
    of where a request comes from, and problem documents for what fails; the plugins' routes are served where an
    application that ``create_app`` made is mounted.

    Attributes:
        runtime: What it works with.

    Raises:
        ConfigError: The settings are wrong; all that is wrong with them is named.
    """

    def __init__(
        self,
        host: Host,
        settings: HttpSettings,
        clock: Clock,
        tracer_provider: Any = None,
        *,
        inner: ASGIApp | None = None,
    ) -> None:
        if settings is not host.config.http:
            settings = load_config(HostConfig(http=settings), environ={}).config.http
        self.runtime = HttpRuntime(host, settings, clock)
        self._inner = inner
        self._within: set[HostApplication] = set()
        self._tracer_provider = tracer_provider
        self._composition: Composition | None = None
        self._stale = True

        def plugins_changed(_: PluginStateChanged) -> None:
            self._stale = True

        self._unsubscribe = host.events.subscribe(PluginStateChanged, plugins_changed)

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
        held = self._composition
        if held is None or self._stale or not all(map(self.host.is_starting, held.awaited)):
            first = held is None
            self.runtime.forget_services()
            self.runtime.tracer = request_tracer(self._tracer_provider)
            context = self.runtime.context
            if self._inner is None:
                own = [*health_routes(), *metrics_routes()]
                self._composition = compose(self.runtime, own, context, strict=first)
            else:
                self._composition = compose_around(self._inner, self.runtime, context, strict=first)
            self.runtime.left_out = self._composition.left_out
            self.runtime.routes = self._composition.routes
            self.runtime.within = self._composition.within
            self._stale = False
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
        for application in self._within:
            application.drain()

    def close(self) -> None:
        """Let go of the host and of files."""
        self._unsubscribe()
        self.runtime.close()
        for application in self._within:
            application.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request or a WebSocket; a lifespan is acknowledged and nothing hangs on it."""
        if scope["type"] == "lifespan":
            ended = False
            while not ended:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                ended = message["type"] == "lifespan.shutdown"
            return
        present: Composition | Problem
        held = self._composition
        if held is None or self._stale or held.awaited or not self.runtime.host.running:
            present = self._present()
        else:
            present = held  # the usual
        if isinstance(present, Problem):
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1011, "reason": present.code})
            else:
                await present.response(HTTPConnection(scope))(scope, receive, send)
            return
        around = scope.get(AROUND)
        if around is not None and around.host is self.host:
            around._within.add(self)  # what is mounted within it ends with it
            scope[ANSWERED_WITHIN].append(self)
            await present.within(scope, receive, send)  # the middleware of plugins has seen it already
            return
        if self._inner is not None:
            scope[AROUND], scope[ANSWERED_WITHIN] = self, []
        await present.app(scope, receive, send)

    def _present(self) -> Composition | Problem:
        if not self.host.running:
            return Problem(503, _NOT_STARTED.format(name=self.host.name), code="host_not_started")
        try:
            return self.composition
        except RouteError as error:
            _log.error("routes refused", plugin=error.plugin, path=error.path, reason=str(error))
            return Problem(503, _NOT_COMPOSED, code="routes_refused")


def create_app(
    host: Host,
    *,
    settings: HttpSettings | None = None,
    admin_path: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
    tracer_provider: Any = None,
) -> HostApplication:
    """Return the ASGI application of a host: routes, middleware and panels of its plugins, health, metrics.

    Call it before or after the host is started. If the host runs already, what plugins contribute is checked
    now; otherwise with the first request, or when the adapter that starts the host says so.

    Args:
        host: The host to serve.
        settings: How to behave; the configuration's table ``[http]`` when None.
        admin_path: What the addresses of the admin page and its API begin with; as ``settings`` say when None.
            Empty for an application that is mounted at ``/admin``: the page is then at ``/admin/system``.
        clock: Tells when tokens and sign-ins end.
        tracer_provider: An OpenTelemetry tracer provider; the program's own when None.

    Raises:
        ConfigError: ``settings`` are wrong.
        RouteError: The host runs, and a route has no guard, or something else does not fit.
        ValueError: ``admin_path`` is not a prefix of a path.
    """
    settings = settings or host.config.http
    if admin_path is not None:
        try:
            prefix = msgspec.convert(admin_path, AdminPath)
        except msgspec.ValidationError:
            raise ValueError(
                f"admin_path is a prefix such as '/admin' or '/ops/admin', or empty; it is not {admin_path!r}"
            ) from None
        settings = msgspec.structs.replace(settings, admin_path=prefix)
    application = HostApplication(host, settings, clock, tracer_provider)
    if host.running:
        application.check()
    return application


_NOT_STARTED = (
    "The host {name!r} was not started. Start it where the application around it starts:"
    " `async with host:` in its lifespan, or one of plughost.adapters."
)
_NOT_COMPOSED = "A plugin contributed a route that cannot be served; the log names it."
