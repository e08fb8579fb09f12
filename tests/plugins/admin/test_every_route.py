"""Every route of every plugin that comes with plughost, called with every credential that should not do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.contracts import AdminPanel, PanelAction
from plughost.http import PUBLIC, SIGNED_IN, HttpSettings, Route, WebSocketRoute, scope
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin
from plughost.testing.clock import FakeClock

PUBLIC_ROUTES = {
    "GET /livez", "GET /readyz", "GET /health/redis", "GET /health/detailed",
    "GET /admin", "GET /admin/", "GET /admin/sign-in", "POST /admin/sign-in", "POST /admin/sign-out",
    "GET /admin/static/style.css", "GET /admin/static/live.js",
    "GET /admin/static/page.js",
    "POST /api/auth/login", "GET /api/auth/validate", "POST /api/auth/logout",
}  # fmt: skip
"""All that anybody may call; whatever is added to the host must be added here on purpose."""

PROMISED = """
    GET /livez   GET /readyz   GET /health/redis   GET /health/detailed   GET /metrics
    GET /admin/system   GET /admin/system/sessions   GET /admin/system/cache   GET /admin/system/plugins
    GET /admin/system/apps   GET /admin/system/health
    GET /admin/api/sessions/stats   POST /admin/api/sessions/cleanup
    GET /admin/api/sessions/users/{id}   DELETE /admin/api/sessions/users/{id}
    GET /admin/api/cache/stats   GET /admin/api/cache/keys   GET /admin/api/cache/debug
    POST /admin/api/cache/clear   POST /admin/api/cache/flush   POST /admin/api/cache/warm
    POST /admin/api/cache/reset-stats   POST /admin/api/cache/cleanup   POST /admin/api/cache/invalidate
    GET /admin/api/plugins   GET /admin/api/plugins/hooks   GET /admin/api/plugins/{name}
    POST /admin/api/plugins/reload   POST /admin/api/plugins/{name}/reload   POST
    /admin/api/plugins/{name}/unload POST /admin/api/plugins/{name}/load   POST
    /admin/api/plugins/{name}/enable POST /admin/api/plugins/{name}/disable
    GET /admin/api/apps   GET /admin/api/stats/usage   GET /admin/api/stats/performance
    GET /admin/api/stats/errors   GET /admin/api/audit   GET /admin/api/events
    POST /api/auth/login   GET /api/auth/session   GET /api/auth/validate   POST /api/auth/logout
