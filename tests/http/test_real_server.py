"""A real uvicorn and real sockets: what no client library would send, readers who do not read, many streams."""

from __future__ import annotations

import json
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, EventStream, HttpSettings, Problem, Route, scope
from plughost.http.streams import encoded_event
from serving import LiveServer


class Shop(Plugin):
    name = "shop"

    @hookimpl
    def register_routes(self) -> list[Route]:  # noqa: C901 - one endpoint after the other
        async def stock(request: Request) -> Response:
            return PlainTextResponse("the stock")

        async def take(request: Request) -> Response:
            return PlainTextResponse(str(len(await request.body())))

        async def flood(request: Request) -> Response:
            async def body() -> AsyncIterator[bytes]:
                for _ in range(2000):
                    yield b"x" * 65536

            return StreamingResponse(body())

        async def ticks(request: Request) -> Response:
            async def source() -> AsyncIterator[dict[str, str]]:
                number = 0
                while True:
                    number += 1
                    yield {"event": "tick", "data": str(number), "id": str(number)}
                    await anyio.sleep(0.05)

            return EventStream(source(), heartbeat=0.2)

        async def quiet(request: Request) -> Response:
            async def source() -> AsyncIterator[dict[str, str]]:
                await anyio.sleep_forever()
                yield {}

            return EventStream(source(), heartbeat=0.1)

        return [
            Route("/open", stock, guard=PUBLIC),
            Route("/stock", stock, guard=scope("stock:read")),
            Route("/take", take, methods=["POST"], guard=PUBLIC, timeout=0.5),
            Route("/flood", flood, guard=PUBLIC),
            Route("/ticks", ticks, guard=PUBLIC),
            Route("/quiet", quiet, guard=PUBLIC),
        ]


@contextmanager
def connected(server: LiveServer) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        yield connection


