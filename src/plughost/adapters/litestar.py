"""Litestar: ``Litestar(plugins=[PlughostPlugin(app, path="/ops")])``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import asgi
from litestar.config.app import AppConfig
from litestar.plugins import InitPlugin

from plughost.adapters.asgi import STATE, host_running, repaired
from plughost.http import HostApplication


class PlughostPlugin(InitPlugin):
    """Runs the host as long as the application runs, and serves it below ``path``.

    The host is ``app.state.plughost``.

    Args:
        application: What ``create_app(host)`` returned.
        path: Where to serve it; None serves nothing.
    """

    def __init__(self, application: HostApplication, path: str | None = "/ops") -> None:
        self._application = application
        self._path = path

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add the lifespan and the mount."""
        app_config.lifespan = [*app_config.lifespan, self._lifespan]
        if self._path is not None:
            served: Any = repaired(self._application, self._path)

            @asgi(self._path, is_mount=True, copy_scope=True)
            async def plughost(scope: Any, receive: Any, send: Any) -> None:
                await served(scope, receive, send)

            app_config.route_handlers = [*app_config.route_handlers, plughost]
        return app_config

    @asynccontextmanager
    async def _lifespan(self, app: Any) -> AsyncIterator[None]:
        async with host_running(self._application) as host:
            app.state[STATE] = host
            yield
