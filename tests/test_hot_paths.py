"""What every request pays, counted in instructions of Python: no busy machine changes it, so nothing grows unseen."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from counting import counted
from plughost import Host, Plugin, hookimpl, hookspec
from plughost.contracts import CacheManager, HttpContext
from plughost.http import PUBLIC, Route, create_app

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
BOUNDS = {
    "a plain hook": 235,
    "an async hook": 210,
    "get": 70,
    "get_or_set": 80,
    "a session not looked at": 260,
    "a request": 2120,
}
"""Instructions of CPython 3.11, whose bytecode is the longest of those supported, and a few more.

Whoever needs more says in the commit what everybody gets for it.
"""


class Specs:
    @hookspec
    def plain(self, what: int) -> int: ...

    @hookspec
    def awaited(self, what: int) -> int: ...


class Page(Plugin):
    """Has a route with what a route usually has."""

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def page(request: Request) -> Response:
            return PlainTextResponse("hello")

        return [Route("/", page, guard=PUBLIC, rate="many")]


class Five(Plugin):
    """One of five that implement both."""

    @hookimpl
    def plain(self, what: int) -> int:
        return what

    @hookimpl
    async def awaited(self, what: int) -> int:
        return what


@dataclass
class Browser:
    """Sends one request after the other to an application behind the sessions' middleware."""

    app: Any
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"host", b"shop.example")])

    async def __call__(self) -> None:
        scope = {"type": "http", "method": "GET", "path": "/", "scheme": "https", "client": ("203.0.113.9", 1),
                 "headers": self.headers, "root_path": "", "query_string": b"", "state": {}}  # fmt: skip
        await self.app(scope, None, self.take)

    async def take(self, message: dict[str, Any]) -> None:
        for name, value in message.get("headers", ()):
            if name == b"set-cookie":
                self.headers.append((b"cookie", value.split(b";")[0]))


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def sign(scope: Any, receive: Any, send: Any) -> None:
    (await scope["session"].load())["user"] = "ada"
    await answer(scope, receive, send)


@asynccontextmanager
async def paths(folder: Path) -> AsyncIterator[dict[str, Callable[[], Awaitable[Any]]]]:
    settings = {"secret": SECRET, "cookie_name": "acme", "preload": False, "touch_interval": 60.0}
    config = {
        "host": {"allow": ["cache", "sessions"], "data_dir": str(folder)},
        "plugins": {"sessions": {"config": settings}},
        "http": {"rate_limits": {"many": 1_000_000}},
    }
    host = Host("hot", config=config, environ={}, hookspecs=[Specs])
    async with host:
        for number in range(5):
            await host.load_plugin(Five(), name=f"five{number}")
        cache = host.use(CacheManager).get("hot")
        await cache.set("key", {"name": "ada"})
        found = host.hooks.register_middleware(context=HttpContext(host_name=host.name))
        [middleware] = [each for said in found for each in said]
        visitor = Browser(middleware.factory(sign))
        await visitor()
        await host.load_plugin(Page(), name="page")
        hooks, app = host.hooks, create_app(host)
        yield {
            "a plain hook": lambda: hooks.plain(what=1),
            "an async hook": lambda: hooks.awaited(what=1),
            "get": lambda: cache.get("key"),
            "get_or_set": lambda: cache.get_or_set("key", answer),
            "a session not looked at": Browser(middleware.factory(answer), visitor.headers),
            "a request": Browser(app, visitor.headers),
        }
        app.close()


@pytest.mark.parametrize("path", BOUNDS)
async def test_it_takes_no_more_instructions_than_it_did(path: str, tmp_path: Path) -> None:
    async with paths(tmp_path) as called:
        for _ in range(100):
            await called[path]()
        with counted() as nothing:
            pass
        with counted() as found:
            await called[path]()
        taken = found.instructions - nothing.instructions
        assert BOUNDS[path] / 3 < taken <= BOUNDS[path]


async def test_a_request_leaves_nothing_that_only_a_collection_finds(tmp_path: Path) -> None:
    async with paths(tmp_path) as called:
        await called["a request"]()
        gc.collect()
        gc.disable()
        try:
            for _ in range(50):
                await called["a request"]()
            assert gc.collect() < 50
        finally:
            gc.enable()
