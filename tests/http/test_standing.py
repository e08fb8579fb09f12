"""What a credential opened ends with it, whoever ends the credential."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.websockets import WebSocket

from plughost import Plugin, hookimpl
from plughost.contracts import SessionManager
from plughost.http import PUBLIC, SIGNED_IN, EventStream, Route, WebSocketRoute
from plughost.http.access_file import AccessFile
from plughost.http.tokens import Tokens
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.sessions.plugin import SessionsPlugin
from plughost.testing import FakeClock

pytestmark = pytest.mark.anyio

SESSIONS = (SessionsPlugin, {"store": "memory", "secret": "Zk3vQ8mT1xY6bN0cR5wJ9pL2hG7dF4sA-uEoI_qKzXv"})


class Pieces:
    """One piece each second; no generator, which trio wants closed and Starlette leaves open."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        await self._clock.sleep(1)
        return b"piece"


class LongOnes(Plugin):
    """Three kinds of connections that go on: events, a plain stream, a WebSocket."""

    name = "long-ones"

    def __init__(self) -> None:
        self.clock = FakeClock()

    async def silence(self) -> AsyncIterator[dict[str, str]]:
        yield {"data": "first"}
        await anyio.sleep_forever()

    @hookimpl
    def register_routes(self) -> list[Any]:
        async def events(request: Request) -> Response:
            return EventStream(self.silence())

        async def stream(request: Request) -> Response:
            return StreamingResponse(Pieces(self.clock))

        async def socket(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.receive_text()

        async def enter(request: Request) -> Response:
            await request.scope["session"].sign_in("7", username="ada")
            return PlainTextResponse("in")

        return [
            Route("/events", events, guard=SIGNED_IN),
            Route("/stream", stream, guard=SIGNED_IN),
            WebSocketRoute("/socket", socket, guard=SIGNED_IN),
            Route("/enter", enter, methods=["POST"], guard=PUBLIC),
        ]


class Connection:
    """One open connection, as the application sees it."""

    def __init__(self, path: str, header: tuple[bytes, bytes]) -> None:
        kind = "websocket" if path == "/socket" else "http"
        scheme = "wss" if kind == "websocket" else "https"
        self.scope = {
            "type": kind, "method": "GET", "path": path, "query_string": b"", "scheme": scheme, "root_path": "",
            "headers": [(b"host", b"shop.example"), header], "client": ("203.0.113.7", 1), "subprotocols": [],
            "server": ("shop.example", 443), "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.4"},
        }  # fmt: skip
        self.sent: list[Any] = []
        self.over = False
        self._connected = False

    async def receive(self) -> Any:
        if self.scope["type"] == "websocket" and not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        return await anyio.sleep_forever()

    async def send(self, message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append(message)

    async def run(self, app: Any) -> None:
        await app(self.scope, self.receive, self.send)
        self.over = True


End = Callable[[], Any]


async def by_token(served: Any, where: str) -> tuple[tuple[bytes, bytes], End]:
    token = served.token("*")
    file = (
        served.app.runtime.tokens
        if where == "here"
        else Tokens(AccessFile(served.host.data_dir), served.clock)
    )
    (identifier,) = [one.id for one in file.list() if one.id in token]
    return (b"authorization", f"Bearer {token}".encode()), lambda: file.revoke(identifier)


async def by_browser(served: Any, where: str) -> tuple[tuple[bytes, bytes], End]:
    sign_ins = served.app.runtime.sign_ins
    secret = sign_ins.redeem(sign_ins.make_link_code())
    name = sign_ins.cookie_name({"scheme": "https"})
    return (b"cookie", f"{name}={secret}".encode()), lambda: sign_ins.end(secret)


async def by_session(served: Any, where: str) -> tuple[tuple[bytes, bytes], End]:
    async with served.client(base="https://shop.example") as client:
        entered = await client.post("/enter")
        cookie = entered.headers["set-cookie"].partition(";")[0]
    return (b"cookie", cookie.encode()), lambda: served.host.use(SessionManager).destroy_user("7")


CREDENTIALS = {
    "a token": (by_token, "here"), "a token revoked by another process": (by_token, "elsewhere"),
    "a browser": (by_browser, "here"), "a session": (by_session, "here"),
}  # fmt: skip


async def opened(serve: Any, path: str, how: str, check: Callable[[Any, Connection, End], Any]) -> None:
    clock, plugin = FakeClock(), LongOnes()
    plugin.clock = clock
    async with serve(SESSIONS, plugin, clock=clock) as served:
        served.clock = clock
        make, where = CREDENTIALS[how]
        header, end = await make(served, where)
        connection = Connection(path, header)
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.run, served.app)
                await clock.advance(1)
                assert not connection.over, connection.sent
                await check(clock, connection, end)
                tasks.cancel_scope.cancel()


@pytest.mark.parametrize("how", CREDENTIALS)
@pytest.mark.parametrize("path", ["/events", "/stream", "/socket"])
async def test_what_a_credential_opened_ends_within_seconds_of_it(serve, path, how):
    async def check(clock: Any, connection: Connection, end: End) -> None:
        await clock.advance(600)
        assert not connection.over, "it goes on as long as the credential does"
        ended = end()
        if hasattr(ended, "__await__"):
            await ended
        told = len(connection.sent)
        await clock.advance(5)
        assert connection.over
        assert b"piece" not in [message.get("body") for message in connection.sent[told + 2 :]]
        if path == "/socket":
            assert connection.sent[-1]["code"] == 4001

    await opened(serve, path, how, check)


async def test_a_token_that_expires_ends_what_it_opened(serve):
    clock, plugin = FakeClock(), LongOnes()
    async with serve(plugin, clock=clock) as served:
        token = served.token("*", lifetime=60)
        connection = Connection("/events", (b"authorization", f"Bearer {token}".encode()))
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.run, served.app)
                await clock.advance(50)
                assert not connection.over, connection.sent
                await clock.advance(15)
                assert connection.over


async def test_the_live_figures_of_the_admin_page_end_with_the_sign_in(serve):
    clock = FakeClock()
    async with serve(AdminPlugin(), clock=clock) as served:
        sign_ins = served.app.runtime.sign_ins
        secret = sign_ins.redeem(sign_ins.make_link_code())
        name = sign_ins.cookie_name({"scheme": "https"})
        connection = Connection("/admin/api/events", (b"cookie", f"{name}={secret}".encode()))
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(connection.run, served.app)
                await clock.advance(10)
                assert not connection.over, connection.sent
                sign_ins.end(secret)
                await clock.advance(5)
                assert connection.over
