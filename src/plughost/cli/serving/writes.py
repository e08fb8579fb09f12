"""Writes of one turn of the event loop joined: the head of an answer and its body go out in one packet.

uvicorn writes the head when the application begins its answer, and each piece of the body as it comes. Both event
loops hand every write to the operating system at once, which costs as much as all else that a small answer needs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

_SHORT: Final = 16_384
"""Bytes: what is longer is not worth being copied behind what was held back."""


class WritesOfTurn:
    """The transports of one event loop that hold something back: one step of the loop ends the turn for all of them."""

    def __init__(self) -> None:
        self._due: deque[JoinedWrites] = deque()

    def end_with(self, writes: JoinedWrites) -> None:
        """Have ``writes`` flushed when the turn ends."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._end)
        self._due.append(writes)

    def _end(self) -> None:
        due, self._due = self._due, deque()
        try:
            while due:
                due.popleft().end_turn()
        finally:
            for each in due:  # one transport's failure holds up no other
                self.end_with(each)


class JoinedWrites:
    """A transport that holds a short write back for the one behind it, until the turn of the event loop ends.

    Never more than one: a second write takes the first along. So what is held is bounded, nothing overtakes anything,
    and a stream's first bytes leave as soon as the event loop goes on.

    Args:
        transport: What writes; all but writing and closing is its own.
        turn: What the event loop it belongs to is asked by.
    """

    __slots__ = ("_held", "_is_due", "_turn", "is_closing", "transport")

    def __init__(self, transport: asyncio.Transport, turn: WritesOfTurn) -> None:
        self.transport = transport
        self.is_closing = transport.is_closing  # asked several times a request
        self._turn = turn
        self._held = b""
        self._is_due = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write ``data``, together with what was held back; or hold it back itself."""
        held, self._held = self._held, b""
        if len(data) > _SHORT:
            if held:
                self.transport.write(held)
            self.transport.write(data)
        elif held:
            self.transport.write(held + data)
        else:
            self._held = bytes(data)  # what a caller may fill anew is copied, as transports do
            if not self._is_due:
                self._is_due = True
                self._turn.end_with(self)

    def close(self) -> None:
        """Close the connection behind what was written."""
        self.flush()
        self.transport.close()

    def flush(self) -> None:
        """Write what is held back."""
        held, self._held = self._held, b""
        if held:
            self.transport.write(held)

    def end_turn(self) -> None:
        """Write what is held back: the event loop goes on."""
        self._is_due = False
        if self._held:
            self.flush()
