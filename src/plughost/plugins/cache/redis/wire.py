"""What the scripts answer, in one string: the clock, the server's time, and the entries."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

import msgspec

from plughost.plugins.cache.codec import Codec, UndecodableError
from plughost.plugins.cache.redis.scripts import HEADER
from plughost.plugins.cache.remote import Found, Snapshot

_CLOCK: Final = struct.Struct(">8sdd")
_LENGTH: Final = struct.Struct(">I")
_MOMENTS: Final = struct.Struct(">ddddH")
_SHORT: Final = struct.Struct(">H")
_NONE: Final = 0xFFFFFFFF
_FOREIGN: Final = 0xFFFFFFFE


class Read(msgspec.Struct, frozen=True):
    """One entry as it was read, with the number it was written under."""

    found: Found
    seq: float


def answers(
    reply: bytes, count: int, codec: Codec, corrupt: Callable[[], None], at: int = 0
) -> tuple[Snapshot, list[Read | None]]:
    """Return the clock and the entries of a reply.

    Args:
        reply: What the script answered.
        count: How many entries were asked for.
        codec: Opens the payloads.
        corrupt: Called for each entry that cannot be read; it counts as none.
        at: Where the clock begins.
    """
    epoch, seq, now = _CLOCK.unpack_from(reply, at)
    at += _CLOCK.size
    reads: list[Read | None] = []
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(reply, at)
        at += 4
        if length >= _FOREIGN:
            if length == _FOREIGN:
                corrupt()
            reads.append(None)
            continue
        try:
            reads.append(_read(reply, at, at + length, now, codec))
        except (UndecodableError, struct.error, UnicodeDecodeError):
            corrupt()
            reads.append(None)
        at += length
    return Snapshot(epoch, int(seq)), reads


def _read(reply: bytes, at: int, end: int, now: float, codec: Codec) -> Read:
    flags = reply[at + 3]
    seq, created, fresh, dead, count = _MOMENTS.unpack_from(reply, at + 12)
    at += HEADER
    tags: tuple[str, ...] = ()
    for _ in range(count):
        (length,) = _SHORT.unpack_from(reply, at)
        tags += (reply[at + 2 : at + 2 + length].decode(),)
        at += 2 + length
    value = codec.open(flags, reply[at:end])
    found = Found(value, max(0.0, now - created) / 1000, (fresh - now) / 1000, (dead - now) / 1000, tags)
    return Read(found, seq)
