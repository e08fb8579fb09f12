"""Connections that cost little: limits for the head of a request, in seconds and bytes, and for how many are open.

uvicorn waits for a request for ever, and takes connections until the process has no descriptor left; then the
event loop can accept nothing more, and says so thousands of times a second. Here a silent connection ends, and
the bound keeps some descriptors back for files and databases. Its faster parser also keeps the head of a request in
memory however long it gets.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from contextlib import suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from plughost.cli.serving.writes import JoinedWrites, WritesOfTurn
from plughost.http.shapes import MOST_HEADER_BYTES

_Protocol: Any = AutoHTTPProtocol
with suppress(ImportError):  # without httptools; uvicorn's other parser has other steps
    from plughost.cli.serving.idling import IdleProtocol

    _Protocol = IdleProtocol

_log = logging.getLogger("plughost.http")
_RESERVED = 64
"""Descriptors kept back for files, databases and plugins."""

_AT_LEAST = 16
_QUIET = 10.0
"""Seconds between two log lines about connections that were turned away."""

_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


def default_bound() -> int:
    """Return how many connections this process can have open and still open files."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65_536 if soft == resource.RLIM_INFINITY else max(soft - _RESERVED, _AT_LEAST)


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings, and the two that ``BoundedProtocol`` goes by.

    Args:
        app: The application.
        max_connections: How many connections may be open; None takes what the process has descriptors for.
        header_timeout: Seconds in which a connection must have sent the head of a request.
        options: Those of uvicorn.
    """

    def __init__(
        self, app: Any, *, max_connections: int | None, header_timeout: float, **options: Any
    ) -> None:
        super().__init__(app, http=BoundedProtocol, **options)
        self.header_timeout = header_timeout
        self.turn = WritesOfTurn()
        self.turned_away = TurnedAway(max_connections or default_bound())


class BoundedProtocol(_Protocol):  # type: ignore[misc]
    """uvicorn's HTTP protocol, with the bound and the time limit of its ``BoundedConfig``.

    What every request comes through names its base: to ask ``super()`` took as long as all that is done here.
    """

    _deadline: asyncio.TimerHandle | None = None
    _in_head = False
    _head = 0  # bytes that came while a head was not complete

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take a connection, or turn it away."""
        self.writes = JoinedWrites(transport, self.config.turn)
        super().connection_made(self.writes)
        if self.config.turned_away.is_one_of(len(self.connections), self.loop.time()):
            self.transport.write(_TOO_MANY)
            self.transport.close()
            return
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        """Read what came, and see whether the head of a request is complete."""
        if self.transport.is_closing():
            return
        before = self.cycle
        for at in range(0, len(data), MOST_HEADER_BYTES):  # one read may bring a quarter of a megabyte
            _Protocol.data_received(self, data[at : at + MOST_HEADER_BYTES])
            if self.transport.is_closing():
                return
            if self._in_head:
                self._head += min(len(data) - at, MOST_HEADER_BYTES)  # the end of a body before it included
                if self._head > 2 * MOST_HEADER_BYTES:
                    self.transport.write(_TOO_LONG)
                    self.transport.close()
                    return
        if self.cycle is not before:
            if self._deadline is not None:
                self._stop_deadline()
        elif before is None or before.response_complete:
            self._start_deadline()  # the beginning of the next one

    def on_message_begin(self) -> None:
        """Called by the parser at the first byte of a head."""
        self._in_head, self._head = True, 0
        _Protocol.on_message_begin(self)

    def on_headers_complete(self) -> None:
        """Called by the parser at its end; the application refuses what is just above the limit, and says so."""
        self._in_head = False
        _Protocol.on_headers_complete(self)

    def handle_websocket_upgrade(self, *event: Any) -> None:
        """Hand the connection on to the protocol of WebSockets."""
        self._stop_deadline()
        self.writes.flush()
        self.transport = self.writes.transport  # the other protocol joins what it writes itself
        super().handle_websocket_upgrade(*event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the connection."""
        self._stop_deadline()
        super().connection_lost(exc)

    def _start_deadline(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.config.header_timeout, self._pass_deadline)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _pass_deadline(self) -> None:
        self._deadline = None
        self.transport.write(_TOO_LATE)
        self.transport.close()


class TurnedAway:
    """Counts connections that were turned away, and logs that at most every few seconds.

    Args:
        bound: How many may be open.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._count = 0
        self._next = 0.0

    def is_one_of(self, connections: int, now: float) -> bool:
        """Whether a connection with which there are so many is one too many; it is counted then."""
        if connections <= self._bound:
            return False
        self._count += 1
        if now < self._next:
            return True
        _log.warning(
            "connections turned away: %d; %d are open, which is the limit. Raise --limit-connections, or the"
            " number of descriptors the process may have (ulimit -n)",
            self._count,
            self._bound,
        )
        self._count, self._next = 0, now + _QUIET
        return True
