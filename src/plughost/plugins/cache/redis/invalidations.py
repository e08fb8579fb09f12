"""What a server says of changed keys, taken before redis-py reads it sign by sign, where its insides allow that."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, Final

_INVALIDATION: Final = b">2\r\n$10\r\ninvalidate\r\n*"
_BULK: Final = ord("$")
_FEW: Final = 8
"""Keys for which nothing behind them is copied: there may be thousands of such messages."""

_MANY: Final = 1 << 20


def taken_invalidation(buffer: bytearray) -> list[bytes] | None:
    """Take what a server says of changed keys from the beginning of ``buffer``; None when it is not all there.

    It says so of each key that we write ourselves. redis-py reads it sign by sign, which costs as much as the write.
    """
    if not buffer.startswith(_INVALIDATION):
        return None
    end = buffer.find(b"\r\n", len(_INVALIDATION))
    count = buffer[len(_INVALIDATION) : end]
    if end < 0 or not count.isdigit():
        return None
    keys: list[bytes] = []
    if _FEW < int(count) < _MANY:
        # Names without line ends, as almost all are, are cut out at once: what fifty tasks set comes in one message.
        parts = bytes(buffer[end + 2 :]).split(b"\r\n", 2 * int(count))
        keys = parts[1:-1:2]
        if len(parts) == 2 * int(count) + 1 and parts[:-1:2] == list(map(b"$%d".__mod__, map(len, keys))):
            del buffer[: len(buffer) - len(parts[-1])]
            return keys
        keys = []
    for _ in range(int(count)):
        begin, end = end + 2, buffer.find(b"\r\n", end + 2)
        if end < 0 or buffer[begin] != _BULK or not (size := buffer[begin + 1 : end]).isdigit():
            return None
        begin, end = end + 2, end + 2 + int(size)
        keys.append(bytes(buffer[begin:end]))
    if len(buffer) < end + 2:
        return None
    del buffer[: end + 2]
    return keys


async def leaves_the_rest(connection: Any) -> bool:
    """Return whether what came behind an answer stays in the reader's buffer, where ``taken_invalidation`` looks.

    hiredis keeps it to itself: whoever then waits for the buffer waits for ever. No version says what a parser does, so
    one of the same kind is tried on a stream of our own. Where anything is not as we know it, redis-py reads all.
    """
    try:
        if type(connection._reader) is not asyncio.StreamReader:
            return False
        stream = asyncio.StreamReader()
        stream.feed_data(b"+OK\r\n" + _INVALIDATION + b"1\r\n$1\r\nk\r\n")
        stream.feed_eof()  # a parser that wants more than there is must not wait for it
        parser = type(connection._parser)(socket_read_size=1 << 16)
        parser.on_connect(SimpleNamespace(_reader=stream, encoder=connection.encoder))
        await parser.read_response(disable_decoding=True)
        stream._maybe_resume_transport()  # type: ignore[attr-defined]
        return callable(stream._wait_for_data) and taken_invalidation(stream._buffer) == [b"k"]  # type: ignore[attr-defined]
    except Exception:
        return False
