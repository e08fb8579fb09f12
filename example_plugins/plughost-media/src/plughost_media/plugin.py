"""The plugin: one page for what the other plugins of the suite do. It knows their addresses and none of their code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
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

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " media-src 'self' blob:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_KINDS: Final = {
    "index.html": "text/html; charset=utf-8", "style.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8", "player.js": "text/javascript; charset=utf-8",
}  # fmt: skip


class MediaPlugin(Plugin):
    """Serves the page at ``/media/``."""

    name = "media"
    version = "1.0.0"
    after = ("cache",)

    async def start(self, context: PluginContext) -> None:
        """Read the page."""
        folder = files("plughost_media").joinpath("page")
        self._files = {name: folder.joinpath(name).read_bytes() for name in _KINDS}
        self._context = context

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Add the page, and the address that says which parts are there and what their caches saved."""
        from plughost.http import PUBLIC, SIGNED_IN, Route

        return [
            Route("/media/", self._page, methods=["GET"], guard=PUBLIC, name="media-page"),
            Route("/media/static/{name}", self._file, methods=["GET"], guard=PUBLIC, name="media-file"),
            Route("/api/media/state", self._state, methods=["GET"], guard=SIGNED_IN, rate="read",
                  summary="Which parts of the suite are there, and how many calls their caches saved."),
        ]  # fmt: skip

    async def _page(self, request: Request) -> Response:
        return self._served("index.html")

    async def _file(self, request: Request) -> Response:
        return self._served(request.path_params["name"])

    def _served(self, name: str) -> Response:
        from starlette.responses import Response

        from plughost.http import Problem

        if name not in self._files:
            raise Problem(404, "There is no such file.", code="file_missing")
        headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
        return Response(self._files[name], 200, headers, _KINDS[name])

    async def _state(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        from plughost.http import host_from

        known = host_from(request).plugins
        parts = [{"name": name, "state": str(known[name].state)} for name in PARTS if name in known]
        return JSONResponse({"parts": parts, **self._saved(), "demo": await self._demo()})

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

    async def _demo(self) -> Any:
        from plughost_media.demo_service import Demo

        try:
            return self._context.use(Demo).shown()
        except ServiceError:
            return None
