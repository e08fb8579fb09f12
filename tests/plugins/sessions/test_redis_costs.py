"""What requests with a session on Redis ask of the server, counted there."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from asgi_browser import Browser
from plughost import Host, hookimpl
from plughost.contracts import SessionManager, session_of
from plughost.http import PUBLIC, Route, create_app
from plughost.plugins.sessions import SessionsPlugin
from plughost.plugins.sessions.foresight import Foresight
from plughost.plugins.sessions.stores.redis import RedisStore
from servers import Server

pytestmark = pytest.mark.anyio

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
COOKIE = "__Host-acme_session"


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def awaited(request: Request) -> Response:
    session = await session_of(request).load()
    return PlainTextResponse(session["name"])


async def plain(request: Request) -> Response:
    return PlainTextResponse(session_of(request)["name"])


def in_thread(request: Request) -> Response:
    name = session_of(request)["name"]
    return PlainTextResponse(f"{name} {threading.current_thread() is not threading.main_thread()}")


class App:
    def start(self, context: Any) -> None: ...

    @hookimpl
    def register_routes(self) -> Sequence[Route]:
        return [
            Route("/hello/{number}", hello, guard=PUBLIC),
            Route("/awaited", awaited, guard=PUBLIC),
            Route("/plain/{number}", plain, guard=PUBLIC),
            Route("/in-thread", in_thread, guard=PUBLIC),
        ]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Visits:
    """A visitor with a session, and what the requests ask of the server."""

    def __init__(self, host: Host, session_id: str, looks: list[bytes]) -> None:
        self.host = host
        self.app = create_app(host)
        self._id = session_id
        self.looks = looks

    def browser(self) -> Browser:
        browser = Browser(self.app)
        browser.cookies = {COOKIE: self._id}
        return browser

    async def get(self, path: str) -> tuple[int, str]:
        answer = await self.browser().get(path)
        return answer.status, answer.body.decode()


@pytest.fixture
async def visits(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Visits]:
    looks: list[bytes] = []
    usual = RedisStore.read_waiting

    def counting(self: RedisStore, digest: bytes) -> Any:
        looks.append(digest)
        return usual(self, digest)

    monkeypatch.setattr(RedisStore, "read_waiting", counting)
    config = {"store": "redis", "redis_url": server.url, "redis_timeout": 5.0, "secret": SECRET}
    data = {"host": {"data_dir": str(tmp_path)}}
    async with Host("acme", config=data, environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        await host.load_plugin(SessionsPlugin, config, name="sessions")
        await host.load_plugin(App(), name="app")
        made = await host.use(SessionManager).create("7", fields={"name": "ada"})
        yield Visits(host, made.session_id, looks)


@asynccontextmanager
async def scripts_run(server: Server) -> AsyncIterator[list[int]]:
    """How many scripts, which all calls of the store are, the server runs meanwhile."""
    client = Redis.from_url(server.url)

    async def scripts() -> int:
        stats = await client.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))

    count: list[int] = []
    before = await scripts()
    yield count
    count.append(await scripts() - before)
    await client.aclose()


async def test_a_session_that_nobody_looks_at_costs_no_command(visits: Visits, server: Server) -> None:
    async with scripts_run(server) as count:
        for number in range(30):
            assert await visits.get(f"/hello/{number}") == (200, "hello")
    assert count == [0]


async def test_fifty_requests_that_await_their_session_at_once_share_one_script(
    visits: Visits, server: Server
) -> None:
    found: list[tuple[int, str]] = []

    async def visit() -> None:
        found.append(await visits.get("/awaited"))

    await visits.get("/awaited")  # the script is known from here on
    async with scripts_run(server) as count, anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(visit)
    assert found == [(200, "ada")] * 50
    assert count[0] <= 3
    assert visits.looks == []


async def test_a_plain_look_finds_the_session_and_is_foreseen_from_then_on(visits: Visits) -> None:
    for _ in range(5):
        assert await visits.get("/plain/1") == (200, "ada")
    assert len(visits.looks) == 1


async def test_a_plain_function_may_look_in_its_thread(visits: Visits) -> None:
    for _ in range(3):
        assert await visits.get("/in-thread") == (200, "ada True")
    assert len(visits.looks) == 1


async def test_a_few_paths_make_the_loop_wait_and_no_more(visits: Visits, server: Server) -> None:
    for number in range(40):
        assert await visits.get(f"/plain/{number}") == (200, "ada")
    assert len(visits.looks) == 8
    for _ in range(4):
        await visits.get("/hello/1")  # loaded beforehand too, and nobody looks
    async with scripts_run(server) as count:
        for _ in range(10):
            assert await visits.get("/hello/1") == (200, "hello")
    assert count == [0]


async def test_a_plain_look_at_a_store_that_is_away_is_told_in_time(visits: Visits, server: Server) -> None:
    assert await visits.get("/plain/1") == (200, "ada")
    server.kill()
    with anyio.fail_after(20):
        for path in ("/plain/2", "/plain/1", "/plain/3"):
            status, _ = await visits.get(path)
            assert status == 503
    assert (await visits.get("/hello/1"))[0] == 200


def test_a_path_that_is_forgotten_or_changes_its_mind_is_learned_again() -> None:
    foresight = Foresight()
    page: dict[str, Any] = {"method": "GET", "path": "/page"}
    assert not foresight.expects(page)
    foresight.surprised(page)
    assert foresight.expects(page)
    assert not foresight.expects({"method": "POST", "path": "/page"})
    for _ in range(3):
        assert foresight.expects(page)
        foresight.loaded(page, used=False)
    assert not foresight.expects(page)
    foresight.surprised(page)
    assert foresight.expects(page)
    foresight.loaded(page, used=False)
    foresight.loaded(page, used=True)
    for _ in range(2):
        foresight.loaded(page, used=False)
    assert foresight.expects(page)
    for number in range(20_000):
        foresight.surprised({"method": "GET", "path": f"/{number}"})
    assert len(foresight._unused) == 10_000
    assert foresight.expects(page), "unknown again, where looks are usual"
