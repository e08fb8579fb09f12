"""Requests at the routes of a plugin that leaves: waited for as hook calls are, and cut at the limit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from plughost import Plugin, PluginContext, hookimpl
from plughost.http import PUBLIC, EventStream, Route, WebSocketRoute, host_from

in_both_loops = pytest.mark.anyio


class Library(Plugin):
    """Holds something that it closes when it stops, and is asked for it while somebody decides on its fate."""

    name = "library"
    lives: list[Library] = []  # noqa: RUF012 - every start of one test, oldest first

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.is_open, self.asked, self.on = True, threading.Event(), threading.Event()

    async def start(self, context: PluginContext) -> None:
        self.begin()
        self.lives.append(self)

    async def stop(self) -> None:
        self.is_open = False

    def told(self) -> str:
        assert self.is_open, "asked after it was stopped"
        return "read to the end"

    async def wait(self) -> None:
        self.asked.set()
        while not self.on.is_set():  # noqa: ASYNC110 - it is set in another thread
            await anyio.sleep(0.005)

    @hookimpl
    def register_routes(self) -> list[Any]:  # noqa: C901 - one endpoint after the other
        async def slow(request: Request) -> Response:
            await self.wait()
            return PlainTextResponse(self.told())

        def in_thread(request: Request) -> Response:
            self.asked.set()
            self.on.wait(60)
            return PlainTextResponse(self.told())

        async def pieces(request: Request) -> Response:
            async def body() -> AsyncIterator[str]:
                yield "read "
                await self.wait()
                yield self.told().removeprefix("read ")

            return StreamingResponse(body())

        async def for_ever(request: Request) -> Response:
            self.asked.set()
            await anyio.sleep_forever()
            raise AssertionError

        async def news(request: Request) -> Response:
            async def source() -> AsyncIterator[dict[str, str]]:
                yield {"data": "first"}
                self.asked.set()
                await anyio.sleep_forever()

            return EventStream(source())

        async def own_fate(request: Request) -> Response:
            host = host_from(request)
            await getattr(host, f"{request.path_params['what']}_plugin")("library")
            return PlainTextResponse("done")

        async def talk(socket: WebSocket) -> None:
            await socket.accept()
            while True:
                self.asked.set()
                await socket.send_text(await socket.receive_text())

        endpoints = {
            "slow": slow,
            "in-thread": in_thread,
            "pieces": pieces,
            "for-ever": for_ever,
            "news": news,
        }
        return [
            *(Route(f"/{name}", endpoint, guard=PUBLIC) for name, endpoint in endpoints.items()),
            Route("/own-fate/{what}", own_fate, methods=["POST"], guard=PUBLIC),
            WebSocketRoute("/talk", talk, guard=PUBLIC),
        ]


class Front(Plugin):
    """Asks the library for its visitors."""

    name = "front"

    @hookimpl
    def register_routes(self) -> list[Route]:
        from plughost.http import subrequest

        async def page(request: Request) -> Response:
            return PlainTextResponse((await subrequest(request, "GET", "/slow")).body)

        return [Route("/front", page, guard=PUBLIC)]


@pytest.fixture(autouse=True)
def none_lived_before() -> None:
    Library.lives.clear()


MADE: dict[str, Callable[[], Any]] = {"made anew": lambda: Library, "handed over": Library}


def limited(seconds: float) -> dict[str, Any]:
    return {"host": {"allow": [], "shutdown_timeout": seconds}}


async def until(true: Callable[[], object]) -> None:
    with anyio.fail_after(30):
        while not true():  # noqa: ASYNC110 - it may become so in another thread
            await anyio.sleep(0.005)


@in_both_loops
@pytest.mark.parametrize("what", ["reload", "unload", "disable"])
@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("path", ["/slow", "/in-thread", "/pieces", "/front"])
async def test_an_answer_that_was_begun_is_ended_before_its_plugin_stops(serve, path, made, what):
    async with serve(MADE[made](), Front) as served, served.client() as client:
        answers: list[Response] = []

        async def ask() -> None:
            answers.append(await client.get(path))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await until(lambda: Library.lives and Library.lives[0].asked.is_set())
            (first,) = Library.lives
            tasks.start_soon(getattr(served.host, f"{what}_plugin"), "library")
            # as soon as the routes are those of another start, or of none, it would have been stopped
            await until(lambda: len(Library.lives) > 1 or served.host.plugin("library").state != "ready")
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert first.is_open
            first.on.set()
        assert [(answer.status_code, answer.text) for answer in answers] == [(200, "read to the end")]
        assert what == "reload" or not first.is_open
        assert len(Library.lives) == (2 if what == "reload" else 1)


@in_both_loops
async def test_nobody_new_comes_to_a_plugin_that_waits_for_its_last_visitor(serve):
    async with serve(Library) as served, served.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, "/slow")
        await until(lambda: Library.lives[0].asked.is_set())
        tasks.start_soon(served.host.unload_plugin, "library")
        await until(lambda: served.host.plugin("library").state != "ready")
        with anyio.fail_after(30):
            while (await client.get("/nowhere")).status_code != 404:
                await anyio.lowlevel.checkpoint()
            assert (await client.get("/for-ever")).status_code == 404
        Library.lives[0].on.set()


@in_both_loops
@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("what", ["reload", "unload"])
async def test_who_asks_for_the_end_of_the_plugin_that_answers_him_is_not_waited_for(serve, what, made):
    async with serve(MADE[made]()) as served, served.client() as client:
        with anyio.fail_after(10):  # the limit is 15 seconds
            answer = await client.post(f"/own-fate/{what}")
        assert (answer.status_code, answer.text) == (200, "done")
        assert len(Library.lives) == (2 if what == "reload" else 1)


@in_both_loops
@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("what", ["reload", "unload"])
async def test_an_answer_that_never_ends_is_cut_at_the_limit_and_the_log_says_so(serve, what, made, caplog):
    async with serve(MADE[made](), config=limited(0.1)) as served, served.client() as client:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await client.get("/for-ever"))

        with caplog.at_level(logging.WARNING, "plughost.loading"), anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await until(lambda: Library.lives[0].asked.is_set())
                tasks.start_soon(getattr(served.host, f"{what}_plugin"), "library")
        (answer,) = answers
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["code"] == "plugin_restarting"
        assert "'library'" in answer.json()["detail"]
        (line,) = (record for record in caplog.records if "requests were cut" in record.getMessage())
        assert (line.plugin, line.requests, line.limit) == ("library", 1, 0.1)


def wait_for_the_next() -> None:
    deadline = time.monotonic() + 30
    while len(Library.lives) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)


class TestBehindARealServer:
    """Sockets, and another thread for each client."""

    @staticmethod
    def wait_for_a_visitor() -> Library:
        assert Library.lives[-1].asked.wait(30)
        return Library.lives[-1]

    @pytest.mark.parametrize("path", ["/slow", "/pieces"])
    def test_a_slow_answer_ends_well_while_its_plugin_reloads(self, live_server, path):
        server = live_server(Library)
        with ThreadPoolExecutor(1) as others, server.client() as client:
            asked = others.submit(client.get, path)
            first = self.wait_for_a_visitor()
            reloaded = server.portal.start_task_soon(server.host.reload_plugin, "library")
            wait_for_the_next()
            first.on.set()
            answer = asked.result(30)
            assert (answer.status_code, answer.text) == (200, "read to the end")
            assert reloaded.result(30).generation == 2
            assert not first.is_open

    def test_an_answer_that_never_ends_is_an_error_to_come_again_for(self, live_server):
        server = live_server(Library, config=limited(0.1))
        with ThreadPoolExecutor(1) as others, server.client() as client:
            asked = others.submit(client.get, "/for-ever")
            self.wait_for_a_visitor()
            server.portal.call(server.host.reload_plugin, "library")
            assert (asked.result(30).status_code, asked.result(30).headers["retry-after"]) == (503, "1")

    def test_a_stream_without_an_end_is_broken_off_at_the_limit(self, live_server):
        server = live_server(Library, config=limited(0.1))
        with server.client() as client, client.stream("GET", "/pieces") as answer:
            first = self.wait_for_a_visitor()
            server.portal.call(server.host.reload_plugin, "library")
            assert not first.is_open
            with pytest.raises(httpx2.RemoteProtocolError):  # and not taken for the whole of it
                answer.read()

    def test_an_event_stream_ends_at_once_and_without_a_fault(self, live_server):
        server = live_server(Library, config=limited(60.0))
        with server.client() as client, client.stream("GET", "/news") as answer:
            self.wait_for_a_visitor()
            reloaded = server.portal.start_task_soon(server.host.reload_plugin, "library")
            assert b"data: first" in answer.read()
            assert reloaded.result(30).generation == 2

    def test_a_websocket_is_open_until_the_limit_and_then_closed(self, live_server):
        server = live_server(Library, config=limited(1.0))
        with connect(f"ws://127.0.0.1:{server.port}/talk") as socket:
            self.wait_for_a_visitor()
            reloaded = server.portal.start_task_soon(server.host.reload_plugin, "library")
            wait_for_the_next()
            socket.send("still there?")
            assert socket.recv(timeout=30) == "still there?"
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=30)
            assert closed.value.rcvd.code == 1011
            assert "'library'" in closed.value.rcvd.reason
            assert reloaded.result(30).generation == 2
