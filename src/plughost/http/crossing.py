"""Routes of a plugin in its own process, as that process tells of them and answers their requests."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Router

from plughost.contracts.http import Receive, Scope, Send
from plughost.contracts.http_settings import HttpSettings
from plughost.contracts.value_text import value_text
from plughost.core.wire.routes import RouteAnswer, RouteManifest, RouteRequest
from plughost.http.guards import Identity, guard_manifest
from plughost.http.problems import Problem
from plughost.http.runtime import (
    AUDIT_DETAIL,
    AUDIT_TARGET,
    IDENTITY,
    REQUEST_ID,
    RUNTIME,
    SYNC_ENDPOINTS_AT_ONCE,
)


def crossing(route: Any, siblings: Sequence[Any]) -> tuple[RouteManifest, Any]:
    """Return what the host is told of a route, and what answers its requests in the plugin's own process.

    Args:
        route: The route: one of ``plughost.http``, which imports this.
        siblings: All routes of the plugin, which ``request.url_for`` finds.
    """
    guard = guard_manifest(route.guard)
    refusal = ""
    if guard is None:
        refusal = (
            f"its guard {value_text(route.guard)} is of the plugin's own making and would have to decide in the host: "
            f"use PUBLIC, SIGNED_IN, LOOPBACK, scope() or any_of()"
        )
    if getattr(route, "refuse", None) is not None:
        refusal = "its `refuse` would have to run in the host: leave it out"
    cache = getattr(route, "cache", None)
    manifest = RouteManifest(
        path=route.path,
        methods=None if route.methods is None else tuple(sorted(route.methods)),
        guard=guard,
        csrf=route.csrf,
        rate=route.rate,
        audit=route.audit,
        max_body=getattr(route, "max_body", None),
        timeout=getattr(route, "timeout", None),
        cache=None if cache is None else dataclasses.asdict(cache),
        name=route.name,
        summary=getattr(route, "summary", ""),
        websocket="WEBSOCKET" in (route.methods or ()),
        refusal=refusal,
    )
    routes = [one for one in siblings if hasattr(one, "elsewhere")]
    return manifest, partial(_answer_there, route, Router(routes))


class RuntimeElsewhere:
    """What there is in a plugin's own process of the application's parts; the rest is in the host.

    Attributes:
        settings: How deep JSON may nest; streams are counted in the host.
        threads: Bounds the endpoints that run in threads.
        draining: Never set: the host ends streams itself.
        open_streams, streams_of: As of ``HttpRuntime``.
    """

    def __init__(self, max_depth: int) -> None:
        self.settings = HttpSettings(max_depth=max_depth, max_streams=_ANY_NUMBER)
        self.threads = anyio.CapacityLimiter(SYNC_ENDPOINTS_AT_ONCE)
        self.draining = anyio.Event()
        self.open_streams = 0
        self.streams_of: Counter[str | None] = Counter()

    def __getattr__(self, name: str) -> Any:
        raise LookupError(
            f"this route runs in a process of its plugin's own, and {name!r} of the application is in the host: use "
            f"what the plugin's context gives, such as context.hooks and context.use()"
        )


_ANY_NUMBER: Final = 1 << 30


async def _answer_there(
    route: Any, router: Router, request: RouteRequest, receive: Receive, send: Send
) -> RouteAnswer:
    global _runtime
    if _runtime is None:
        _runtime = RuntimeElsewhere(request.max_depth)
    scope: Scope = {
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "type": request.type,
        "headers": [*request.headers],
        "state": {},
        **request.facts,
        RUNTIME: _runtime,
        REQUEST_ID: request.request_id,
        IDENTITY: Identity(**request.identity),
        "router": router,
        "route": route,
        "endpoint": route.endpoint,
    }
    scope |= route.matches(scope)[1]
    problem: Problem | None = None
    try:
        await route.app(scope, receive, send)
    except Problem as error:
        problem = error
    except HTTPException as error:
        problem = Problem(error.status_code, error.detail, headers=dict(error.headers or {}))
    except ClientDisconnect:
        pass  # nobody is left to answer
    notes = {key: scope[key] for key in (AUDIT_DETAIL, AUDIT_TARGET) if key in scope}
    if problem is None:
        return RouteAnswer(notes=notes)
    names = ("status", "detail", "code", "headers", "members")
    return RouteAnswer(problem={name: getattr(problem, name) for name in names}, notes=notes)


_runtime: RuntimeElsewhere | None = None
