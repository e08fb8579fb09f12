"""The routes: statistics, usage, and the addresses that monitoring pages made for other hosts ask."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, Final

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from plughost.contracts import CacheManager
from plughost.exceptions import LoadTimeoutError, ServiceError
from plughost.http import SIGNED_IN, Problem, Route, any_of, runtime_of, scope
from plughost_dashboard.condition import cache_figures, condition
from plughost_dashboard.statistics import Statistics
from plughost_dashboard.usage import CountedUsage
from plughost_plex.protocols import OwnsServer, Plex, PlexError
from plughost_upstream.protocols import UpstreamError

_NO_STORE: Final = {"Cache-Control": "no-store"}
_MOST_HOURS: Final = 90 * 24
_MOVED: Final = (
    ("GET", "/api/cache/stats", "/api/cache/stats", "cache:read"),
    ("GET", "/api/cache/keys", "/api/cache/keys", "cache:read"),
    ("POST", "/api/cache/flush", "/api/cache/flush", "cache:write"),
    ("GET", "/api/admin/stats/usage", "/api/stats/usage", "stats:read"),
    ("GET", "/api/admin/stats/performance", "/api/stats/performance", "stats:read"),
    ("GET", "/api/admin/stats/errors", "/api/stats/errors", "stats:read"),
)
"""Method, address, where the host's own administration has it, and the scope."""


class DashboardRoutes:
    """Answers requests.

    Args:
        statistics: What is computed.
        usage: What was asked.
        plex: Returns the service; raises ``ServiceError`` while nobody provides it.
        caches: Returns the caches.
        admin_path: What the addresses of the administration begin with.
    """

    def __init__(
        self,
        statistics: Statistics,
        usage: CountedUsage,
        plex: Callable[[], Plex],
        caches: Callable[[], CacheManager],
        admin_path: str,
    ) -> None:
        self._statistics, self._usage, self._plex, self._caches = statistics, usage, plex, caches
        self._admin_path = admin_path

    def routes(self) -> Sequence[Route]:
        """Return them."""
        owner = any_of(scope("plex:monitor"), OwnsServer(self._owns))
        plain = (
            ("GET", "/api/plex/stats/dashboard", self._dashboard, SIGNED_IN, "Statistics, a minute old at most."),
            ("GET", "/api/plex/stats", self._stats, owner, "Statistics, usage, and what the host is like, for owners."),
            ("GET", "/api/plex/stats/live", self._live, owner, "What goes on now, for owners of a server."),
            ("GET", "/api/media/usage", self._usage_of, SIGNED_IN, "What each source was asked, and what was saved."),
            ("GET", "/api/plex/cache/stats", self._cache_stats, scope("cache:read"), "Figures of the caches of plex."),
            ("POST", "/api/plex/cache/clear", self._cache_clear, scope("cache:write"), "Clear the caches of plex."),
            ("POST", "/api/plex/cache/warm", self._cache_warm, scope("cache:write"), "Load what is to be warm."),
            ("GET", "/api/admin/users", self._users, scope("users:read"), "Who is linked with Plex."),
        )  # fmt: skip
        return [
            *(
                Route(path, endpoint, methods=[method], guard=guard, rate=_rate(method), summary=summary,
                      name=f"dashboard{path.replace('/', '-')}")
                for method, path, endpoint, guard, summary in plain
            ),
            *(
                Route(path, self._moved(there), methods=[method], guard=scope(wanted), rate=_rate(method),
                      summary=f"Leads to {self._admin_path}{there}.", name=f"dashboard{path.replace('/', '-')}")
                for method, path, there, wanted in _MOVED
            ),
        ]  # fmt: skip

    async def _dashboard(self, _: Request) -> Response:
        found = await self._statistics.dashboard()
        if found is None:
            raise Problem(503, "Nothing is computed yet.", code="not_yet", headers={"Retry-After": "5"})
        return JSONResponse(found, headers=_NO_STORE)

    async def _stats(self, request: Request) -> Response:
        document = {
            "statistics": await self._statistics.dashboard(),
            "usage": await self._report(24),
            "host": await condition(runtime_of(request), self._caches()),
        }
        return JSONResponse(document, headers=_NO_STORE)

    async def _live(self, request: Request) -> Response:
        try:
            return JSONResponse(await self._statistics.live(), headers=_NO_STORE)
        except PlexError as error:
            raise Problem(error.status, f"{error}.", code=error.code, headers={"Retry-After": "5"}) from None
        except UpstreamError as error:
            raise Problem(error.http_status, f"{error}.", code=error.code) from None
        except LoadTimeoutError:
            raise Problem(504, "The server does not answer in time.", code="upstream_timeout") from None

    def _owns(self, user_id: str) -> bool:
        try:
            return self._plex().owns(user_id)
        except ServiceError:
            return False

    async def _usage_of(self, request: Request) -> Response:
        text = request.query_params.get("hours", "24")
        if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= _MOST_HOURS:
            raise Problem(422, f"hours is a number from 1 to {_MOST_HOURS}.", code="bad_parameter")
        return JSONResponse(await self._report(int(text)), headers=_NO_STORE)

    async def _report(self, hours: int) -> dict[str, Any]:
        self._usage.read(self._caches().stats())
        since = self._usage.hour - hours + 1
        sources = await anyio.to_thread.run_sync(self._usage.sources, since)
        return {"hours": hours, "sources": [asdict(source) for source in sources]}

    async def _cache_stats(self, _: Request) -> Response:
        document = cache_figures(self._caches().stats(), ("plex.",))
        return JSONResponse(document, headers=_NO_STORE)

    async def _cache_clear(self, _: Request) -> Response:
        cleared = [name for name in self._caches().names() if name.startswith("plex.")]
        for name in cleared:
            await self._caches().get(name).clear()
        return JSONResponse({"cleared": cleared})

    async def _cache_warm(self, _: Request) -> Response:
        names = [name for name in self._caches().names() if name.startswith("plex.")]
        loaded = sum([await self._caches().warm(name) for name in names])
        await self._statistics.renew()
        return JSONResponse({"loaded": loaded + 1})

    async def _users(self, _: Request) -> Response:
        try:
            accounts = await self._plex().accounts()
        except ServiceError:
            raise Problem(503, "The plugin plex is away.", code="plugin_plex_away") from None
        return JSONResponse({"users": [asdict(account) for account in accounts]}, headers=_NO_STORE)

    def _moved(self, there: str) -> Callable[[Request], Any]:
        async def lead(request: Request) -> Response:
            query = f"?{request.url.query}" if request.url.query else ""
            root = request.scope.get("root_path", "")
            return RedirectResponse(f"{root}{self._admin_path}{there}{query}", 307)

        return lead


def _rate(method: str) -> str:
    return "read" if method == "GET" else "write"
