"""A connection is closed when it was idle for the time it may be, at one timer for all of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from uvicorn.server import ServerState

from plughost.cli.serving.connections import BoundedConfig

pytest.importorskip("httptools")

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
IDLE = 5


async def application(scope: Any, receive: Any, send: Any) -> None:
    headers = [(b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})


class Timer:
    def __init__(self, at: float, ring: Callable[[], object]) -> None:
        self.at, self.ring = at, ring
        self.is_over = False

    def cancel(self) -> None:
        self.is_over = True


class Loop:
    """The running one, with a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio.get_running_loop(), name)

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, ring: Callable[[], object]) -> Timer:
        self.timers.append(Timer(self.now + seconds, ring))
        return self.timers[-1]

    def go_on(self, seconds: float) -> None:
        self.now += seconds
        for timer in self.timers:
            if not timer.is_over and timer.at <= self.now:
                timer.is_over = True
                timer.ring()


class Wire(asyncio.Transport):
    def __init__(self) -> None:
        self.written, self.closed = b"", False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


def connected(app: Any = application) -> tuple[Any, Wire, Loop]:
    config = BoundedConfig(
        app, max_connections=None, header_timeout=10, lifespan="off", log_config=None, timeout_keep_alive=IDLE
    )
    config.load()
    loop, wire = Loop(), Wire()
    protocol: Any = config.http_protocol_class
    protocol = protocol(config=config, server_state=ServerState(), app_state={}, _loop=loop)
    protocol.connection_made(wire)
    return protocol, wire, loop


async def ask(protocol: Any) -> None:
    protocol.data_received(REQUEST)
    await asyncio.gather(*protocol.tasks)


def test_many_answers_begin_one_timer_and_none_of_them_closes_too_early() -> None:
    async def main() -> None:
        protocol, wire, loop = connected()
        await ask(protocol)
        begun = len(loop.timers)
        for _ in range(20):
            loop.go_on(0.1)
            await ask(protocol)
        assert len(loop.timers) == begun
        loop.go_on(IDLE - 0.5)
        was_closed = wire.closed
        loop.go_on(0.5)
        assert (was_closed, wire.closed) == (False, True)
        await asyncio.sleep(0)
        assert wire.written.count(b"hello") == 21

    asyncio.run(main())


def test_a_connection_that_is_being_answered_is_not_idle() -> None:
    async def main() -> None:
        go_on = asyncio.Event()

        async def slow(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"] == "/":
                await go_on.wait()
            await application(scope, receive, send)

        protocol, wire, loop = connected(slow)
        go_on.set()
        await ask(protocol)
        go_on.clear()
        protocol.data_received(REQUEST)
        await asyncio.sleep(0)
        loop.go_on(IDLE * 3)
        assert not wire.closed
        go_on.set()
        await asyncio.gather(*protocol.tasks)
        loop.go_on(IDLE - 1)
        assert not wire.closed
        loop.go_on(1)
        assert wire.closed

    asyncio.run(main())


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_a_connection_that_ended_leaves_no_timer(error: Exception | None) -> None:
    async def main() -> None:
        protocol, _, loop = connected()
        await ask(protocol)
        assert not all(timer.is_over for timer in loop.timers)
        protocol.connection_lost(error)
        assert all(timer.is_over for timer in loop.timers)

    asyncio.run(main())
