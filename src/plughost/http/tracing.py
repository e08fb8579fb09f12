"""Spans for requests, when the program around has set up OpenTelemetry; nothing at all when it has not.

Only the API is used, and only if it is installed and a provider is configured: a span that nobody records
would still cost several microseconds a request.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from plughost.contracts.plugin import HOST_API


class RequestTracer:
    """Makes one span for each request, named after its route, below whatever span the client was in.

    Args:
        tracer: An OpenTelemetry tracer.
        propagate: The module ``opentelemetry.propagate``.
        kind: ``SpanKind.SERVER``.
    """

    def __init__(self, tracer: Any, propagate: Any, kind: Any) -> None:
        self._tracer = tracer
        self._propagate = propagate
        self._kind = kind

    @contextmanager
    def span(self, scope: Mapping[str, Any]) -> Iterator[Any]:
        """Record one request; the yielded span is current meanwhile, so what happens inside lies below it."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        attributes = {"http.request.method": scope["method"], "url.scheme": scope.get("scheme", "http")}
        with self._tracer.start_as_current_span(
            scope["method"],
            context=self._propagate.extract(carrier),
            kind=self._kind,
            attributes=attributes,
        ) as span:
            yield span

    @staticmethod
    def end(span: Any, scope: Mapping[str, Any], status: int) -> None:
        """Say what became of a request: its route, its plugin, its status. Never its path or query."""
        route = scope.get("route")
        if route is not None:
            span.update_name(f"{scope['method']} {route.path}")
            span.set_attribute("http.route", route.path)
            span.set_attribute("plugin.name", getattr(route, "plugin", ""))
        span.set_attribute("http.response.status_code", status)


def request_tracer(provider: Any = None) -> RequestTracer | None:
    """Return the tracer of requests; None when OpenTelemetry is not installed or nobody has configured it.

    Args:
        provider: An OpenTelemetry tracer provider; None takes the program's own.
    """
    try:
        from opentelemetry import propagate, trace
    except ImportError:
        return None
    if provider is None:
        provider = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
            return None
    return RequestTracer(provider.get_tracer("plughost", HOST_API), propagate, trace.SpanKind.SERVER)
