"""What each tab tells, as data: the JSON twins of the pages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from plughost import Host
from plughost.contracts import Cache, CacheManager, Service, Session, SessionManager, error_text, for_json
from plughost.exceptions import ServiceError, StoreUnavailableError
from plughost.http import HttpRuntime, Problem
from plughost.plugins.admin.advice import Advice, about_apps, about_caches, about_plugins, about_sessions
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.history import CacheHistory, FailureHistory, SessionHistory
from plughost.plugins.admin.logs import PluginLogs
from plughost.plugins.admin.offers import offers
from plughost.plugins.admin.traces import HookTrace

T = TypeVar("T")

_USERS_SHOWN = 20
SESSIONS_COUNTED = 1_000
"""So many of a user are read, and not all of those that a robot made."""

_SESSIONS_SHOWN = 10  # of each of these users: a service may have thousands


class FigureSources(Struct):
    """What figures are made of: the plugin keeps one.

    Attributes:
        caches: Caches over time.
        sessions: Sessions over time.
        logs: The last log lines of each plugin.
        trace: The last hook calls, while somebody traces them.
        failures: The last failures of each plugin.
    """

    caches: CacheHistory
    sessions: SessionHistory
    logs: PluginLogs
    trace: HookTrace
    failures: FailureHistory


Figures = Callable[[HttpRuntime, FigureSources], Awaitable[Document]]
"""Makes the document of a tab."""


def sessions_of(host: Host) -> SessionManager:
    """Return the session manager.

    Raises:
        Problem: 503, no running plugin provides it.
    """
    return _service(host, SessionManager, "sessions")


def caches_of(host: Host) -> CacheManager:
    """Return the cache manager.

    Raises:
        Problem: 503, no running plugin provides it.
    """
    return _service(host, CacheManager, "cache")


def cache_named(caches: CacheManager, name: str) -> Cache:
    """Return a cache that there is; ``default`` always is, used or not.

    Raises:
        Problem: 404, there is none of that name.
    """
    if name != "default" and name not in caches.names():
        raise Problem(404, f"There is no cache {name!r}.", code="not_found")
    return caches.default if name == "default" else caches.get(name)


def _service(host: Host, kind: Service[T], plugin: str) -> T:
    try:
        return host.use(kind)
    except ServiceError as error:
        record = host.plugin(plugin)
        state = f" ({record.state.value})" if record is not None else ""
        why = f": {record.reason.rstrip('.')}." if record is not None and record.reason else "."
        detail = f"The plugin {plugin!r} is not running{state}, so there is nothing to show or to steer{why}"
        raise Problem(503, detail, code="service_unavailable") from error


async def session_figures(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return the figures of the tab Sessions."""
    sessions = sessions_of(runtime.host)
    try:
        stats = await sessions.stats()
    except StoreUnavailableError as error:
        raise Problem(
            503, f"The session store cannot be reached: {error}", code="store_unavailable"
        ) from error
    jobs = (job for job in runtime.host.jobs.snapshot() if job.owner == "sessions")
    cleanup = next((job for job in jobs if "clean" in job.name), None)
    users = desk.sessions.subjects()[:_USERS_SHOWN]
    seen = {user: await sessions.list_user(user, SESSIONS_COUNTED) for user in users}
    devices = Counter(_device(session) for listed in seen.values() for session in listed)
    counts = desk.sessions.counts
    return {
        **for_json(stats),
        "created": counts["created"],
        "rotated": counts["rotated"],
        "ended": counts["ended"],
        "cleanup": for_json(cleanup),
        "users_seen": [
            {**_user(user, listed, listed[:_SESSIONS_SHOWN]), "more": len(listed) == SESSIONS_COUNTED}
            for user, listed in seen.items()
            if listed
        ],
        "devices": dict(devices.most_common()),
        "events": for_json(desk.sessions.events()[:20]),
        "active_over_time": [[at, active] for at, active in desk.sessions.active()],
        "advice": _told(about_sessions(stats.active, stats.expired, stats.unreadable, cleanup)),
    }


