"""A socket becomes a channel of frames, on asyncio straight on the socket.

Not on a transport: that of Python 3.11 copies what is left after each partial write, which makes a megabyte cost
five times as much. What is sent in one turn of the loop leaves in one write.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol

from anyio.abc import TaskGroup

from plughost.core.stepping import event_library
from plughost.core.wire.frames import AT_ONCE, CLOSED, FrameBuffer, FrameError, FrameReader, OnFrame, Put
from plughost.core.wire.trio_channel import TrioChannel

OnLost = Callable[[str], None]
"""Is told once that the other end is gone, and why."""


class Channel(Protocol):
    """One end of a connection between two processes.

    Attributes:
        sent: Bytes sent so far.
        received: Bytes received so far.
    """

    sent: int
    received: int

    @property
    def waiting(self) -> int:
        """Bytes that are to be sent as soon as the other end reads on."""

    def send(self, kind: int, call: int, member: int, value: Any = None, put: Put | None = None) -> None:
        """Send one frame, with ``value`` written by ``put`` as its body; what fails to be written sends nothing.

        Raises:
            Exception: What ``put`` raised, or ``TooBigError``.
        """

    def close(self) -> None:
        """Close it; nobody is told."""


def open_channel(sock: socket.socket, tasks: TaskGroup, on_frame: OnFrame, on_lost: OnLost) -> Channel:
    """Return a channel over one end of a socket pair, on the event loop that runs here.

    Args:
        sock: The end; the channel closes it.
        tasks: Where a task that waits for it may run.
        on_frame: Called with each frame that comes.
        on_lost: Called when the other end is gone.
    """
    sock.setblocking(False)
    if event_library.name == "trio":
        return TrioChannel(sock, tasks, on_frame, on_lost)
    return AsyncioChannel(sock, on_frame, on_lost)


class AsyncioChannel:
    """A channel on an asyncio loop."""

    def __init__(self, sock: socket.socket, on_frame: OnFrame, on_lost: OnLost) -> None:
        self.sent = self.received = 0
        self._sock = sock
        self._reader = FrameReader(on_frame, at_once=AT_ONCE)
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._out = FrameBuffer()
        self._left: memoryview | None = None
        self._flushing = False
        self._loop.add_reader(sock, self._read)

    @property
    def waiting(self) -> int:
        """Bytes that are to be sent as soon as the other end reads on."""
        return len(self._out) + (0 if self._left is None else len(self._left))

    def send(self, kind: int, call: int, member: int, value: Any = None, put: Put | None = None) -> None:
        """Send one frame; see ``Channel``."""
        self._out.add(kind, call, member, value, put)
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Close it; nobody is told."""
        if self._sock.fileno() >= 0:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._sock)
                self._loop.remove_writer(self._sock)
            self._sock.close()

    def _read(self) -> None:
        try:
            count = self._sock.recv_into(self._reader.room())
        except BlockingIOError:
            return
        except OSError:  # it ended before it had read all: that is an end like any other
            count = 0
        if not count:
            self._lose(CLOSED)
            return
        self.received += count
        if self._take(count):
            self._loop.remove_reader(self._sock)
            self._loop.call_soon(self._take_on)

    def _take(self, count: int) -> bool:
        try:
            return self._reader.received(count)
        except FrameError as error:
            self._lose(str(error))
            return False

    def _take_on(self) -> None:
        if self._sock.fileno() < 0:
            return
        if self._take(0):
            self._loop.call_soon(self._take_on)
        elif self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock, self._read)

    def _flush(self) -> None:
        self._flushing = False
        if self._left is None and (view := self._out.take()):
            self._push(view)

    def _push(self, view: memoryview) -> None:
        try:
            count = self._sock.send(view)
        except BlockingIOError:
            count = 0
        except OSError:
            return  # the other end is gone, which the reader tells; or this one was closed
        self.sent += count
        if count < len(view):
            if self._left is None:
                self._loop.add_writer(self._sock, self._push_on)
            self._left = view[count:]
            return
        if self._left is not None:
            self._left = None
            self._loop.remove_writer(self._sock)
        self._flush()

    def _push_on(self) -> None:
        if self._left is not None:
            self._push(self._left)

    def _lose(self, why: str) -> None:
        self.close()
        self._on_lost(why)
