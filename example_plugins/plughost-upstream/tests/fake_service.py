"""A service elsewhere, on this machine: answers what a test tells it to, and notes what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import h11
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSListener


@dataclass
class Answer:
    """What is answered.

    Attributes:
        status: The status; 0 hangs up without a word.
        body: The body.
        headers: Further headers.
        delay: Seconds before it.
        raw: Sent as it is, instead of all that.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    raw: bytes | None = None


@dataclass
class Asked:
    """What was asked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class FakeService:
    """The service; change ``answer`` at any time."""

    answer: Answer | Callable[[Asked], Answer] = field(default_factory=Answer)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


async def until(condition: Callable[[], object]) -> None:
    """Return when it is so; it is not to take long."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 # nothing tells when it becomes so
            await anyio.sleep(0.01)


@asynccontextmanager
async def fake_service(tls: Any = None) -> AsyncIterator[FakeService]:
    """Run a service for the time of the block."""
    service = FakeService()

    async def serve(stream: Any) -> None:
        service.connections += 1
        try:
            async with stream:
                await _talk(service, stream)
        except (anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError, h11.ProtocolError):
            pass

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        service.port = listener.extra(SocketAttribute.local_port)  # noqa: S610 # no Django
        wrapped = listener if tls is None else TLSListener(listener, tls, standard_compatible=False)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wrapped.serve, serve)
            yield service
            tasks.cancel_scope.cancel()


async def _talk(service: FakeService, stream: SocketStream) -> None:
    connection = h11.Connection(h11.SERVER)
    while (asked := await _request(connection, stream)) is not None:
        service.asked.append(asked)
        answer = service.answer if isinstance(service.answer, Answer) else service.answer(asked)
        await anyio.sleep(answer.delay)
        if answer.raw is not None:
            await stream.send(answer.raw)
        if answer.raw is not None or not answer.status:
            return
        given = {
            "content-length": str(len(answer.body)),
            "content-type": "application/json",
            **answer.headers,
        }
        head = h11.Response(status_code=answer.status, headers=list(given.items()))
        for event in (head, h11.Data(data=answer.body), h11.EndOfMessage()):
            await stream.send(connection.send(event) or b"")
        if connection.our_state is h11.MUST_CLOSE:
            return
        connection.start_next_cycle()


async def _request(connection: h11.Connection, stream: SocketStream) -> Asked | None:
    request, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await stream.receive())
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            headers = {name.decode(): value.decode() for name, value in request.headers}
            return Asked(request.method.decode(), request.target.decode(), headers, body)
        else:
            return None