async def user_sessions(host: Host, user_id: str, limit: int = 100, after: str = "") -> Document:
    """Return some sessions of one user, the newest first, without their secrets.

    ``total`` is how many were counted; with ``more`` there may be more of them than that.

    Args:
        host: The host.
        user_id: Whose.
        limit: How many at most.
        after: The ``cursor`` of the page before; empty for the first.
    """
    place = _named_place(after) if after else None
    most, is_all = SESSIONS_COUNTED, False
    left: list[Session] = []
    while len(left) <= limit and not is_all:
        # Not all of them, of which somebody may have made a million: only the pages far behind read many.
        listed = sorted(await sessions_of(host).list_user(user_id, most), key=_place, reverse=True)
        is_all = len(listed) < most
        # Of those that began with the last one, some may be missing still.
        known = listed if is_all else [one for one in listed if one.created_at > listed[-1].created_at]
        left = [session for session in known if place is None or _place(session) < place]
        most *= 2
    shown = left[:limit]
    cursor = f"{shown[-1].created_at!r}:{shown[-1].handle}" if len(left) > limit else None
    return {**_user(user_id, listed, shown), "more": not is_all, "cursor": cursor}


def _named_place(cursor: str) -> tuple[float, str]:
    created_at, _, handle = cursor.partition(":")
    try:
        place = float(created_at), handle
    except ValueError:
        place = math.nan, handle
    if not math.isfinite(place[0]):
        raise Problem(422, "`cursor` is what the page before told.", code="invalid_query")
    return place


def _place(session: Session) -> tuple[float, str]:
    return session.created_at, session.handle


def _user(user_id: str, listed: Sequence[Session], shown: Sequence[Session]) -> Document:
    rows = [
        {
            "handle": session.handle,
            "username": session.username,
            "roles": list(session.roles),
            "device": _device(session),
            "ip_address": str(for_json(session.metadata).get("ip_address") or ""),
            "created_at": session.created_at,
            "last_seen_at": session.last_seen_at,
            "expires_at": session.expires_at,
        }
        for session in shown
    ]
    username = listed[0].username if listed else ""
    return {"user_id": user_id, "username": username, "sessions": rows, "total": len(listed)}


def _device(session: Session) -> str:
    metadata = for_json(session.metadata)
    device = metadata.get("device")
    name = device.get("name") if isinstance(device, Mapping) else device
    return str(name or metadata.get("user_agent") or "unknown")[:80]


