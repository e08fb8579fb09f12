"""Plain functions behind a real uvicorn call hooks: nothing can be awaited in a plain route, which runs in a thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import anyio.lowlevel
from fastapi import FastAPI

from plughost import Plugin, PluginContext, hookimpl, hookspec
from serving import live_server

__all__ = ["live_server"]  # a fixture of this module


class Covers:
    @hookspec(mode="collect")
    async def covers(self, book: str): ...


class Paper(Plugin):
    name = "paper"

    async def start(self, context: PluginContext) -> None:
        context.register_hookspecs(Covers)

    @hookimpl
    async def covers(self, book):
        await anyio.lowlevel.checkpoint()
        return f"{book} in paper"


def test_plain_routes_of_fastapi_and_threads_of_their_own_call_hooks_on_a_real_server(live_server):
    def around(app):
        host, web = app.runtime.host, FastAPI()

        @web.get("/covers/{book}")
        def covers(book: str) -> list[str]:
            return list(host.sync_hooks.covers(book=book))

        @web.get("/threads/{book}")
        def in_a_thread_of_its_own(book: str) -> list[str]:
            with ThreadPoolExecutor(1) as threads:
                return list(threads.submit(host.sync_hooks.covers, book=book).result())

        web.mount("/", app)
        return web

    server = live_server(Paper, wrap=around)
    with server.client() as client, ThreadPoolExecutor(8) as visitors:
        for path in ("covers", "threads"):
            told = visitors.map(lambda number, path=path: client.get(f"/{path}/{number}").json(), range(24))
            assert list(told) == [[f"{number} in paper"] for number in range(24)]
        assert client.get("/livez").status_code == 200
