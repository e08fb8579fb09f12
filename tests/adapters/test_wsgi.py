"""Bodies through the WSGI adapter, both ways: in pieces, every byte of them, or an error."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from werkzeug.serving import make_server

from plughost.adapters.threads import HostOfProcess
from plughost.adapters.wsgi import HostWSGI, WSGIApp

SIZE = 3_000_000

PLUGIN = """
import anyio
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route, scope

PIECE, PIECES = bytes(range(250)) * 40, 300
told = []

class Streams(Plugin):
    @hookimpl
    def register_routes(self):
        async def file(request):
            return FileResponse({file!r})

        async def from_async(request):
            async def pieces():
                for _ in range(PIECES):
                    await anyio.lowlevel.checkpoint()
                    yield PIECE
            return StreamingResponse(pieces())

        async def from_sync(request):
            return StreamingResponse(PIECE for _ in range(PIECES))

        async def breaks(request):
            def pieces():
                yield b"first"
                raise ValueError("in the middle")
            return StreamingResponse(pieces())

        async def endless(request):
            async def pieces():
                try:
                    while True:
                        yield b"again"
                finally:
                    told.append("the client left")
            return StreamingResponse(pieces())

        async def sums(request):
            total = 0
            async for piece in request.stream():
                total += len(piece)
            return PlainTextResponse(str(total))

        async def echoes(request):
            return StreamingResponse(request.stream())

        async def later(request):
            return PlainTextResponse("now", background=BackgroundTask(told.append, "later"))

        return [
            Route("/file", file, guard=PUBLIC),
            Route("/from-async", from_async, guard=PUBLIC),
            Route("/from-sync", from_sync, guard=PUBLIC),
            Route("/breaks", breaks, guard=PUBLIC),
            Route("/endless", endless, guard=PUBLIC),
            Route("/sums", sums, methods=["POST"], guard=PUBLIC),
            Route("/echoes", echoes, methods=["POST"], guard=PUBLIC),
            Route("/later", later, guard=PUBLIC),
            Route("/guarded", sums, methods=["POST"], guard=scope("stock:write")),
        ]
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WSGIApp]:
    file = tmp_path / "large"
    file.write_bytes(bytes(range(250)) * (SIZE // 250))
    (tmp_path / "adapter_streams.py").write_text(PLUGIN.format(file=str(file)))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "adapter_streams", raising=False)
    hosts = HostOfProcess(
        "wsgi",
        {
            "host": {"data_dir": str(tmp_path / "data"), "allow": ["streams"]},
            "plugins": {"streams": {"module": "adapter_streams:Streams"}},
        },
    )
    yield HostWSGI(hosts, "/ops").beside(lambda environ, start_response: [b"outer"])
    hosts.stop()


@pytest.fixture
def address(app: WSGIApp) -> Iterator[tuple[str, int]]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


class Body:
    """What a server gives as ``wsgi.input``; counts what was taken of it."""

    def __init__(self, data: bytes = b"") -> None:
        self.taken, self._data = 0, io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        piece = self._data.read(size)
        self.taken += len(piece)
        return piece


class Answer:
    def __init__(self) -> None:
        self.status, self.headers = 0, dict[str, str]()

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        self.status, self.headers = int(status[:3]), dict(headers)


def ask(app: WSGIApp, path: str, body: Body, method: str = "GET", **more: str) -> tuple[Answer, Any]:
    answer = Answer()
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "shop",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        **more,
    }
    return answer, app(environ, answer.start)


