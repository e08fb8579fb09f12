"""What stands in a store under the keys of a cache, and how these are named."""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Final

import msgspec

PROBE: Final = "c:probe"
"""A key under which nothing stands: who can look for it is there."""


class Kept(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """A value.

    Attributes:
        key: Its key; what stands in the store is a digest of it.
        epoch: The clock it was stored under.
        seq: Where that clock stood when what it holds was true.
        created: When it was stored, in seconds since 1970.
        ttl: Seconds it is fresh.
        stale_for: Seconds it is kept after that.
        tags: Its tags.
        flags: What the codec noted.
        payload: The value, sealed.
        stamp: Unlike that of any other: who replaces the value replaces this very one.
    """

    key: str
    epoch: bytes
    seq: int
    created: float
    ttl: float
    stale_for: float
    tags: tuple[str, ...]
    flags: int
    payload: bytes
    stamp: bytes = msgspec.field(default_factory=lambda: secrets.token_bytes(8))


class Gone(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """What a deletion leaves behind, so that a load that began before it does not bring the value back.

    Attributes:
        until: When no such load can be stored any more.
        stamp: Unlike that of any other.
    """

    until: float
    stamp: bytes = msgspec.field(default_factory=lambda: secrets.token_bytes(8))


class ClockRecord(msgspec.Struct, frozen=True, array_like=True):
    """The logical clock of a cache; a new one begins after the store lost the old one, and with it all values.

    Attributes:
        until: How long the store keeps it.
        epoch: Its name.
        seq: Its count; each invalidation by tag or pattern, or of everything, is one more.
        cleared: Where it stood when everything was invalidated.
        barred: Where it stood when a pattern was invalidated: no load that began before is stored.
    """

    until: float
    epoch: bytes = msgspec.field(default_factory=lambda: secrets.token_bytes(8))
    seq: int = 1
    cleared: int = 0
    barred: int = 0


class TagMark(msgspec.Struct, frozen=True, array_like=True):
    """Where the clock stood when a tag was invalidated; what is older and has that tag is not valid.

    Attributes:
        epoch: Which clock.
        seq: Its count.
    """

    epoch: bytes
    seq: int


encode: Final = msgspec.msgpack.Encoder().encode
value_decoder: Final = msgspec.msgpack.Decoder(Kept | Gone)
clock_decoder: Final = msgspec.msgpack.Decoder(ClockRecord)
tag_decoder: Final = msgspec.msgpack.Decoder(TagMark)


class StoreKeys:
    """The keys of one cache in a store: digests, since a key may be long, and of any signs.

    Args:
        keyspace: The first part of all keys of the host.
        cache: Name of the cache.
    """

    def __init__(self, keyspace: str, cache: str) -> None:
        space = sha256(f"{keyspace}\0{cache}".encode()).hexdigest()[:12]
        self.clock = f"c:{space}:clock"
        self.entries = f"c:{space}:e"
        self._tags = f"c:{space}:t"

    def entry(self, key: str) -> str:
        """Return where the value of a key stands."""
        return self.entries + _digest(key)

    def tag(self, tag: str) -> str:
        """Return where the mark of a tag stands."""
        return self._tags + _digest(tag)


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:60]
