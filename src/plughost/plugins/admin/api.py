"""The endpoints of the API."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from plughost.contracts import for_json, json_bytes
from plughost.http import (
    SIGNED_IN,
    EventStream,
    Problem,
    Route,
    host_from,
    identity_of,
    json_body,
    note_detail,
    runtime_of,
    scope,
)
from plughost.http.runtime import note_target
from plughost.plugins.admin import figures
from plughost.plugins.admin.actions import ACTIONS, Action, Done
from plughost.plugins.admin.documents import Document
from plughost.plugins.admin.figures import FigureSources
from plughost.plugins.admin.live import Live
from plughost.plugins.admin.logs import level_of
from plughost.plugins.admin.one_plugin import NewSettings, change, log_lines, record_named, settings_document
from plughost.plugins.admin.openapi import openapi
from plughost.plugins.admin.tabs import Tabs
from plughost.plugins.admin.views import ListView

API = "/api"
"""Where the API is, below the prefix of the administration."""

_BODY = 64 * 1024
_MOST_KEYS = 10_000
_MOST_SESSIONS = 1000

Endpoint = Callable[[Request], Awaitable[Response]]


class Api:
    """Makes the routes of the API.

    Args:
        desk: What figures are made of.
        tabs: The tabs whose figures can be streamed.
        live: The streams.
    """

    def __init__(self, desk: FigureSources, tabs: Tabs, live: Live) -> None:
        self._desk = desk
        self._tabs = tabs
        self._live = live

    def routes(self, prefix: str) -> list[Route]:
        """Return the routes below ``prefix``, each with its guard."""
        base = prefix + API
        return [*self._reading(base), *(action_route(base, action) for action in ACTIONS)]

    def _shown(self, make: figures.Figures) -> Callable[[Request], Awaitable[Document]]:
        return lambda request: make(runtime_of(request), self._desk)

    def _reading(self, base: str) -> list[Route]:
        read, shown = partial(_read, base), self._shown
        return [
            read("/sessions/stats", "sessions:read", shown(figures.session_figures), "Figures about sessions."),
            read("/sessions/users/{id}", "sessions:read", _user, "The sessions of one user."),
            read("/cache/stats", "cache:read", shown(figures.cache_figures), "Figures of every cache."),
            read("/cache/keys", "cache:read", _keys, "Keys that are expected, and some that are there."),
            read("/cache/debug", "cache:read", _debug, "Keys with their entries; in development only."),
            read("/plugins", "plugins:read", shown(figures.plugin_figures), "Every plugin and hook."),
            read("/plugins/hooks", "plugins:read", _hooks, "Hooks with their implementers in call order."),
            read("/plugins/{name}", "plugins:read", _plugin, "One plugin."),
            read("/plugins/{name}/config", "plugins:read", _settings, "Settings of a plugin, with their origins."),
            read("/plugins/{name}/logs", "plugins:read", self._logs, "The last log lines of a plugin."),
            Route(
                base + "/plugins/{name}/config", _configure, methods=["PUT"], guard=scope("plugins:configure"),
                rate="code", audit="plugins.configure", max_body=_BODY, timeout=120.0, name="plugins_configure",
                summary="Change settings of a plugin in the file; ?preview=1 only tells what would change.",
                body=NewSettings,
            ),
            read("/trace", "plugins:read", shown(figures.trace_figures), "The last hook calls, while they are traced."),
            read("/apps", "apps:read", shown(figures.app_figures), "Every app."),
            read("/health", "health:read", shown(figures.health_figures), "Health, jobs and requests."),
            read("/jobs", "jobs:read", shown(figures.job_figures), "Every job."),
            read("/stats/usage", "stats:read", shown(figures.usage), "How much is asked of the host."),
            read("/stats/performance", "stats:read", shown(figures.performance), "How long things take."),
            read("/stats/errors", "stats:read", shown(figures.errors), "What failed."),
            read("/audit", "audit:read", _audit, "Who did what, newest first."),
            Route(
                base + "/events", self._events, guard=SIGNED_IN, rate="read", timeout=math.inf,
                summary="A stream of figures of one tab.",
            ),
            Route(base + "/openapi.json", _openapi, guard=scope("plugins:read"), rate="read", summary="This API."),
        ]  # fmt: skip

    async def _logs(self, request: Request) -> Document:
        name = record_named(host_from(request), request.path_params["name"]).name
        limit = _limit(request, 100, 200)
        return {"plugin": name, "level": level_of(name), "lines": log_lines(self._desk, name, limit)}

    async def _events(self, request: Request) -> Response:
        tab = self._tabs.find(runtime_of(request), request.query_params.get("tab", "plugins"))
        if not identity_of(request).holds(tab.scope):
            raise Problem(403, f"It needs the scope {tab.scope}.", code="insufficient_scope")
        parts = request.query_params.get("as") == "parts"
        view = ListView.of(request.query_params) if parts else None
        return EventStream(self._live.watch(runtime_of(request), tab, view))


def _read(
    base: str, path: str, wanted: str, make: Callable[[Request], Awaitable[Any]], summary: str
) -> Route:
    async def endpoint(request: Request) -> Response:
        return answer(await make(request))

    name = f"read_{path.strip('/').replace('/', '_')}"
    return Route(base + path, endpoint, guard=scope(wanted), rate="read", name=name, summary=summary)


def action_route(base: str, action: Action) -> Route:
    """Return the route of an action of the API at ``base``."""

    async def endpoint(request: Request) -> Response:
        told = await json_body(request)
        if not isinstance(told, dict):
            raise Problem(422, "The body must be a JSON object.", code="invalid_body")
        done = await perform(action, request, {**told, **request.path_params}, strict=True)
        return answer({"done": done.sentence, "confirmed": done.confirmed, **done.figures})

    method, path = action.api
    return Route(
        base + path,
        endpoint,
        methods=[method],
        guard=scope(action.scope),
        rate=action.rate,
        audit=action.verb,
        max_body=_BODY,
        timeout=120.0,
        name=action.verb.replace(".", "_").replace("-", "_"),
        summary=action.summary,
        body=action.body,
    )


async def perform(action: Action, request: Request, told: dict[str, Any], *, strict: bool) -> Done:
    """Run an action with what it was told, and note for the audit trail what came of it.

    Raises:
        Problem: 422 it was told something wrong, or what the action raises.
    """
    try:
        body = msgspec.convert(told, action.body, strict=strict)
    except msgspec.ValidationError as error:
        raise Problem(422, f"The body does not fit: {error}", code="invalid_body") from error
    # What was not told has its default, so that the trail names it too; nothing at all is everything.
    meant = {**told, **msgspec.to_builtins(body)}
    target = ", ".join(str(value) for value in meant.values() if value)
    note_target(request, target or "all")
    done = await action.run(host_from(request), body)
    note_detail(request, f"{target}: {done.sentence}" if target else done.sentence)
    return done


def answer(document: Any) -> Response:
    """Return a JSON response."""
    return Response(json_bytes(document), media_type="application/json")


async def _user(request: Request) -> Document:
    limit, after = _limit(request, 100, _MOST_SESSIONS), request.query_params.get("cursor", "")
    return await figures.user_sessions(host_from(request), request.path_params["id"], limit, after)


async def _keys(request: Request) -> Document:
    name, limit = request.query_params.get("cache", "default"), _limit(request, 100, _MOST_KEYS)
    cache = figures.cache_named(figures.caches_of(host_from(request)), name)
    return {"cache": name, "expected": for_json(await cache.expected()), "keys": await cache.keys(limit)}


async def _debug(request: Request) -> Document:
    caches = figures.caches_of(host_from(request))
    if not caches.debug:
        detail = "Listing what is cached is for development: set debug = true for the plugin cache."
        raise Problem(403, detail, code="debug_off")
    listed: Document = {}
    for name in caches.names():
        cache = caches.get(name)
        entries = [await cache.entry(key) for key in await cache.keys(_limit(request, 100, 1000))]
        listed[name] = [for_json(entry) for entry in entries if entry is not None]
    return {"caches": listed}


async def _hooks(request: Request) -> Document:
    return {"hooks": await figures.hook_figures(runtime_of(request))}


async def _plugin(request: Request) -> Document:
    document: Document = for_json(record_named(host_from(request), request.path_params["name"]))
    return document


async def _settings(request: Request) -> Document:
    return settings_document(host_from(request), request.path_params["name"])


async def _configure(request: Request) -> Response:
    name, preview = request.path_params["name"], request.query_params.get("preview") == "1"
    told = await json_body(request, NewSettings)
    note_target(request, name)
    done = await change(host_from(request), name, told.config, preview=preview, reload=told.reload)
    note_detail(request, f"{name}: {', '.join(told.config)}{' (preview)' if preview else ''}")
    return answer({**for_json(done), "file": str(done.file), "reloaded": told.reload and done.written})


async def _audit(request: Request) -> Document:
    before = request.query_params.get("before")
    if before is not None and not (_is_number(before) and len(before) < 18):
        raise Problem(422, "`before` is the id of an entry.", code="invalid_query")
    entries = runtime_of(request).audit.latest(
        _limit(request, 100, 1000), int(before) if before is not None else None
    )
    return {"entries": for_json(entries)}


async def _openapi(request: Request) -> Response:
    runtime = runtime_of(request)
    base, plugin = runtime.settings.admin_path + API, request.scope["route"].plugin
    ours = [each for each in runtime.routes if each.plugin == plugin and each.path.startswith(f"{base}/")]
    return answer(openapi(ours, base))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def _limit(request: Request, usual: int, most: int) -> int:
    given = request.query_params.get("limit", str(usual))
    if not (_is_number(given) and len(given) < 10 and 1 <= int(given) <= most):
        raise Problem(422, f"`limit` is a number from 1 to {most}.", code="invalid_query")
    return int(given)
