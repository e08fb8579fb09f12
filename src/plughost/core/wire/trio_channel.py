"""The same channel where trio runs the show: one task waits for what comes, another for room to send."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from plughost.core.wire.frames import AT_ONCE, CLOSED, FrameBuffer, FrameError, FrameReader, OnFrame, Put


class TrioChannel:
    """A channel on trio; see ``plughost.core.wire.channel``."""

    def __init__(
        self, sock: socket.socket, tasks: TaskGroup, on_frame: OnFrame, on_lost: Callable[[str], None]
    ) -> None:
        self.sent = self.received = 0
        self._sock = sock
        self._reader = FrameReader(on_frame, at_once=AT_ONCE)
        self._on_lost = on_lost
        self._out = FrameBuffer()
        self._left = memoryview(b"")
        self._wanted = anyio.Event()
        self._scope = anyio.CancelScope()
        tasks.start_soon(self._run, name="channel of a plugin's process")

    @property
    def waiting(self) -> int:
        """Bytes that are to be sent as soon as the other end reads on."""
        return len(self._out) + len(self._left)

    def send(self, kind: int, call: int, member: int, value: Any = None, put: Put | None = None) -> None:
        """Send one frame; see ``Channel``."""
        self._out.add(kind, call, member, value, put)
        self._wanted.set()

    def close(self) -> None:
        """Close it; nobody is told."""
        self._scope.cancel()
        if self._sock.fileno() >= 0:
            try:
                anyio.notify_closing(self._sock)
            finally:
                self._sock.close()

    async def _run(self) -> None:
        with self._scope:
            try:
                async with anyio.create_task_group() as both:
                    both.start_soon(self._write)
                    why = await self._read()
                    both.cancel_scope.cancel()
            except Exception:
                # In a process whose plugin broke trio nothing can wait any more: the other end is to know.
                self._sock.close()
                raise
        if not self._scope.cancel_called:
            self.close()
            self._on_lost(why)

    async def _read(self) -> str:
        while True:
            try:
                await anyio.wait_readable(self._sock)
                count = self._sock.recv_into(self._reader.room())
                self.received += count
                has_more = self._reader.received(count)
                while has_more:
                    await checkpoint()
                    has_more = self._reader.received(0)
            except BlockingIOError:
                continue
            except FrameError as error:
                return str(error)
            except (OSError, anyio.ClosedResourceError):  # it ended before it had read all, as others end
                return CLOSED
            if not count:
                return CLOSED

    async def _write(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted = anyio.Event()
            self._left = self._out.take()
            while self._left:
                try:
                    count = self._sock.send(self._left)
                except BlockingIOError:
                    await anyio.wait_writable(self._sock)
                    continue
                except OSError:
                    return  # the other end is gone, which the reader tells
                self.sent += count
                self._left = self._left[count:]
