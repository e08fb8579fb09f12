"""What the host is like now: hit rates, memory, databases and Redis, failed requests. Asks no service elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from plughost.contracts import CacheManager, CacheStats
from plughost.http import HttpRuntime

_SUITE: Final = ("tmdb.", "plex.", "media.")
_MOST_FAILURES: Final = 10


async def condition(runtime: HttpRuntime, caches: CacheManager) -> Mapping[str, Any]:
    """Return the figures; what health checks found is a few seconds old at most.

    Args:
        runtime: The parts of the application.
        caches: The caches of the host.
    """
    report = await runtime.health.get(told=False)
    return {
        "caches": cache_figures(caches.stats(), _SUITE),
        "memory": {"resident_bytes": _resident()},
        "checks": {
            check.name: {"status": check.status, "detail": check.detail, **(check.figures or {})}
            for check in report.checks
        },
        "requests": _requests(runtime),
    }


def cache_figures(stats: Mapping[str, CacheStats], beginnings: tuple[str, ...]) -> Mapping[str, Any]:
    """Return hit rates of all caches whose names begin so, together and each by itself."""
    found = {name: one for name, one in sorted(stats.items()) if name.startswith(beginnings)}
    hits, misses = sum(one.hits for one in found.values()), sum(one.misses for one in found.values())
    return {
        "hit_rate": round(hits / (hits + misses), 4) if hits + misses else 0.0,
        "hits": hits,
        "misses": misses,
        "caches": {
            name: {
                "hits": one.hits, "misses": one.misses, "stale": one.stale, "hit_rate": round(one.hit_rate, 4),
                "loads": one.loads, "load_errors": one.load_errors, "entries": one.entries, "backend": one.backend,
                "available": one.available,
            }
            for name, one in found.items()
        },
    }  # fmt: skip


def _requests(runtime: HttpRuntime) -> Mapping[str, Any]:
    routes = runtime.figures.routes()
    return {
        "answered": sum(route.requests for route in routes),
        "refused": sum(route.refused for route in routes),
        "failed": sum(route.failed for route in routes),
        "last_failures": [
            {"at": failure.at, "plugin": failure.plugin, "path": failure.path, "kind": failure.kind}
            for failure in runtime.figures.failures()[:_MOST_FAILURES]
        ],
    }


def _resident() -> int | None:
    """Return the bytes of memory this process has; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
