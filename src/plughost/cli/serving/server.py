"""uvicorn as a part of a program that stops in steps of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import anyio
import uvicorn

from plughost.cli.serving.connections import BoundedConfig
from plughost.cli.serving.options import Serving
from plughost.cli.serving.sharing import SharedListener, WorkerShare
from plughost.contracts.logs import get_logger
from plughost.http import HostApplication, WebSocketRoute

_log = get_logger("plughost.http")


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the host in the middle of its stop.

    Attributes:
        listening: Set once it takes connections.
    """

    def __init__(self, application: HostApplication, serving: Serving) -> None:
        app: Any = application
        super().__init__(
            BoundedConfig(
                app,
                max_connections=serving.max_connections,
                header_timeout=serving.header_timeout,
                lifespan="off",
                log_config=None,
                access_log=False,  # it would write the query, in which sign-in codes travel; ours does not
                server_header=False,
                root_path=serving.root_path,
                proxy_headers=bool(serving.proxies),
                forwarded_allow_ips=serving.proxies or None,
                timeout_graceful_shutdown=serving.drain,
                ssl_certfile=serving.certificate,
                ssl_keyfile=serving.key,
            )
        )
        self._application = application
        self._serving = serving
        self.listening = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        config: Any = self.config
        if self._serving.shares is None and config.ssl is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            share = WorkerShare(self._serving.shares, self._serving.worker or 0)
            state = self.server_state
            protocol = partial(
                config.http_protocol_class, config=config, server_state=state, app_state=self.lifespan.state
            )
            self.servers: list[Any] = [
                SharedListener(
                    each, protocol, config.ssl, share, state.connections, config.turned_away, config.header_timeout
                )
                for each in sockets or ()
            ]  # fmt: skip
        if config.ws_protocol_class is None and not self._serving.worker:
            for route in self._application.composition.routes:
                if isinstance(route, WebSocketRoute):
                    _log.warning(
                        "a WebSocket route cannot be opened, for no library for it is installed",
                        plugin=route.plugin,
                        path=route.path,
                        advice="pip install 'plughost[standard]'",
                    )
        self.listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams, which would never end by themselves, and wait for the other requests."""
        self._application.drain()
        await super().shutdown(sockets)
