"""Event streams on both event loops, without a server in between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response

from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, SIGNED_IN, EventStream, HttpSettings, Route

pytestmark = pytest.mark.anyio


class Clockwork(Plugin):
    name = "clockwork"

    def __init__(self) -> None:
        self.closed = 0
        self.patience = 30.0

    async def source(self) -> AsyncIterator[dict[str, str]]:
        try:
            number = 0
            while True:
                number += 1
                yield {"data": str(number)}
                await anyio.lowlevel.checkpoint()
        finally:
            self.closed += 1

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def ticks(request: Request) -> Response:
            return EventStream(self.source(), patience=self.patience)

        return [Route("/ticks", ticks, guard=PUBLIC), Route("/mine", ticks, guard=SIGNED_IN)]


class Reader:
    """One client, as the application sees it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = anyio.Event()
        self.enough = anyio.Event()
        self.stuck = False
        self.where: dict[str, Any] = {"path": "/ticks", "headers": [(b"host", b"h")], "client": None}

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        if len(self.sent) > 5:
            self.enough.set()
            if self.stuck:
                await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()

    @property
    def scope(self) -> dict[str, Any]:
        return {
            "type": "http", "method": "GET", "query_string": b"", "scheme": "http", "root_path": "",
            "http_version": "1.1", "server": ("h", 80), **self.where,
        }  # fmt: skip


async def read(served: Any, reader: Reader, until: Any) -> None:
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(served.app, reader.scope, reader.receive, reader.send)
            await reader.enough.wait()
            until()


async def test_a_stream_ends_when_its_reader_goes_and_closes_its_source(serve):
    plugin = Clockwork()
    async with serve(plugin) as served:
        reader = Reader()
        await read(served, reader, reader.gone.set)
        assert plugin.closed == 1
        assert served.app.runtime.open_streams == 0


async def test_a_stream_ends_when_the_server_is_about_to_stop(serve):
    plugin = Clockwork()
    async with serve(plugin) as served:
        reader = Reader()
        await read(served, reader, served.app.drain)
        assert reader.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        assert plugin.closed == 1


async def test_a_reader_who_takes_nothing_is_given_up(serve):
    plugin = Clockwork()
    plugin.patience = 0.1
    async with serve(plugin) as served:
        reader = Reader()
        reader.stuck = True
        await read(served, reader, lambda: None)
        assert plugin.closed == 1
        assert served.app.runtime.open_streams == 0


async def test_one_client_cannot_hold_all_streams_there_are(serve):
    async with serve(Clockwork(), settings=HttpSettings(max_streams=100, max_streams_each=2)) as served:
        token = served.token("*")

        def reader(address: str, token: str = "") -> Reader:
            reader = Reader()
            reader.where["client"] = (address, 1)
            reader.where["headers"] += [(b"authorization", b"Bearer " + token.encode())] * bool(token)
            return reader

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for address, how in [("192.0.2.1", token), ("192.0.2.2", token), ("192.0.2.3", "")]:
                    opened = reader(address, how)
                    opened.where["path"] = "/mine" if how else "/ticks"
                    tasks.start_soon(served.app, opened.scope, opened.receive, opened.send)
                    await opened.enough.wait()
                third, other = reader("192.0.2.9", token), reader("192.0.2.3")
                third.where["path"] = "/mine"
                await served.app(third.scope, third.receive, third.send)
                assert third.sent[0]["status"] == 429
                tasks.start_soon(served.app, other.scope, other.receive, other.send)
                await other.enough.wait()
                tasks.cancel_scope.cancel()
        assert served.app.runtime.streams_of == {}