def said(server: LiveServer, raw: bytes) -> bytes:
    """Send bytes as they are; return everything that comes back until the server has had enough."""
    with connected(server) as connection:
        connection.sendall(raw)
        connection.settimeout(2)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def head(target: str, *lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode("latin-1")


SMUGGLED = b"GET /stock HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CLOSE = "Connection: close"

ODD = {
    "length and coding": head("/take", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST")
    + b"0\r\n\r\n",
    "two lengths": head("/take", "Content-Length: 0", f"Content-Length: {len(SMUGGLED)}", method="POST")
    + SMUGGLED,
    "a length in a list": head("/take", "Content-Length: 0, 5", method="POST") + SMUGGLED,
    "a length with a sign": head("/take", "Content-Length: +0", method="POST") + SMUGGLED,
    "a coding with a tail": head("/take", "Transfer-Encoding: chunked, identity", method="POST") + SMUGGLED,
    "a space before the colon": head("/take", "Transfer-Encoding : chunked", method="POST") + SMUGGLED,
    "a folded line": head(
        "/take", "X-A: b", " Transfer-Encoding: chunked", "Content-Length: 0", method="POST"
    )
    + SMUGGLED,
    "a bare line feed": b"POST /take HTTP/1.1\nHost: localhost\nContent-Length: 0\n\n" + SMUGGLED,
    "two hosts": head("/open", "Host: evil.example", CLOSE),
    "a chunk size with a sign": head("/take", "Transfer-Encoding: chunked", method="POST")
    + b"-1\r\n\r\n"
    + SMUGGLED,
    "a null in a header": head("/open", "X-A: \0", CLOSE),
    "an endless header": head("/open", "X-A: " + "a" * 200_000, CLOSE),
}


@pytest.mark.parametrize("raw", ODD.values(), ids=ODD.keys())
def test_no_odd_shape_smuggles_a_request_past_the_guard(live_server, raw):
    answer = said(live_server(Shop), raw)
    assert b"the stock" not in answer or b"/open" in raw
    for status in answer.split(b"HTTP/1.1 ")[1:]:
        assert status[:3] in (b"200", b"400", b"401", b"404", b"431", b"503")
    assert not (b"/open" in raw and b"HTTP/1.1 200" in answer)


@pytest.mark.parametrize(
    "target",
    [
        "/stock", "//stock", "/stock/", "/%73tock", "/%2fstock", "/open/..%2fstock", "/open/../stock", "http://localhost/stock",
        "/stock?x=/open", "/stock%00", "/stock%0a", "/%2e/stock", "*", "/open/%2e%2e/stock", "\\stock",
    ],
)  # fmt: skip
def test_no_spelling_of_a_target_gets_past_the_guard(live_server, target):
    answer = said(live_server(Shop), head(target, CLOSE))
    assert b"the stock" not in answer
    assert answer[9:12] in (b"400", b"401", b"404")


def test_the_query_is_no_part_of_the_access_log(live_server, caplog):
    server = live_server(Shop)
    with caplog.at_level("INFO", "plughost.access"):
        said(server, head("/open?code=s3cret", CLOSE))
        said(server, head("/x%0aforged", CLOSE))
    lines = [record.getMessage() for record in caplog.records if record.name == "plughost.access"]
    assert len(lines) == 2
    assert all("s3cret" not in line and "\n" not in line for line in lines)


def test_a_client_that_never_ends_its_body_is_answered_and_the_others_are_not_held_up(live_server):
    server = live_server(Shop)
    with connected(server) as slow, server.client() as quick:
        slow.sendall(head("/take", "Content-Length: 100", method="POST") + b"x")
        assert quick.get("/open").status_code == 200
        assert slow.recv(65536).startswith(b"HTTP/1.1 503")


def test_a_client_that_never_reads_holds_up_nobody(live_server):
    server = live_server(Shop)
    with connected(server) as slow, server.client() as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(head("/flood"))
        for _ in range(20):
            assert quick.get("/open").status_code == 200


def test_events_arrive_with_their_names_and_numbers(live_server):
    server = live_server(Shop)
    with server.client() as client, client.stream("GET", "/ticks") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store"
        text = ""
        for part in stream.iter_text():
            text += part
            if "data: 3" in text:
                break
    assert text.startswith("retry: 3000\n\nid: 1\nevent: tick\ndata: 1\n\nid: 2\n")


def test_a_silent_stream_is_kept_alive_by_comments(live_server):
    server = live_server(Shop)
    with server.client() as client, client.stream("GET", "/quiet") as stream:
        text = ""
        for part in stream.iter_text():
            text += part
            if text.count(": still here") == 2:
                break


def test_a_reader_who_is_gone_is_noticed(live_server):
    server = live_server(Shop)
    with server.client() as client, client.stream("GET", "/quiet") as stream:
        parts = stream.iter_text()  # kept: an iterator that is dropped closes the connection
        next(parts)
        assert server.app.runtime.open_streams == 1
    wait_until(lambda: server.app.runtime.open_streams == 0)


def test_five_hundred_streams_are_open_at_once_and_end_with_the_server(live_server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    server = live_server(Shop)
    readers = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in range(500)]
    try:
        for reader in readers:
            reader.sendall(head("/ticks"))
        wait_until(lambda: server.app.runtime.open_streams == 500)
        with server.client() as client:
            assert client.get("/open").status_code == 200
        for reader in readers[::50]:
            assert reader.recv(65536).startswith(b"HTTP/1.1 200")
        server.portal.call(server.app.drain)
        wait_until(lambda: server.app.runtime.open_streams == 0)
    finally:
        for reader in readers:
            reader.close()


def test_more_streams_than_allowed_are_told_to_poll(live_server):
    server = live_server(Shop, settings=HttpSettings(max_streams=1))
    with server.client() as client, client.stream("GET", "/quiet") as stream:
        parts = stream.iter_text()  # kept: an iterator that is dropped closes the connection
        next(parts)
        answer = client.get("/quiet")
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
        assert answer.headers["retry-after"] == "10"


def test_a_stop_lets_requests_under_way_finish(live_server):
    class Slow(Plugin):
        name = "slow"

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def slow(request: Request) -> Response:
                self.entered.set()
                await anyio.sleep(0.3)
                return PlainTextResponse("done")

            return [Route("/slow", slow, guard=PUBLIC)]

        def __init__(self) -> None:
            self.entered = anyio.Event()

    plugin = Slow()
    server = live_server(plugin)
    with connected(server) as connection:
        connection.sendall(head("/slow"))
        wait_until(plugin.entered.is_set)
        server.portal.call(server.app.drain)
        with server.client() as client:
            assert client.get("/readyz").status_code == 503
        answer = b""
        while b"done" not in answer and (chunk := connection.recv(65536)):
            answer += chunk
        assert b"done" in answer


def test_an_event_of_several_lines_stays_one_event():
    assert encoded_event({"data": "a\nb\r\nc"}) == b"data: a\ndata: b\ndata: c\n\n"
    assert encoded_event({}) == b"data: \n\n"
    assert json.loads(encoded_event({"data": "{}"}).decode().removeprefix("data: ")) == {}


def test_a_problem_knows_codes_nobody_named():
    assert Problem(499).document()["title"] == "Status 499"


def wait_until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for what happens in another thread; a test that waits in vain fails."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)