async def cache_figures(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return the figures of the tab Cache."""
    caches = caches_of(runtime.host)
    stats = caches.stats()
    status = dict(caches.status())
    rows: dict[str, Document] = {}
    for name, figures in sorted(stats.items()):
        causes = {cause: count for (cache, cause), count in desk.caches.causes.items() if cache == name}
        points = desk.caches.points(name)
        rows[name] = {
            **for_json(figures),
            "went": dict(sorted({**causes, **figures.evicted}.items())),
            "hit_rate_over_time": [[p.at, p.hit_rate] for p in points if p.hit_rate is not None],
            "entries_over_time": [[p.at, p.entries] for p in points],
        }
    hits = sum(figures.hits for figures in stats.values())
    misses = sum(figures.misses for figures in stats.values())
    return {
        "caches": rows,
        "totals": {
            "hits": hits,
            "misses": misses,
            "hit_rate": hits / (hits + misses) if hits + misses else None,
            "entries": sum(figures.entries for figures in stats.values()),
            "bytes": sum(figures.bytes for figures in stats.values()),
        },
        "status": for_json(status),
        "debug": caches.debug,
        "advice": _told(about_caches(stats, status)),
    }


async def plugin_figures(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return the figures of the tab Plugins."""
    host = runtime.host
    records = host.plugins
    status = await host.status()
    return {
        "ready": host.ready,
        "counts": for_json(status.counts),
        "duration": host.report.duration,
        "plugins": {
            name: for_json(record)
            | {"offers": list(offers(record)), "enforces": host.loaded_config.plugin(name).enforce}
            for name, record in records.items()
        },
        "order": list(host.report.loaded),
        "states": sorted({record.state.value for record in records.values()}),
        "hooks": await hook_figures(runtime),
        "advice": _told(about_plugins(records.values()))
        + [asdict(Advice("fail", "routes", text)) for text in runtime.left_out],
    }


async def hook_figures(runtime: HttpRuntime) -> list[Document]:
    """Return every hook somebody implements, with its implementers in call order and what they did."""
    counted = {(row.hook, row.plugin): for_json(row) for row in runtime.host.metrics.snapshot()}
    nothing = {"calls": 0, "errors": 0, "timeouts": 0, "observed": 0, "p50": None, "p95": None}
    return [
        {"hook": hook, "plugins": [{**nothing, "plugin": p, **counted.get((hook, p), {})} for p in plugins]}
        for hook, plugins in sorted((await runtime.host.status()).hooks.items())
        if plugins
    ]


async def app_figures(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return the figures of the tab Apps."""
    host = runtime.host
    health = host.last_health
    apps = {
        name: {  # neither configuration nor connection: both may hold secrets
            "name": record.name,
            "state": record.state.value,
            "required": name in host.required_apps,
            "reason": record.reason,
            "connection": type(record.connection).__name__ if record.connection is not None else None,
            "shared_with": list(record.shared_with),
            "registered_at": record.registered_at,
            "results": for_json(record.results),
            "health": for_json(health.get(name)),
        }
        for name, record in host.apps.items()
    }
    errors = {name: error_text(error) for name, error in host.app_errors.items()}
    missing = host.missing_apps
    absent: dict[str, Document] = {
        name: {"reason": errors.get(name, ""), "required": name in missing}
        for name in {**errors, **dict.fromkeys(missing)}
        if name not in apps
    }
    failed = {name: app["reason"] for name, app in apps.items() if app["state"] == "failed"}
    return {
        "apps": apps,
        "absent": absent,
        "errors": errors,
        "advice": _told(
            about_apps({name: app["reason"] for name, app in absent.items()}, failed, frozenset(missing))
        ),
    }


async def health_figures(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return the figures of the tab Health."""
    report = await runtime.host.health()
    figures = runtime.figures
    routes = figures.routes()
    return {
        "status": report.status,
        "output": report.output,
        "checks": for_json(report.checks),
        "jobs": for_json(runtime.host.jobs.snapshot()),
        "http": {
            "uptime": runtime.clock.time() - figures.started_at,
            "requests": sum(route.requests for route in routes),
            "failed": sum(route.failed for route in routes),
            "under_way": figures.under_way,
            "streams": runtime.open_streams,
            "minutes": for_json(figures.minutes()),
            "routes": for_json(routes[:15]),
            "failures": for_json(figures.failures()[:10]),
        },
        "advice": [
            asdict(
                Advice("fail" if check.status == "fail" else "warn", check.name, check.detail or check.status)
            )
            for check in report.checks
            if check.status != "pass"
            and (check.detail or check.plugin)  # that on all plugins says nothing more
        ],
    }


async def trace_figures(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return the figures of the tab Trace."""
    return {"on": desk.trace.on, "calls": desk.trace.calls(), "advice": []}


async def job_figures(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return every job."""
    return {"jobs": for_json(runtime.host.jobs.snapshot())}


async def usage(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return how much the HTTP side was used."""
    routes = runtime.figures.routes()
    return {
        "since": runtime.figures.started_at,
        "requests": sum(route.requests for route in routes),
        "under_way": runtime.figures.under_way,
        "event_streams": runtime.open_streams,
        "routes": [
            _only(for_json(row), "method", "path", "plugin", "requests", "refused", "failed")
            for row in routes
        ],
        "minutes": for_json(runtime.figures.minutes()),
    }


async def performance(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return how long things take: routes, hooks, starts of plugins."""
    routes = [
        _only(for_json(row), "method", "path", "plugin", "requests", "p50", "p95")
        for row in runtime.figures.routes()
    ]
    return {
        "routes": sorted(routes, key=lambda row: -(row["p95"] or 0)),
        "hooks": await hook_figures(runtime),
        "plugins": {name: for_json(record.timings) for name, record in runtime.host.plugins.items()},
        "start": runtime.host.report.duration,
    }


async def errors(runtime: HttpRuntime, desk: FigureSources) -> Document:
    """Return what failed: requests, hooks, plugins, jobs."""
    host = runtime.host
    failed = {name: record.error for name, record in host.plugins.items() if record.error is not None}
    return {
        "requests": for_json(runtime.figures.failures()),
        "hooks": [for_json(row) for row in host.metrics.snapshot() if row.errors or row.timeouts],
        "plugins": for_json(failed),
        "jobs": [for_json(job) for job in host.jobs.snapshot() if job.failures],
        "routes_left_out": list(runtime.left_out),
    }


def _only(row: Document, *names: str) -> Document:
    return {name: row[name] for name in names}


def _told(advice: Any) -> list[Document]:
    return [asdict(each) for each in advice]
