"""OpenTelemetry, when its API is installed: ``trace_hooks(host)`` makes a span of every hook call."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from opentelemetry import trace

from plughost.contracts.plugin import HOST_API
from plughost.host import Host


def trace_hooks(host: Host, provider: Any = None) -> None:
    """Make a span of every hook call, named ``hook NAME``; what plugins trace themselves lies below it.

    One span for the whole call, not one for each plugin: a span costs more than most implementations do, and
    the figures of each plugin are in the host's metrics anyway.

    Args:
        host: Whose hooks.
        provider: An OpenTelemetry tracer provider; None takes the program's own.
    """
    tracer = trace.get_tracer("plughost", HOST_API, tracer_provider=provider)

    def span(hook: str) -> AbstractContextManager[object]:
        attributes = {"hook.name": hook, "plughost.host": host.name}
        return tracer.start_as_current_span(f"hook {hook}", attributes=attributes)

    host.observe_hooks(span)
