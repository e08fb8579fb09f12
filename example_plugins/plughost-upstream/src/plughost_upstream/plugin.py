"""The plugin: provides ``Upstreams``, tells the calls, shows figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from msgspec import Struct

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    Clock,
    HealthCheck,
    MetricFamily,
    MetricSample,
    RateLimiter,
    get_logger,
)
from plughost.exceptions import ServiceError
from plughost_upstream import hookspecs
from plughost_upstream.addresses import Resolve, networks_of, system_resolve
from plughost_upstream.protocols import Upstreams
from plughost_upstream.service import Services

_TELL_EACH: Final = 0.5
_CLIENT_LOGS: Final = (
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
)


class UpstreamConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.upstream.config]``.

    Attributes:
        allowed_networks: Networks in which services may be although they are not public, such as
            ``["127.0.0.1/32"]`` for a fake on this machine. http is allowed there, too.
    """

    allowed_networks: tuple[str, ...] = ()


class UpstreamPlugin(Plugin):
    """Provides ``Upstreams``.

    Args:
        clock: Time.
        resolve: Returns the addresses of a name.
    """

    name = "upstream"
    version = "1.0.0"
    after = ("cache",)
    Config: ClassVar[type[Any] | None] = UpstreamConfig

    def __init__(self, clock: Clock = SYSTEM_CLOCK, resolve: Resolve = system_resolve) -> None:
        self._clock, self._resolve = clock, resolve

    async def check_config(self, config: UpstreamConfig) -> None:
        """Refuse a network that is none: a rule that is misread must not become no rule."""
        networks_of(config.allowed_networks)

    async def start(self, context: PluginContext) -> None:
        """Provide the service."""

        def limiter() -> RateLimiter | None:
            try:
                return context.use(RateLimiter)  # asked each time: it comes and goes with its plugin
            except ServiceError:
                return None

        for name in _CLIENT_LOGS:
            get_logger(name)  # from now on they hide what is secret
        allowed = networks_of(context.config.allowed_networks)
        self._services = Services(self._clock, limiter, allowed, self._resolve)
        self._hooks = context.hooks
        context.register_hookspecs(hookspecs)
        context.provide(Upstreams, self._services)
        context.spawn(self._services.pacer.run)
        context.spawn(self._tell)

    async def stop(self) -> None:
        """Close the connections."""
        await self._services.aclose()

    def status(self) -> Mapping[str, object]:
        """How many origins there are, and what went wrong."""
        figures = self._services.figures().values()
        calls = sum(sum(one.calls.values()) for one in figures)
        return {
            "origins": len(figures),
            "calls": calls,
            "failed": calls - sum(one.calls.get(kind, 0) for one in figures for kind in ("ok", "left")),
            "waiting": sum(pace.waiting for pace in self._services.paces().values()),
        }

    async def _tell(self) -> None:
        while True:
            await self._clock.sleep(_TELL_EACH)
            await self._services.close_leaving()
            batch = self._services.ledger.take()
            if batch:
                await self._hooks.upstream_calls(batch=batch)

    @hookimpl
    def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Warn of origins that are left alone."""
        if app_name is not None:
            return None
        figures = self._services.figures()
        away = sorted(name for name, one in figures.items() if one.open_until > 0)
        detail = f"failed too often and asked every few seconds only: {', '.join(away)}" if away else ""
        counts = {name: dict(one.calls) for name, one in figures.items()}
        return HealthCheck(name="upstream", status="warn" if away else "pass", detail=detail, figures=counts)

    @hookimpl
    def describe_metrics(self) -> Sequence[MetricFamily]:
        """Give the number of calls by origin and outcome, and how many wait."""
        figures = self._services.figures().items()
        calls = tuple(
            MetricSample(count, {"origin": name, "outcome": outcome})
            for name, one in figures
            for outcome, count in sorted(one.calls.items())
        )
        waiting = sum(pace.waiting for pace in self._services.paces().values())
        return [
            MetricFamily(
                name="upstream_calls_total", kind="counter", help="Calls to services elsewhere", samples=calls
            ),
            MetricFamily(
                name="upstream_waiting",
                kind="gauge",
                help="Calls that wait for their turn",
                samples=(MetricSample(waiting),),
            ),
        ]
