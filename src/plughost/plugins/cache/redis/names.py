"""Keys on the server. What one script touches shares a hash tag, so that a cluster keeps it on one node.

``<namespace>:e:{<cache>:<shard>}:<key>`` is an entry, ``:l:`` its lease; ``:m:``, ``:t:`` and ``:b:`` are the clock,
the versions of tags, and the buckets of keys. Entries alone begin with ``:e:``, so that one prefix tracks them.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Final

import msgspec

BUCKETS: Final = 1024


class Shard(msgspec.Struct, frozen=True):
    """One hash slot of one cache.

    Attributes:
        number: Which one.
        clock: Keys of the clock, the tags and the buckets, which every script is given first.
        entries: What entry keys begin with.
        leases: What lease keys begin with.
    """

    number: int
    clock: tuple[bytes, bytes, bytes]
    entries: bytes
    leases: bytes


class Names:
    """The keys of one cache.

    Args:
        namespace: First part of every key.
        cache: Name of the cache.
        shards: How many hash slots it is spread over.
    """

    def __init__(self, namespace: str, cache: str, shards: int) -> None:
        self.cache = cache
        self.shards = tuple(self._shard(namespace, cache, number) for number in range(shards))

    @staticmethod
    def _shard(namespace: str, cache: str, number: int) -> Shard:
        def name(kind: str) -> bytes:
            return f"{namespace}:{kind}:{{{cache}:{number}}}".encode()

        return Shard(number, (name("m"), name("t"), name("b")), name("e") + b":", name("l") + b":")

    def place(self, key: str) -> tuple[Shard, bytes, bytes]:
        """Return the shard of a key, the key in bytes, and the bucket it shares."""
        raw = key.encode()
        crc = zlib.crc32(raw)
        return self.shards[(crc >> 16) % len(self.shards)], raw, b"%d" % (crc % BUCKETS)


def entry_prefix(namespace: str) -> bytes:
    """What all entries of a namespace begin with."""
    return f"{namespace}:e:".encode()


def parse_entry(prefix: bytes, name: bytes) -> tuple[str, str] | None:
    """Return cache and key of an entry's name; None when it is none of ours."""
    begin = name.find(b"}:", len(prefix)) + 2
    cache = _cache_of(prefix, name[:begin])
    try:
        return None if cache is None else (cache, name[begin:].decode())
    except UnicodeDecodeError:
        return None


@lru_cache(maxsize=1024)
def _cache_of(prefix: bytes, head: bytes) -> str | None:
    """Return the cache that the head of an entry's name speaks of; thousands of names share one."""
    if not head.startswith(prefix + b"{"):
        return None
    cache, colon, _ = head[len(prefix) + 1 : -2].rpartition(b":")
    try:
        return cache.decode() if colon else None
    except UnicodeDecodeError:
        return None


def bus(namespace: str) -> bytes:
    """The channel on which invalidations are told."""
    return f"{namespace}:bus".encode()


def glob_quoted(text: bytes) -> bytes:
    """Return a text that a server's glob takes for itself."""
    return b"".join(b"\\" + bytes([sign]) if sign in b"*?[]^\\-" else bytes([sign]) for sign in text)
