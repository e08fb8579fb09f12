"""Addresses of a plugin that cannot be made twice, while it is stopped and started again."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, PluginContext, hookimpl
from plughost.exceptions import PluginError
from plughost.http import PUBLIC, Route, scope

pytestmark = pytest.mark.anyio

PATHS = ["/shelf", "/shelf/books/{key:int}"]


class Shelf(Plugin):
    """Handed over as an instance, so a reload stops it first."""

    name = "shelf"

    def __init__(self) -> None:
        self.lives = 0
        self.fails = False
        self.entered, self.on = anyio.Event(), anyio.Event()
        self.on.set()

    async def start(self, context: PluginContext) -> None:
        self.lives += 1
        self.entered.set()
        await self.on.wait()
        if self.fails:
            raise RuntimeError("no more")

    def hold(self) -> None:
        self.entered, self.on = anyio.Event(), anyio.Event()

    @hookimpl
    def register_routes(self) -> list[Any]:
        async def number(request: Request) -> Response:
            return PlainTextResponse(str(self.lives))

        guarded = Route("/shelf/mine", number, guard=scope("shelf:read"))
        return [*(Route(path, number, guard=PUBLIC) for path in PATHS), guarded]


class Greedy(Plugin):
    """Takes every address that is left over."""

    name = "greedy"

    @hookimpl(trylast=True)
    def register_routes(self) -> list[Route]:
        async def rest(request: Request) -> Response:
            return PlainTextResponse("the rest")

        return [Route("/{rest:path}", rest, guard=PUBLIC)]


@pytest.mark.parametrize("path", ["/shelf", "/shelf/books/7"])
@pytest.mark.parametrize("others", [(), (Greedy,)], ids=["alone", "beside one that takes the rest"])
async def test_they_ask_for_a_moment_of_patience_and_then_answer_again(serve, path, others):
    shelf = Shelf()
    async with serve(shelf, *others) as served, served.client() as client, anyio.create_task_group() as tasks:
        assert (await client.get(path)).text == "1"
        shelf.hold()
        tasks.start_soon(served.host.reload_plugin, "shelf")
        await shelf.entered.wait()
        meanwhile = await client.get(path)
        assert (meanwhile.status_code, meanwhile.headers.get("retry-after")) == (503, "1")
        assert meanwhile.json()["code"] == "plugin_restarting"
        assert (await client.get("/shelf/mine")).status_code == 401  # its guard stands all the same
        elsewhere = await client.get("/elsewhere")
        assert (elsewhere.status_code, elsewhere.text == "the rest") == (
            (200, True) if others else (404, False)
        )
        shelf.on.set()
        with anyio.fail_after(30):
            while (answer := await client.get(path)).status_code == 503:
                await anyio.lowlevel.checkpoint()
        assert answer.text == "2"


async def test_they_are_gone_when_the_new_start_fails(serve):
    shelf = Shelf()
    async with serve(shelf) as served, served.client() as client, anyio.create_task_group() as tasks:
        assert (await client.get("/shelf")).status_code == 200
        shelf.hold()
        shelf.fails = True

        async def reload() -> None:
            with pytest.raises(PluginError):
                await served.host.reload_plugin("shelf")

        tasks.start_soon(reload)
        await shelf.entered.wait()
        assert (await client.get("/shelf")).status_code == 503
        shelf.on.set()
        with anyio.fail_after(30):
            while (await client.get("/shelf")).status_code == 503:
                await anyio.lowlevel.checkpoint()
        assert (await client.get("/shelf")).status_code == 404


async def test_they_are_gone_when_it_is_unloaded_in_the_midst_of_it(serve):
    shelf = Shelf()
    async with serve(shelf) as served, served.client() as client, anyio.create_task_group() as tasks:
        assert (await client.get("/shelf")).status_code == 200
        shelf.hold()

        async def reload() -> None:
            with pytest.raises(PluginError):
                await served.host.reload_plugin("shelf")

        tasks.start_soon(reload)
        await shelf.entered.wait()
        assert (await client.get("/shelf")).status_code == 503
        await served.host.unload_plugin("shelf")
        assert (await client.get("/shelf")).status_code == 404


async def test_no_request_under_load_is_told_that_there_is_nothing(serve):
    shelf = Shelf()
    async with serve(shelf) as served, served.client() as client:
        seen: list[int] = []
        over = anyio.Event()

        async def ask() -> None:
            while not over.is_set():
                seen.append((await client.get("/shelf")).status_code)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            for _ in range(5):
                await served.host.reload_plugin("shelf")
                await client.get("/shelf")
            over.set()
        assert set(seen) <= {200, 503}
        assert (await client.get("/shelf")).text == "6"
