"""Fakes on ports of the loopback address, each in an event loop of one thread of their own."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from anyio.from_thread import start_blocking_portal
from uvicorn.protocols.http.h11_impl import H11Protocol

from plughost_media.fakes.upstream import FakeUpstream


@dataclass(frozen=True, slots=True)
class Served:
    """Where the fakes are: ``served[fake]`` is an address without a slash at its end."""

    addresses: dict[str, str]

    def __getitem__(self, fake: FakeUpstream) -> str:
        return self.addresses[fake.name]


def listening(port: int = 0) -> socket.socket:
    """Return a socket that listens on loopback; port 0 takes a free one.

    It knows that it is TCP. One of ``socket.create_server`` does not, so asyncio leaves Nagle's algorithm on for its
    connections: each body then waits up to 40 ms until the client says that it has the head.
    """
    return socket.socket(fileno=socket.create_server(("127.0.0.1", port)).detach())


@contextmanager
def serving(
    *fakes: FakeUpstream, ports: dict[str, int] | None = None, tls: ssl.SSLContext | None = None
) -> Iterator[Served]:
    """Serve the fakes until the block ends.

    Args:
        fakes: Which; their names must differ.
        ports: The port of a fake by its name; free ones for all others.
        tls: Its certificate, for https.
    """
    with ExitStack() as stack:
        portal = stack.enter_context(start_blocking_portal("asyncio"))
        addresses = {}
        for fake in fakes:
            listener = stack.enter_context(listening((ports or {}).get(fake.name, 0)))
            server = _Server(_settings(fake, tls))
            served = portal.start_task_soon(server.serve, [listener])
            stack.callback(_stop, server, served)
            while not server.started and not served.done():
                time.sleep(0.005)
            addresses[fake.name] = f"{'https' if tls else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        yield Served(addresses)


def _settings(fake: FakeUpstream, tls: ssl.SSLContext | None) -> uvicorn.Config:
    class Protocol(H11Protocol):
        """Hangs up on everybody while the fake is away."""

        def data_received(self, data: bytes) -> None:
            if fake.is_away:
                self.transport.abort()
            else:
                super().data_received(data)

    settings = uvicorn.Config(
        fake, http=Protocol, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1,
        server_header=False,
    )  # fmt: skip
    settings.load()
    settings.ssl = tls
    return settings


def _stop(server: uvicorn.Server, served: Any) -> None:
    server.should_exit = True
    served.result(10)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
