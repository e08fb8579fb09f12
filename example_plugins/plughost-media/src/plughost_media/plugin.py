"""The plugin: one page for what the other plugins of the suite do. It knows their addresses and none of their code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import CacheManager, GuardedRoute
from plughost.exceptions import ServiceError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PARTS: Final = (
    "sessions",
    "cache",
    "diskcache",
    "vault",
    "upstream",
    "tmdb",
    "plex",
    "images",
    "dashboard",
    "media",
)
"""What the suite consists of."""

_LATELY: Final = 60.0
"""Seconds for which a failure of a part is shown."""


class MediaPlugin(Plugin):
    """Serves the page at ``/media/``."""

    name = "media"
    version = "1.0.0"
    after = ("cache",)

    async def start(self, context: PluginContext) -> None:
        """Begin."""
        self._context = context

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Add the page, and the address that says which parts are there and what their caches saved."""
        from plughost.http import SIGNED_IN, Route
        from plughost_media.page import Page

        return [
            *Page().routes(),
            Route("/api/media/state", self._state, methods=["GET"], guard=SIGNED_IN, rate="read",
                  summary="Which parts of the suite are there, and how many calls their caches saved."),
        ]  # fmt: skip

    async def _state(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        from plughost.http import runtime_of

        runtime = runtime_of(request)
        known, since = runtime.host.plugins, runtime.clock.time() - _LATELY
        failed = Counter(failure.plugin for failure in runtime.figures.failures() if failure.at > since)
        parts = [
            {
                "name": name,
                "state": str(known[name].state),
                "running": known[name].running,
                "failed": failed[name],
            }
            for name in PARTS
            if name in known
        ]
        return JSONResponse({"parts": parts, **self._saved(), "demo": self._demo()})

    def _saved(self) -> Mapping[str, int]:
        """How many answers the caches of the suite gave, and how many calls that took."""
        try:
            stats = self._context.use(CacheManager).stats()
        except ServiceError:
            return {"reads": 0, "calls": 0}
        ours = [one for name, one in stats.items() if name.startswith(("tmdb.", "plex."))]
        return {
            "reads": sum(one.hits + one.misses for one in ours),
            "calls": sum(one.loads + one.load_errors for one in ours),
        }

    def _demo(self) -> Any:
        from plughost_media.demo_service import Demo

        try:
            return self._context.use(Demo).shown()
        except ServiceError:
            return None
