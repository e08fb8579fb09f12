"""A host with an application around it, and clients that speak to it in the process or over a socket."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from anyio.from_thread import start_blocking_portal

from plughost import Host
from plughost.http import HostApplication, HttpSettings, create_app


class Served:
    """A running host, its application, and clients for it."""

    def __init__(self, host: Host, app: HostApplication) -> None:
        self.host = host
        self.app = app

    def client(
        self, *, token: str = "", base: str = "http://testserver", **options: Any
    ) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx2.ASGITransport(
            app=options.pop("app", self.app), client=options.pop("address", ("203.0.113.7", 1234)),
            raise_app_exceptions=False,
        )  # fmt: skip
        return httpx2.AsyncClient(transport=transport, base_url=base, headers=headers, **options)

    def token(self, *scopes: str, lifetime: float = 3600.0) -> str:
        return self.app.runtime.tokens.create("test", scopes, lifetime)[0]


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    """``async with serve(PluginA, PluginB(), settings=...) as served``: a host with these plugins only."""

    @asynccontextmanager
    async def serve_plugins(
        *plugins: object,
        settings: HttpSettings | None = None,
        config: dict[str, Any] | None = None,
        allow: tuple[str, ...] = (),
        **options: Any,
    ) -> AsyncIterator[Served]:
        section = {"data_dir": str(tmp_path / "data"), "allow": list(allow)}
        host = Host("test", config={"host": section, **(config or {})}, environ={})
        async with host:
            for plugin in plugins:
                await host.load_plugin(*(plugin if isinstance(plugin, tuple) else (plugin,)))
            app = create_app(host, settings=settings, **options)
            try:
                yield Served(host, app)
            finally:
                app.close()

    return serve_plugins


class LiveServer:
    """A real uvicorn in a thread of its own, with a running host behind it."""

    def __init__(self, host: Host, app: HostApplication, port: int, portal: Any) -> None:
        self.host = host
        self.app = app
        self.port = port
        self.portal = portal
        self.address = f"http://127.0.0.1:{port}"

    def token(self, *scopes: str) -> str:
        return self.app.runtime.tokens.create("test", scopes, 3600)[0]

    def client(self, token: str = "") -> httpx2.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.Client(base_url=self.address, headers=headers, timeout=30)

    def sign_in_link(self) -> str:
        return f"{self.address}/admin/sign-in?code={self.app.runtime.sign_ins.make_link_code()}"


StartServer = Callable[..., LiveServer]


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[StartServer]:
    """``server = live_server(PluginA, ...)``: a host behind uvicorn on a free port, stopped after the test."""
    with ExitStack() as stack:

        def start(
            *plugins: object,
            settings: HttpSettings | None = None,
            config: dict[str, Any] | None = None,
            wrap: Callable[[HostApplication], Any] = lambda app: app,
        ) -> LiveServer:
            return stack.enter_context(_serving(tmp_path, plugins, settings, config or {}, wrap))

        yield start


@contextmanager
def _serving(
    tmp_path: Path,
    plugins: Sequence[object],
    settings: HttpSettings | None,
    config: dict[str, Any],
    wrap: Any,
) -> Iterator[LiveServer]:
    listener = socket.create_server(("127.0.0.1", 0))
    section = {"data_dir": str(tmp_path / "data"), "allow": []}
    host = Host("test", config={"host": section, **config}, environ={})
    with listener, start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(host):
        for plugin in plugins:
            portal.call(host.load_plugin, *(plugin if isinstance(plugin, tuple) else (plugin,)))
        app = portal.call(partial(create_app, host, settings=settings))
        server = _Server(
            uvicorn.Config(
                wrap(app), lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=5
            )
        )
        served = portal.start_task_soon(server.serve, [listener])
        while not server.started and not served.done():
            time.sleep(0.01)
        try:
            yield LiveServer(host, app, listener.getsockname()[1], portal)
        finally:
            portal.call(app.drain)
            server.should_exit = True
            served.result(20)
            app.close()


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
