"""Bytes become frames: a head of fixed size and a body. Pure, so that any bytes at all can be tried on it.

A frame is ``u32`` length of what follows, ``u8`` kind, ``u8`` plugin, ``u32`` call, ``u16`` member, body; little
endian. The plugin is 0: it is there for processes that hold several.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

VERSION: Final = 1
"""Both ends must speak the same one; the guest says its own in its first frame."""

HEAD: Final = struct.Struct("<IBBIH")

MOST_BYTES: Final = 64 << 20
"""Bytes one frame may have; the sender refuses a bigger one, the receiver gives the sender up."""

_HEAD_SIZE: Final = HEAD.size
_UNCOUNTED: Final = 4  # bytes of the length itself
_COUNTED_HEAD: Final = _HEAD_SIZE - _UNCOUNTED
_FIRST_ROOM: Final = 1 << 16

AT_ONCE: Final = 32
"""Frames that a channel hands out in one turn of the event loop."""

CLOSED: Final = "it closed its end"
"""Why a channel is lost of which the other end is gone."""

OnFrame = Callable[[int, int, int, memoryview], None]
"""Is given kind, call, member and body of a frame. The body is only there during the call."""


class Kind(IntEnum):
    """What a frame is."""

    CALL = 1
    RESULT = 2
    ERROR = 3
    CANCEL = 4
    NOTE = 5
    PING = 6
    PONG = 7


_FIRST_KIND: Final = min(Kind).value  # looked up once and not for each frame
_LAST_KIND: Final = max(Kind).value


class FrameError(Exception):
    """The bytes are not frames: whoever sent them is given up."""


class TooBigError(ValueError):
    """What is to be sent does not fit into a frame."""


class FrameReader:
    """Cuts a stream of bytes into frames.

    Ask for ``room``, put bytes into it, say how many by ``received``.

    Args:
        on_frame: Called for each whole frame, in order.
        limit: Bytes a frame may have.
        at_once: Frames that are handed out at once; who floods holds up nobody else on the event loop.
    """

    def __init__(self, on_frame: OnFrame, limit: int = MOST_BYTES, at_once: int | None = None) -> None:
        self._at_once = at_once
        self._on_frame = on_frame
        self._limit = limit
        self._buffer = bytearray(_FIRST_ROOM)
        self._view = memoryview(self._buffer)
        self._start = self._end = 0

    def room(self) -> memoryview:
        """Return where the next bytes go; never empty."""
        if self._end == len(self._buffer):
            self._make_room(len(self._buffer) * 2)
        return self._view[self._end :]

    def received(self, count: int) -> bool:
        """Hand out the frames that are whole now that ``count`` more bytes are in the room.

        Returns:
            Whether some are left: say ``received(0)`` for the next ones before anything else comes into the room.

        Raises:
            FrameError: A head says what no head may say.
        """
        self._end += count
        left = self._at_once
        while self._end - (start := self._start) >= _HEAD_SIZE:
            length, kind, plugin, call, member = HEAD.unpack_from(self._buffer, start)
            stop = start + _UNCOUNTED + length
            if not _COUNTED_HEAD <= length <= self._limit or plugin or not _FIRST_KIND <= kind <= _LAST_KIND:
                raise FrameError(f"no frame begins with {bytes(self._view[start : start + _HEAD_SIZE])!r}")
            if stop > self._end:
                size = _UNCOUNTED + length
                if start + size > len(self._buffer):  # it shall fit in one piece
                    self._make_room(max(size, _FIRST_ROOM))
                return False
            if left is not None:
                if left == 0:
                    return True
                left -= 1
            body = self._view[start + _HEAD_SIZE : stop]
            self._start = stop
            self._on_frame(kind, call, member, body)
        if self._start == self._end:
            self._start = self._end = 0
            if len(self._buffer) > 16 * _FIRST_ROOM:
                self._make_room(_FIRST_ROOM)  # one big frame does not keep its memory
        return False

    def _make_room(self, size: int) -> None:
        kept = self._view[self._start : self._end]
        buffer = bytearray(max(size, len(kept) + 1))
        buffer[: len(kept)] = kept
        self._end -= self._start
        self._start = 0
        self._buffer, self._view = buffer, memoryview(buffer)


Put = Callable[[Any, bytearray, int], None]
"""Writes a value at the end of a buffer that is as long as the offset says."""


class FrameBuffer:
    """Frames that wait to be sent, one after the other in one piece."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def add(self, kind: int, call: int, member: int, value: Any, put: Put | None) -> None:
        """Add a frame with ``value``, written by ``put``, as its body; what fails to be written leaves nothing.

        Raises:
            TooBigError: The frame is too big.
            Exception: What ``put`` raised.
        """
        buffer = self._bytes
        at = len(buffer)
        buffer += _NO_HEAD
        try:
            if put is not None:
                put(value, buffer, at + _HEAD_SIZE)
            length = len(buffer) - at - _UNCOUNTED
            if length > MOST_BYTES:
                raise TooBigError(f"it takes {length} bytes, and at most {MOST_BYTES} can cross at once")
            HEAD.pack_into(buffer, at, length, kind, 0, call, member)
        except BaseException:
            del buffer[at:]
            raise

    def __len__(self) -> int:
        return len(self._bytes)

    def take(self) -> memoryview:
        """Take out all that waits."""
        taken, self._bytes = self._bytes, bytearray()
        return memoryview(taken)


_NO_HEAD: Final = bytes(_HEAD_SIZE)