"""

GENEROUS = HttpSettings(rate_limits={"refused": 100_000, "read": 100_000, "write": 100_000, "auth": 100_000})


class Stranger(Plugin):
    """A plugin of somebody else, with routes and a panel."""

    name = "stranger"

    @hookimpl
    def register_routes(self) -> list[Route | WebSocketRoute]:
        async def hello(request: Request) -> Response:
            return PlainTextResponse("hello")

        return [
            Route("/things", hello, methods=["GET", "PUT", "PATCH"], guard=scope("things:read")),
            Route("/things/{id:int}", hello, methods=["DELETE"], guard=scope("things:write")),
        ]

    @hookimpl
    def register_admin_panels(self) -> list[AdminPanel]:
        action = PanelAction(name="sort", title="Sort", run=lambda _: "Sorted.", scope="things:write")
        return [AdminPanel(name="things", title="Things", data=dict, scope="things:read", actions=(action,))]


EVERYTHING = (SessionsPlugin, CachePlugin, AdminPlugin, Stranger)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def calls(served: Any) -> list[tuple[str, str, Route]]:
    """Return method, address and route of everything that is served."""
    found = [
        (method, address_of(route.path), route)
        for route in served.app.composition.routes
        for method in sorted(set(route.methods or ()) - {"HEAD", "WEBSOCKET"})
    ]
    found.append(("GET", "/admin/system/things", route_of(found, "/admin/system/{tab}")))
    found.append(("POST", "/admin/system/things/sort", route_of(found, "/admin/system/{tab}/{action}")))
    return found


def address_of(path: str) -> str:
    return re.sub(r"{\w+:int}", "7", re.sub(r"{\w+(:path)?}", "x", path))


def route_of(found: list[tuple[str, str, Route]], path: str) -> Route:
    return next(route for _, _, route in found if route.path == path)


@pytest.mark.anyio
async def test_every_promised_route_is_there(serve):
    async with serve(*EVERYTHING) as served:
        there = {f"{method} {route.path}" for method, _, route in calls(served)}
    promised = set(re.findall(r"[A-Z]+ \S+", PROMISED))
    assert promised - there == set()


@pytest.mark.anyio
async def test_the_public_routes_are_the_named_ones_and_no_others(serve):
    async with serve(*EVERYTHING) as served:
        public = {f"{method} {route.path}" for method, _, route in calls(served) if route.guard is PUBLIC}
    assert public == PUBLIC_ROUTES


@pytest.mark.anyio
@pytest.mark.parametrize(
    "credential", ["none", "wrong", "expired", "revoked", "malformed", "basic", "narrow"]
)
async def test_no_route_lets_such_a_credential_pass(serve, credential):
    clock = FakeClock()
    async with serve(*EVERYTHING, settings=GENEROUS, clock=clock) as served:
        header = _header(served, credential, clock)
        wanted = {403} if credential == "narrow" else {401}
        async with served.client() as client:
            for method, address, route in calls(served):
                if route.guard is PUBLIC or (
                    credential == "narrow" and route.guard is SIGNED_IN and "auth" in address
                ):
                    continue
                answer = await client.request(method, address, headers=header)
                assert answer.status_code in wanted, (
                    f"{method} {address}: {answer.status_code} {answer.text[:200]}"
                )
                assert answer.headers["cache-control"] == "no-store"


def _header(served: Any, credential: str, clock: FakeClock) -> dict[str, str]:
    right = served.token("*", lifetime=60)
    if credential == "expired":
        clock.jump(61)
    if credential == "revoked":
        served.app.runtime.tokens.revoke(right.split("_")[1])
    value = {
        "none": "",
        "wrong": f"Bearer {right[:-4]}0000",
        "malformed": "Bearer ' OR 1=1 --",
        "basic": "Basic YWRtaW46YWRtaW4=",
        "narrow": f"Bearer {served.token('nothing:read')}",
    }.get(credential, f"Bearer {right}")
    return {"Authorization": value} if value else {}


@pytest.mark.anyio
async def test_a_token_for_everything_passes_every_guard(serve):
    async with (
        serve(*EVERYTHING, settings=GENEROUS) as served,
        served.client(token=served.token("*")) as client,
    ):
        for method, address, route in calls(served):
            # Not the endless one, nor the one for a person's own session.
            if route.guard is PUBLIC or route.path in ("/admin/api/events", "/api/auth/session"):
                continue
            answer = await client.request(method, address)
            fine = answer.status_code not in (401, 403, 405, 500) or "debug_off" in answer.text
            assert fine, f"{method} {address}: {answer.text[:200]}"


@pytest.mark.anyio
async def test_no_route_that_changes_something_takes_a_request_of_another_site(serve):
    async with serve(*EVERYTHING, settings=GENEROUS) as served:
        runtime = served.app.runtime
        secret = runtime.sign_ins.redeem(runtime.sign_ins.make_link_code())
        cookie = runtime.sign_ins.cookie({"scheme": "http"}, secret).partition(";")[0]
        async with served.client() as client:
            for method, address, _ in calls(served):
                if method == "GET":
                    continue
                for forged in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
                    answer = await client.request(method, address, headers={"Cookie": cookie, **forged})
                    assert answer.status_code == 403, f"{method} {address}: {answer.status_code}"


@pytest.mark.anyio
async def test_a_read_only_host_refuses_every_administrative_action(serve):
    settings = HttpSettings(read_only=True, rate_limits=GENEROUS.rate_limits)
    async with (
        serve(*EVERYTHING, settings=settings) as served,
        served.client(token=served.token("*")) as client,
    ):
        actions = [call for call in calls(served) if getattr(call[2], "audit", "")]
        assert len(actions) > 30
        for method, address, _ in actions:
            answer = await client.request(method, address)
            assert (answer.status_code, answer.json()["code"]) == (405, "read_only"), address


@pytest.mark.anyio
async def test_every_administrative_route_is_in_the_audit_trail_under_its_verb(serve):
    async with serve(*EVERYTHING) as served:
        for method, _, route in calls(served):
            if method != "GET" and route.path.startswith(("/admin/api", "/admin/system")):
                assert route.audit, route.path
                assert route.rate in ("write", "code"), route.path
