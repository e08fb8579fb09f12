"""Origins that the deployer trusts, in whichever table and at whichever door."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.websockets import WebSocket

import plughost
from plughost import Plugin, hookimpl
from plughost.contracts import SessionManager
from plughost.http import PUBLIC, SIGNED_IN, HttpSettings, Route, WebSocketRoute
from plughost.http.problems import too_often
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio

TRUSTED = "https://app.example.org"


class Door(Plugin):
    name = "door"

    @hookimpl
    def register_routes(self) -> list[Any]:
        async def change(request: Request) -> Response:
            return PlainTextResponse("changed")

        async def talk(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.close()

        return [
            Route("/open", change, methods=["POST"], guard=PUBLIC),
            Route("/mine", change, methods=["POST"], guard=SIGNED_IN),
            WebSocketRoute("/talk", talk, guard=PUBLIC),
        ]


def sessions(**config: Any) -> tuple[type[SessionsPlugin], dict[str, Any]]:
    return SessionsPlugin, {"store": "memory", **config}


TABLES: dict[str, tuple[tuple[Any, ...], HttpSettings]] = {
    "[http]": ((Door,), HttpSettings(trusted_origins=frozenset({TRUSTED}))),
    "[http] beside sessions": ((sessions(), Door), HttpSettings(trusted_origins=frozenset({TRUSTED}))),
    "sessions": ((sessions(trusted_origins=[TRUSTED]), Door), HttpSettings()),
    "sessions, with a port": (
        (sessions(trusted_origins=["https://APP.example.org:443"]), Door),
        HttpSettings(),
    ),
}
each_table = pytest.mark.parametrize("table", TABLES)


@each_table
@pytest.mark.parametrize("site", [{}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}])
async def test_a_trusted_origin_may_post_to_a_plugins_route_and_another_may_not(serve, table, site):
    plugins, settings = TABLES[table]
    async with serve(*plugins, settings=settings) as served, served.client() as client:
        for origin, status in ((TRUSTED, 200), ("https://evil.example.org", 403), ("null", 403)):
            answer = await client.post("/open", headers={"Origin": origin, **site})
            assert answer.status_code == status, origin
            assert status == 200 or answer.json()["code"] == "cross_site"


@each_table
@pytest.mark.parametrize(("origin", "opened"), [(TRUSTED, True), ("https://evil.example.org", False)])
async def test_a_trusted_origin_may_open_a_websocket(serve, table, origin, opened):
    plugins, settings = TABLES[table]
    async with serve(*plugins, settings=settings) as served:
        sent: list[Any] = []
        arriving = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

        async def receive() -> Any:
            return arriving.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "websocket", "scheme": "ws", "path": "/talk", "raw_path": b"/talk", "query_string": b"",
            "root_path": "", "headers": [(b"host", b"testserver"), (b"origin", origin.encode())],
            "client": ("203.0.113.7", 1), "server": ("testserver", 80), "subprotocols": [],
        }  # fmt: skip
        await served.app(scope, receive, send)
        assert (sent[0]["type"] == "websocket.accept") is opened


async def test_a_token_that_speaks_for_a_request_speaks_at_every_door(serve):
    async with serve(sessions(), Door) as served, served.client(base="https://testserver") as client:
        session = await served.host.use(SessionManager).create("7")
        cookie = {
            "Cookie": f"__Host-test_session={session.session_id}",
            "Origin": "https://elsewhere.example.org",
        }
        look = await client.get("/api/auth/session", headers=cookie)
        token = look.json()["csrf_token"]
        refused = await client.post("/mine", headers={**cookie, "X-CSRF-Token": "x" * len(token)})
        assert refused.status_code == 403
        assert (await client.post("/mine", headers={**cookie, "X-CSRF-Token": token})).status_code == 200


async def test_an_exempt_path_is_exempt_at_every_door(serve):
    async with serve(sessions(csrf_exempt_paths=["/open"]), Door) as served, served.client() as client:
        elsewhere = {"Sec-Fetch-Site": "cross-site"}
        assert (await client.post("/open", headers=elsewhere)).status_code == 200
        assert (await client.post("/mine", headers=elsewhere)).status_code == 403


@pytest.mark.parametrize(
    "origin", ["app.example.org", "https://*.example.org", "https://app.example.org/", "ftp://x"]
)
def test_what_is_no_origin_is_no_setting(origin):
    with pytest.raises(msgspec.ValidationError, match="trusted_origins"):
        msgspec.convert({"trusted_origins": [origin]}, HttpSettings)


@pytest.mark.parametrize(
    ("wait", "told"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.4, "2"), (7.01, "8"), (30.0, "30")]
)
def test_who_comes_back_when_told_to_is_not_too_early(wait, told):
    assert too_often(wait).headers["Retry-After"] == told


def test_problem_documents_are_written_in_one_place():
    root = Path(plughost.__file__).parent
    writing = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in ("application/problem+json", "about:blank")
    }
    assert writing == {"http/problems.py"}