@pytest.mark.parametrize("path", ["file", "from-async", "from-sync"])
def test_every_byte_of_an_answer_arrives(address: tuple[str, int], path: str) -> None:
    answer = httpx2.get(f"http://{address[0]}:{address[1]}/ops/{path}", timeout=60)
    assert answer.status_code == 200
    assert answer.content == bytes(range(250)) * (SIZE // 250)


def test_a_stream_that_fails_in_the_middle_is_an_error_for_the_server(app: WSGIApp) -> None:
    answer, body = ask(app, "/ops/breaks", Body())
    assert answer.status == 200
    assert next(body) == b"first"
    with pytest.raises(Exception, match="in the middle"):
        next(body)
    body.close()


def test_a_stream_ends_when_the_client_leaves(app: WSGIApp) -> None:
    import adapter_streams

    _, body = ask(app, "/ops/endless", Body())
    assert [next(body), next(body)] == [b"again", b"again"]
    body.close()
    waited = threading.Event()
    for _ in range(1000):
        if adapter_streams.told:
            break
        waited.wait(0.02)
    assert adapter_streams.told == ["the client left"]


def test_what_follows_an_answer_is_done_and_its_body_is_whole(app: WSGIApp) -> None:
    import adapter_streams

    _, body = ask(app, "/ops/later", Body())
    assert b"".join(body) == b"now"
    body.close()
    for _ in range(1000):
        if adapter_streams.told:
            break
        threading.Event().wait(0.02)
    assert adapter_streams.told == ["later"]


def test_a_chunked_body_arrives_whole(address: tuple[str, int]) -> None:
    pieces = [b"x" * 1000, b"y" * 70_000, b"z"]
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(
            b"POST /ops/sums HTTP/1.1\r\nHost: shop\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        for piece in [*pieces, b""]:
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        told = b"".join(iter(lambda: connection.recv(65536), b""))
    assert told.endswith(str(sum(map(len, pieces))).encode()), told


def test_a_body_can_be_read_while_the_answer_is_written(app: WSGIApp) -> None:
    data = bytes(range(256)) * 2000
    answer, body = ask(app, "/ops/echoes", Body(data), "POST", CONTENT_LENGTH=str(len(data)))
    assert (answer.status, b"".join(body)) == (200, data)
    body.close()


def test_a_server_that_cannot_tell_where_a_body_ends_gets_411(app: WSGIApp) -> None:
    answer, body = ask(app, "/ops/sums", Body(b"lost"), "POST", HTTP_TRANSFER_ENCODING="chunked")
    assert (answer.status, b'"length_required"' in b"".join(body)) == (411, True)
    body.close()


@pytest.mark.parametrize(
    ("path", "status", "most"), [("guarded", 401, 0), ("sums", 413, (1 << 20) + (64 << 10))]
)
def test_a_large_body_is_not_read_before_it_is_wanted(
    app: WSGIApp, path: str, status: int, most: int
) -> None:
    large = Body(bytes(20 << 20))
    answer, body = ask(app, f"/ops/{path}", large, "POST", CONTENT_LENGTH=str(20 << 20))
    assert answer.status == status
    assert b"".join(body)
    body.close()
    assert large.taken <= most


def test_a_body_that_ends_too_early_is_no_body(app: WSGIApp) -> None:
    with pytest.raises(RuntimeError, match="before its answer was complete"):
        ask(app, "/ops/sums", Body(b"short"), "POST", CONTENT_LENGTH="100")


@pytest.mark.parametrize("path", ["file", "from-sync"])
def test_the_answer_to_head_has_no_body(app: WSGIApp, path: str) -> None:
    answer, body = ask(app, f"/ops/{path}", Body(), "HEAD")
    assert (answer.status, b"".join(body)) == (200, b"")
    body.close()
    if path == "file":
        assert answer.headers["content-length"] == str(SIZE)


@pytest.mark.parametrize("length", ["abc", "-5", "1e3", "²", "5 5"])
def test_a_length_that_is_no_number_is_a_400(app: WSGIApp, length: str) -> None:
    answer, body = ask(app, "/ops/sums", Body(b"hello"), "POST", CONTENT_LENGTH=length)
    assert (answer.status, b'"malformed_request"' in b"".join(body)) == (400, True)
    body.close()
