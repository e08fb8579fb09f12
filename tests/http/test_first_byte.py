"""The limit of an answer: kept where something waits, and no work where nothing does."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount

from plughost import Plugin, hookimpl
from plughost.core.calls.watchdog import Watchdog
from plughost.core.stepping import LimitPassedError
from plughost.http import PUBLIC, Route

pytestmark = pytest.mark.anyio


class NotYetError(Exception):
    """Of an application around."""


async def at_once(request: Request) -> Response:
    return PlainTextResponse("here")


async def a_turn(request: Request) -> Response:
    await checkpoint()
    return PlainTextResponse("here")


async def deaf(request: Request) -> Response:
    for _ in range(1000):
        with contextlib.suppress(asyncio.CancelledError):
            await anyio.sleep(30)
    return PlainTextResponse("at last")


async def polite(request: Request) -> Response:
    try:
        await anyio.sleep_forever()
    except anyio.get_cancelled_exc_class():
        return PlainTextResponse("what there was so far")
    raise AssertionError


async def own_limit(request: Request) -> Response:
    await checkpoint()
    raise LimitPassedError("of something it called")


async def pieces(request: Request) -> Response:
    async def body():
        for _ in range(3):
            await anyio.sleep(0.1)
            yield b"x"

    return StreamingResponse(body())


async def not_yet(request: Request) -> Response:
    raise NotYetError


class Waiting(Plugin):
    name = "waiting"

    @hookimpl
    def register_routes(self) -> list[Route]:
        quick = {"guard": PUBLIC, "timeout": 0.05}
        return [
            Route("/at-once", at_once, guard=PUBLIC),
            Route("/a-turn", a_turn, guard=PUBLIC),
            Route("/deaf", deaf, **quick),
            Route("/polite", polite, **quick),
            Route("/own-limit", own_limit, guard=PUBLIC),
            Route("/pieces", pieces, **quick),
            Route("/not-yet", not_yet, guard=PUBLIC),
        ]


async def timers_of(app: Any, path: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many timers the event loop got while it served a request, without a client that has its own."""
    loop = asyncio.get_running_loop()
    made = 0
    given = loop.call_at

    def counting(*args: Any, **options: Any) -> Any:
        nonlocal made
        made += 1
        return given(*args, **options)

    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(b"host", b"test")], "client": ("192.0.2.1", 5), "scheme": "http", "root_path": "",
    }  # fmt: skip
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request"}

    monkeypatch.setattr(loop, "call_at", counting)
    await app(scope, receive, send)
    monkeypatch.undo()
    assert sent[0]["status"] == 200
    return made


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_route_that_does_not_wait_makes_no_timer(serve, monkeypatch, anyio_backend):
    async with serve(Waiting) as served:
        assert await timers_of(served.app, "/at-once", monkeypatch) == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_routes_that_wait_share_one_timer(serve, monkeypatch, anyio_backend):
    async with serve(Waiting) as served:
        made = [await timers_of(served.app, "/a-turn", monkeypatch) for _ in range(5)]
    assert sum(made) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_route_that_swallows_being_given_up_is_let_go(serve, anyio_backend):
    async with serve(Waiting) as served, served.client() as client:
        served.app.runtime.watchdog = Watchdog(grace=0.05)
        answer = await client.get("/deaf")
    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")


async def test_a_limit_of_something_that_was_called_is_a_failure_of_the_route(serve):
    async with serve(Waiting) as served, served.client() as client:
        answer = await client.get("/own-limit")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


async def test_an_answer_that_has_begun_goes_on_beyond_the_limit(serve):
    async with serve(Waiting) as served, served.client() as client:
        answer = await client.get("/pieces")
    assert (answer.status_code, answer.text) == (200, "xxx")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_answer_that_a_route_makes_of_being_given_up_is_its_answer(serve, anyio_backend):
    async with serve(Waiting) as served, served.client() as client:
        answer = await client.get("/polite")
    assert (answer.status_code, answer.text) == (200, "what there was so far")


async def test_an_application_around_still_handles_what_routes_raise(serve):
    async def handle(request: Request, error: Exception) -> Response:
        return PlainTextResponse("soon", status_code=425)

    async with serve(Waiting) as served:
        around = Starlette(routes=[Mount("/host", served.app)], exception_handlers={NotYetError: handle})
        async with served.client(app=around) as client:
            answer = await client.get("/host/not-yet")
    assert (answer.status_code, answer.text) == (425, "soon")
