"""Every adapter behind a proxy that serves the whole program below a path of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from litestar import Litestar
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount

from plughost import Host
from plughost.contracts.http import ASGIApp, Receive, Scope, Send
from plughost.http import HostApplication, create_app

pytestmark = pytest.mark.anyio

Maker = Callable[[HostApplication], ASGIApp]


def starlette(app: HostApplication) -> ASGIApp:
    return Starlette(routes=[Mount("/ops", app)])


def fastapi(app: HostApplication) -> ASGIApp:
    outer = FastAPI()
    outer.mount("/ops", app)
    return outer


def litestar(app: HostApplication) -> ASGIApp:
    from plughost.adapters.litestar import PlughostPlugin

    made: Any = Litestar([], plugins=[PlughostPlugin(app, path="/ops")], openapi_config=None)
    return made


def django(app: HostApplication) -> ASGIApp:
    from plughost.adapters.django import asgi

    return asgi(PlainTextResponse("outer", 404), app, "/ops")


class Server:
    """An application as a server calls it that was told the path before it.

    Args:
        app: The application.
        root: The path before it.
        tells: Whether the server's ``path`` begins with it, as uvicorn's does and hypercorn's does not.
    """

    def __init__(self, app: ASGIApp, root: str, *, tells: bool) -> None:
        self._app, self._root, self._tells = app, root, tells

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        before = self._root if self._tells else ""
        scope["root_path"] = self._root
        scope["path"] = before + scope["path"]
        scope["raw_path"] = before.encode() + scope["raw_path"]
        await self._app(scope, receive, send)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize(
    ("make", "tells", "root"),
    [
        (make, True, root)
        for make in (starlette, fastapi, litestar, django)
        for root in ("/shop", "/ops", "/a/b")
    ]
    # Where the path does not begin with the root, a root that is also the prefix would have two meanings.
    + [(make, False, root) for make in (litestar, django) for root in ("/shop", "/a/b")],
)
async def test_the_mount_is_found_below_the_root_path(
    config: Path, make: Maker, tells: bool, root: str
) -> None:
    app = create_app(Host(config=config))
    async with app.host:
        server: Any = Server(make(app), root, tells=tells)
        transport = httpx2.ASGITransport(server)
        async with httpx2.AsyncClient(transport=transport, base_url="http://shop") as client:
            assert (await client.get("/ops/livez")).json() == {"status": "pass"}
            assert (await client.get("/ops/hello/a%20b/")).text == f"hello from {root}/ops/hello/a b/"
            assert (await client.get("/opsy/livez")).status_code == 404
            answer = await client.get(f"/ops/admin/sign-in?code={app.runtime.sign_ins.make_link_code()}")
            assert answer.headers["location"] == "system"  # beside it, whatever stands before
            assert (await client.get("/ops/admin/system")).status_code == 200
    app.close()


@pytest.mark.parametrize("root", ["/shop", "/ops", "/a/b"])
def test_the_mount_is_found_below_the_script_name_of_a_wsgi_server(config: Path, root: str) -> None:
    from plughost.adapters.threads import HostOfProcess
    from plughost.adapters.wsgi import HostWSGI

    hosts = HostOfProcess("below", config)
    both: Any = HostWSGI(hosts, "/ops").beside(lambda environ, start: [start("404 None", [])] and [b"outer"])
    transport = httpx2.WSGITransport(app=both, script_name=root)
    try:
        with httpx2.Client(transport=transport, base_url="http://shop") as client:
            assert client.get("/ops/hello/a%20b/").text == f"hello from {root}/ops/hello/a b/"
            assert client.get("/opsy/livez").status_code == 404
    finally:
        hosts.stop()
