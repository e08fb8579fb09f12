"""Two instances of a host share their sessions in a real server, which goes away and comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from asgi_browser import Browser
from plughost import Host, hookimpl
from plughost.contracts import Allow, AuthAttempt, Principal, SessionManager, Verdict, session_of
from plughost.exceptions import StoreUnavailableError
from plughost.http import PUBLIC, SIGNED_IN, Route, create_app
from plughost.plugins.sessions import SessionsPlugin
from servers import Server

pytestmark = pytest.mark.anyio

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
COOKIE = "__Host-acme_session"


class App:
    """Lets everybody in, counts views of who is signed in, and greets all."""

    def start(self, context: Any) -> None: ...

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Verdict:
        return Allow(Principal(attempt.username, attempt.username))

    @hookimpl
    def register_routes(self) -> Sequence[Route]:
        return [
            Route("/view", view, methods=["GET"], guard=SIGNED_IN),
            Route("/hello", hello, methods=["GET"], guard=PUBLIC),
        ]


async def view(request: Request) -> Response:
    session = session_of(request)
    session["views"] = session.get("views", 0) + 1
    return JSONResponse(session["views"])


async def hello(request: Request) -> Response:
    return Response("hello")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def hosts(tmp_path: Path, server: Server) -> AsyncIterator[list[Host]]:
    config = {"store": "redis", "redis_url": server.url, "redis_timeout": 0.5, "secret": SECRET}
    async with AsyncExitStack() as stack:
        started = []
        for name in ("one", "two"):
            host = Host(
                "acme",
                config={"host": {"data_dir": str(tmp_path / name)}},
                environ={"PLUGHOST_LOAD_PLUGINS": ""},
            )
            started.append(await stack.enter_async_context(host))
            await host.load_plugin(SessionsPlugin, config, name="sessions")
            await host.load_plugin(App(), name="app")
        yield started


async def test_what_one_instance_begins_the_other_goes_on_with_and_ends(hosts: list[Host]) -> None:
    first, second = [Browser(create_app(host)) for host in hosts]
    await first.post("/api/auth/login", {"username": "ada"})
    second.cookies = first.cookies
    assert [(await one.get("/view")).json() for one in (first, second, first)] == [1, 2, 3]
    assert await hosts[1].use(SessionManager).destroy_user("ada") == 1
    assert (await first.get("/view")).status == 401


async def test_an_end_in_one_instance_is_an_end_in_the_other(hosts: list[Host]) -> None:
    here, there = [host.use(SessionManager) for host in hosts]
    made = await here.create("ada")
    await there.destroy(made.session_id)
    assert await here.get(made.session_id) is None


@pytest.mark.parametrize("how", ["killed", "paused"])
async def test_while_the_server_is_away_nobody_is_signed_out(
    hosts: list[Host], server: Server, how: str
) -> None:
    browser = Browser(create_app(hosts[0]))
    await browser.post("/api/auth/login", {"username": "ada"})
    assert (await browser.get("/view")).json() == 1
    cookies = dict(browser.cookies)
    server.kill() if how == "killed" else server.pause()
    for _ in range(3):
        answer = await browser.get("/view")
        assert answer.status == 503
        assert int(answer.header("retry-after") or 0) > 0
        assert answer.set_cookies == []
        assert (await browser.get("/hello")).status == 200
    assert (await browser.post("/api/auth/logout")).status == 503, "an end that was not kept is not claimed"
    assert browser.cookies == cookies
    server.start() if how == "killed" else server.resume()
    await until_it_answers(hosts[0])
    answer = await browser.get("/view")
    assert answer.status == (401 if how == "killed" else 200), "a killed server without a file has forgotten"


async def until_it_answers(host: Host) -> None:
    with anyio.fail_after(20):
        while True:
            try:
                await host.use(SessionManager).stats()
            except StoreUnavailableError:
                await anyio.sleep(0.05)  # a real server, in its own time
            else:
                return


async def test_nothing_readable_is_in_the_server(hosts: list[Host]) -> None:
    sessions: Any = hosts[0].use(SessionManager)
    made = await sessions.create("ada", username="Ada Lovelace", fields={"note": "canary-value"})
    client = sessions.records.store._client
    kept: list[Any] = []
    async for key in client.scan_iter("*"):
        kind = await client.type(key)
        kept += [key, await client.hgetall(key) if kind == b"hash" else kind]
    text = repr(kept)
    assert made.handle in text
    assert made.session_id not in text
    assert "canary-value" not in text
    assert "Lovelace" not in text
