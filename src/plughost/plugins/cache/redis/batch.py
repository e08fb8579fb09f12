"""Reads and writes of one turn of the loop, as one script call per hash slot."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import OutOfMemoryError

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.codec import Codec
from plughost.plugins.cache.freshness import Lifetime
from plughost.plugins.cache.redis import scripts
from plughost.plugins.cache.redis.lane import Arguments, new_reply, settle
from plughost.plugins.cache.redis.names import Shard
from plughost.plugins.cache.redis.scripts import Script
from plughost.plugins.cache.redis.wire import Read, answers
from plughost.plugins.cache.remote import Parcel, Snapshot

MOST_KEYS: Final = 500
"""Keys of one script call: Lua unpacks them onto its stack, and nobody else is served meanwhile."""

_MOST_BYTES: Final = 1 << 20
"""Bytes of values after which a script call takes no more: one of them must not hold up all others."""

_AS_TRUTH: Final = (b"s", b"", b"0")
_SIGNS: Final = tuple(bytes([sign]) for sign in range(256))

Replies = list["Future[tuple[Snapshot, Read | None]]"]


class ReadBatch:
    """Keys of one slot that are read together; a key asked for twice travels once."""

    def __init__(self, shard: Shard, head: Arguments, codec: Codec, corrupt: Callable[[], None]) -> None:
        self._shard = shard
        self._head = head
        self._codec = codec
        self._corrupt = corrupt
        self._waiting: dict[bytes, Replies] = {}
        self.sent = False

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self.sent or len(self._waiting) >= MOST_KEYS

    def add(self, raw: bytes) -> Future[tuple[Snapshot, Read | None]]:
        """Read one key more; returns what to wait for."""
        reply = new_reply()
        self._waiting.setdefault(raw, []).append(reply)
        return reply

    def arguments(self) -> tuple[Script | None, Arguments]:
        """Called when it leaves."""
        self.sent = True
        entries = self._shard.entries
        keys = [*self._shard.clock, *(entries + raw for raw in self._waiting)]
        return scripts.READ, (b"%d" % len(keys), *keys, *self._head)

    def answer(self, reply: Any) -> None:
        """Give everyone what they asked for."""
        self.sent = True  # a lost connection answers what it never sent: nobody may join it any more
        try:
            if isinstance(reply, Exception):
                raise reply
            snapshot, reads = answers(reply, len(self._waiting), self._codec, self._corrupt)
        except Exception as error:
            reason = unavailable(error)
            for replies in self._waiting.values():
                for waiting in replies:
                    settle(waiting, reason)
            return
        for replies, read in zip(self._waiting.values(), reads, strict=True):
            for waiting in replies:
                settle(waiting, (snapshot, read))


class WriteBatch:
    """Values of one slot that are stored together.

    Args:
        shard: The slot.
        head: Arguments every script is given first.
        failed: Called with the keys of what was meant as new truth and may or may not be stored, and the error.
        unclaimed: Called with the keys whose callers no longer wait: whoever read them meanwhile read what was before.
    """

    def __init__(
        self,
        shard: Shard,
        head: Arguments,
        failed: Callable[[list[str], Exception], None],
        unclaimed: Callable[[list[str]], None],
    ) -> None:
        self._shard = shard
        self._head = head
        self._failed = failed
        self._unclaimed = unclaimed
        self._parcels: list[tuple[Parcel, bytes, bytes, int, bytes]] = []
        self._replies: list[Future[bool]] = []
        self._size = 0
        self.sent = False

    @property
    def full(self) -> bool:
        """Whether it takes no more."""
        return self.sent or len(self._parcels) >= MOST_KEYS or self._size >= _MOST_BYTES

    def add(self, parcel: Parcel, raw: bytes, bucket: bytes, flags: int, payload: bytes) -> Future[bool]:
        """Store one value more; returns what to wait for."""
        self._parcels.append((parcel, raw, bucket, flags, payload))
        self._size += len(payload)
        reply: Future[bool] = new_reply()
        self._replies.append(reply)
        return reply

    def arguments(self) -> tuple[Script | None, Arguments]:
        """Called when it leaves."""
        self.sent = True
        keys: list[bytes] = list(self._shard.clock)
        values: list[bytes] = []
        entries, leases = self._shard.entries, self._shard.leases
        lived: Lifetime | None = None
        lengths: tuple[bytes, ...] = ()
        for parcel, raw, bucket, flags, payload in self._parcels:
            keys += (entries + raw, leases + raw)
            since, life, tags = parcel.since, parcel.life, parcel.tags
            if life != lived:  # what fifty tasks store mostly lives as long
                lived, lengths = life, milliseconds_of(life)
            values += _AS_TRUTH if since is None else (b"f", since.epoch, b"%d" % since.seq)
            values += (
                bucket,
                *lengths,
                _SIGNS[flags],
                payload,
                parcel.token.encode(),
                raw,
                b"%d" % len(tags),
            )
            if tags:
                values += map(str.encode, tags)
        return scripts.WRITE, (b"%d" % len(keys), *keys, *self._head, *values)

    def answer(self, reply: Any) -> None:
        """Tell everyone whether their value was stored."""
        self.sent = True
        unclaimed = [
            parcel.key
            for waiting, (parcel, *_) in zip(self._replies, self._parcels, strict=True)
            if waiting.cancelled()
        ]
        if unclaimed:
            self._unclaimed(unclaimed)
        if isinstance(reply, bytes):
            for waiting, sign in zip(self._replies, reply, strict=True):
                settle(waiting, sign == ord("1"))
            return
        error = reply if isinstance(reply, Exception) else TypeError("an answer that is none")
        truths = [parcel.key for parcel, *_ in self._parcels if parcel.since is None]
        if truths:
            self._failed(truths, error)
        for waiting in self._replies:
            # A server that is full is there and answers: what was not stored is known not to be.
            settle(waiting, False if isinstance(error, OutOfMemoryError) else unavailable(error))


def milliseconds_of(life: Lifetime) -> tuple[bytes, bytes]:
    """Return how long a value is fresh and how long it is kept, as scripts are told."""
    fresh = life.ttl * 1000
    return b"%d" % fresh, b"%d" % max(1, fresh + life.stale_for * 1000)


def unavailable(error: Exception) -> StoreUnavailableError:
    """Return an error as the one the facade expects."""
    if isinstance(error, StoreUnavailableError):
        return error
    reason = StoreUnavailableError(f"Redis refused: {type(error).__name__}")
    reason.__cause__ = error
    return reason
