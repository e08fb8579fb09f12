"""A host with an application around it, and clients that speak to it in the process or over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

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
                await host.load_plugin(plugin)
            app = create_app(host, settings=settings, **options)
            try:
                yield Served(host, app)
            finally:
                app.close()

    return serve_plugins
