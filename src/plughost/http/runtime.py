"""What one HTTP application works with; every request carries it, guards and endpoints find it there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import anyio
from starlette.requests import HTTPConnection

from plughost.contracts.clock import Clock
from plughost.contracts.http import ASGIApp, HttpContext
from plughost.contracts.http_settings import HttpSettings
from plughost.contracts.plugin import Service
from plughost.core.calls.visits import Visit
from plughost.core.calls.watchdog import Watchdog
from plughost.exceptions import HostNotReadyError, ServiceError
from plughost.host import Host
from plughost.http.access_file import AccessFile
from plughost.http.audit import AuditTrail
from plughost.http.caching import AnswerCache
from plughost.http.figures import HttpFigures
from plughost.http.guards import ANONYMOUS, Identity
from plughost.http.rates import Rates
from plughost.http.recent import RecentReport
from plughost.http.shared_figures import SharedFigures
from plughost.http.sign_ins import SignIns
from plughost.http.tokens import Tokens
from plughost.http.tracing import RequestTracer

RUNTIME = "plughost"
IDENTITY = "plughost.identity"
REQUEST_ID = "plughost.request_id"
AUDIT_DETAIL = "plughost.audit_detail"
AUDIT_TARGET = "plughost.audit_target"
AROUND = "plughost.around"
ANSWERED_WITHIN = "plughost.answered_within"
VISIT = "plughost.visit"
"""Keys of the ASGI scope. ``AROUND`` is the application that stands around somebody's own one, and ``ANSWERED_WITHIN``
whoever within that one answers, and counts, the request in its place. ``VISIT`` is the request as one that its plugin
is not stopped under; missing where the host itself answers."""

SYNC_ENDPOINTS_AT_ONCE = 40
_GRACE = 1.0  # seconds an endpoint has to end after it passed its limit; then it is let go

T = TypeVar("T")


class HttpRuntime:
    """The parts of one application, for guards, endpoints and the admin page.

    Attributes:
        host: The host it serves.
        settings: How it behaves.
        clock: Time.
        tokens: Bearer tokens.
        sign_ins: Administrators' browsers.
        audit: Who did what.
        figures: Usage, performance, errors.
        health: What the health checks found, run once for all strangers who ask.
        rates: Rate classes.
        answers: Answers kept for the next who asks.
        draining: Set when the server stops: streams end, readiness fails.
        watchdog: Keeps the limits of answers.
        threads: Bounds the endpoints that run in threads.
        open_streams: How many event streams are open.
        streams_of: How many of them each client holds, by what it is counted as.
        tracer: Makes a span for each request; None when nobody records them.
        kept: What plugins want to find again after a reload, under their names.
        routes: What is served, each route knowing its plugin.
        left_out: What could not become part of the application since plugins changed, in sentences.
        shared_figures: What all workers of the host count; None where this process alone serves it.
        within: What answers the routes, without the middleware of plugins: for routes that ask others.
    """

    def __init__(self, host: Host, settings: HttpSettings, clock: Clock) -> None:
        self.host = host
        self.settings = settings
        self.clock = clock
        self._file = AccessFile(host.data_dir)
        self.tokens = Tokens(self._file, clock)
        self.sign_ins = SignIns(
            self._file,
            host_name=host.name,
            link_lifetime=settings.link_lifetime,
            browser_lifetime=settings.browser_lifetime,
            clock=clock,
        )
        self.audit = AuditTrail(self._file, clock)
        self.figures = HttpFigures(clock)
        host.count_also(self.figures.counts)
        self.health = RecentReport(host.health, clock)
        self.rates = Rates(settings.rate_limits, clock)
        self.answers = AnswerCache(clock)
        self.draining = anyio.Event()
        self.watchdog = Watchdog(_GRACE)
        self.threads = anyio.CapacityLimiter(SYNC_ENDPOINTS_AT_ONCE)
        self.open_streams = 0
        self.streams_of: Counter[str | None] = Counter()
        self.tracer: RequestTracer | None = None
        self.kept: dict[str, Any] = {}
        self.routes: tuple[Any, ...] = ()
        self.left_out: tuple[str, ...] = ()
        self.shared_figures: SharedFigures | None = None
        self.within: ASGIApp | None = None
        self._services: dict[Service[Any], Any] = {}

    @property
    def environment(self) -> str:
        """Name of the environment, for the badge and for plugins."""
        return self.context.environment

    @property
    def context(self) -> HttpContext:
        """What plugins are told of the application."""
        return HttpContext.of(self.host.name, self.settings, self.host.config.host.environment)

    def service(self, kind: Service[T]) -> T | None:
        """Return a service when a plugin provides it; looked up once until plugins change."""
        found: T | None
        try:
            found = self._services[kind]
        except KeyError:
            try:
                found = self.host.use(kind)
            except (ServiceError, HostNotReadyError):
                found = None
            self._services[kind] = found
        return found

    def forget_services(self) -> None:
        """Look services up again: plugins came or went."""
        self._services.clear()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def runtime_of(connection: HTTPConnection | Mapping[str, Any]) -> HttpRuntime:
    """Return the runtime of a request, a WebSocket or an ASGI scope.

    Raises:
        LookupError: It did not come through an application that ``create_app`` made.
    """
    try:
        return cast("HttpRuntime", scope_of(connection)[RUNTIME])
    except KeyError:
        raise LookupError("this request did not come through plughost.http.create_app(host)") from None


def host_from(connection: HTTPConnection | Mapping[str, Any]) -> Host:
    """Return the host that serves a request, a WebSocket or an ASGI scope.

    It is found in requests that came through ``create_app`` or ``HostMiddleware``, and in those of an application
    around it whose lifespan is one of ``plughost.adapters``.

    Raises:
        LookupError: It is neither.
    """
    scope = scope_of(connection)
    if RUNTIME not in scope:
        found = (scope.get("state") or {}).get(RUNTIME)
        if isinstance(found, Host):
            return found
    return runtime_of(scope).host


def identity_of(connection: HTTPConnection | Mapping[str, Any]) -> Identity:
    """Return who makes a request; ``ANONYMOUS`` when the route's guard did not ask."""
    return cast("Identity", scope_of(connection).get(IDENTITY, ANONYMOUS))


def end_when_leaving(connection: HTTPConnection | Mapping[str, Any], scope: anyio.CancelScope) -> None:
    """Cancel ``scope`` once the plugin that answers a request is stopped: for answers that go on for good.

    All other answers are waited for, ``host.shutdown_timeout`` seconds long, and then cut.
    """
    visit: Visit | None = scope_of(connection).get(VISIT)
    if visit is not None:
        visit.end_with(scope)


def note_detail(connection: HTTPConnection | Mapping[str, Any], sentence: str) -> None:
    """Say in one sentence what an administrative action did, for its entry in the audit trail."""
    scope_of(connection)[AUDIT_DETAIL] = sentence


def note_target(connection: HTTPConnection | Mapping[str, Any], name: str) -> None:
    """Say by name what an administrative action is done to; without it the parts of its path are noted."""
    scope_of(connection)[AUDIT_TARGET] = name


def scope_of(connection: HTTPConnection | Mapping[str, Any]) -> Any:
    """Return the ASGI scope of a connection, which is itself one or has one."""
    return getattr(connection, "scope", connection)  # a Request of Litestar or Django has one, too
