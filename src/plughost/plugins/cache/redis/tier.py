"""The shared tier of one cache: asks scripts, and remembers what could not be asked."""

from __future__ import annotations

import os
import random
import secrets
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any, Final, NamedTuple

import anyio
from redis.exceptions import OutOfMemoryError, ResponseError

from plughost.contracts import Tier
from plughost.exceptions import CacheValueError, StoreUnavailableError
from plughost.plugins.cache.codec import Codec
from plughost.plugins.cache.config import CacheSettings
from plughost.plugins.cache.freshness import Lifetime
from plughost.plugins.cache.homing import at_home
from plughost.plugins.cache.journal import MissedInvalidations
from plughost.plugins.cache.patterns import KeyPattern
from plughost.plugins.cache.redis import names, scripts
from plughost.plugins.cache.redis.batch import MOST_KEYS, ReadBatch, WriteBatch, milliseconds_of, unavailable
from plughost.plugins.cache.redis.lane import Command, Question
from plughost.plugins.cache.redis.line import Line
from plughost.plugins.cache.redis.names import Names, Shard
from plughost.plugins.cache.redis.scripts import Script
from plughost.plugins.cache.redis.wire import Read, answers
from plughost.plugins.cache.remote import Answer, Lease, Parcel, Snapshot
from plughost.plugins.cache.stats import Counts

_MOST_TAGS: Final = 10_000
"""Tags a cache remembers one by one on the server."""

_SCAN_PAGE: Final = b"1000"
_UNCHANGED: Final = object()
_SWAPS: Final = 64
"""Attempts to replace a value that others are replacing too."""

Change = tuple[str, Sequence[str]]
"""What is changed, as ``Coherence.apply`` takes it: a kind and its items."""


class _Manner(NamedTuple):
    """How a script is asked.

    Attributes:
        failed: Told what went wrong.
        changes: What memory forgets when the server has answered. Until then somebody may read the old value and put
            it into memory; and the caller, who may be cancelled, cannot be relied on to look once more. When the
            answer is lost, what was to be invalidated is forgotten all the same.
        in_place: What was to be changed is then left to memory, which decides alone from then on.
        first: Ask it before what waits already.
    """

    failed: Callable[[Exception], None] | None = None
    changes: Change | None = None
    in_place: bool = False
    first: bool = False


_PLAIN, _FIRST = _Manner(), _Manner(first=True)


class RedisTier:
    """Implements ``remote.Remote``.

    Args:
        line: The connection.
        name: Name of the cache.
        settings: Its settings.
        codec: Its codec.
    """

    kind: Tier = "redis"

    def __init__(self, line: Line, name: str, settings: CacheSettings, codec: Codec) -> None:
        self.line = line
        self.journal = MissedInvalidations(line.config.journal)
        self.counts: Counts | None = None
        self._name = name
        self._settings = settings
        self._codec = codec
        self._names = Names(line.config.keyspace, name, line.shards)
        self._reads: dict[int, ReadBatch] = {}
        self._writes: dict[int, WriteBatch] = {}
        self._leases: dict[str, tuple[Shard, bytes, float]] = {}
        self._agreed: tuple[int, set[int]] = (0, set())
        self._epoch_start = os.urandom(4)
        self._epoch_count = count()
        self._raw_name = name.encode()
        self._channel = names.bus(line.config.keyspace)

    def away(self) -> float:
        """Return how many seconds Redis has not answered since the start."""
        return self.line.away()

    @property
    def available(self) -> bool:
        """Whether Redis answers."""
        return self.line.available

    @property
    def coherent(self) -> bool:
        """Whether changes by others are heard of."""
        return self.line.coherent

    @property
    def echoes(self) -> bool:
        """Whether our own writes are told to us."""
        return self.line.echoes

    def forget(self) -> None:
        """In a forked child: never answer again."""
        self.line.available = False

    # Asking

    def _head(self) -> tuple[bytes, ...]:
        """Arguments of every script: a name for a new clock, who asks, where to tell, and what about."""
        epoch = self._epoch_start + struct.pack(">I", next(self._epoch_count) & 0xFFFFFFFF)
        told = b"0" if self.line.tracking else b"1"
        return epoch, self.line.sender, self._channel, self._raw_name, told

    def _corrupt(self) -> None:
        if self.counts is not None:
            self.counts.corrupt += 1

    def _agree(self, shard: Shard, put: Callable[[Question], None]) -> None:
        """Before the first question about a slot on each connection: is this still the server we knew?"""
        generation, agreed = self._agreed
        if generation != self.line.generation:
            agreed = set()
            self._agreed = (self.line.generation, agreed)
        if shard.number not in agreed:
            agreed.add(shard.number)
            put(Command(scripts.ROLL, (b"3", *shard.clock, *self._head(), *self.line.gone)))

    def _ask(
        self,
        script: Script,
        shard: Shard,
        keys: Sequence[bytes] = (),
        values: Sequence[bytes] = (),
        manner: _Manner = _PLAIN,
    ) -> Awaitable[Any]:
        """Ask one script."""
        failed, changes, in_place, first = manner
        put = self.line.put_first if first else self.line.put
        self._agree(shard, put)

        def then(reply: Any) -> None:
            if failed is not None and isinstance(reply, Exception):
                failed(reply)
            if changes is not None and not (in_place and isinstance(reply, StoreUnavailableError)):
                self.line.coherence.apply(self._name, *changes)

        arguments = (b"%d" % (3 + len(keys)), *shard.clock, *keys, *self._head(), *values)
        command = Command(script, arguments, then)
        put(command)
        return command.reply

    async def _all(self, replies: Sequence[Awaitable[Any]]) -> list[Any]:
        """Wait for all of them; one that failed is raised when the others are known too."""
        results: list[Any] = []
        error: Exception | None = None
        for reply in replies:
            try:
                results.append(await reply)
            except Exception as failure:
                error = failure
        if error is not None:
            raise unavailable(error)
        return results

    def _require(self) -> None:
        if not self.line.available:
            raise StoreUnavailableError("Redis is away")

    # Reading

    def _read(self, key: str) -> Awaitable[tuple[Snapshot, Read | None]]:
        shard, raw, _ = self._names.place(key)
        batch = self._reads.get(shard.number)
        if batch is None or batch.full:
            self._agree(shard, self.line.put)
            batch = self._reads[shard.number] = ReadBatch(shard, self._head(), self._codec, self._corrupt)
            reply = batch.add(raw)
            self.line.put(batch)
            return reply
        return batch.add(raw)

    @at_home
    async def read(self, key: str) -> Answer:
        """Return what is there and where the clock stands."""
        self._require()
        snapshot, read = await self._read(key)
        return Answer(snapshot, None if read is None else read.found)

    @at_home
    async def read_many(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """The same for several keys, in one round trip."""
        self._require()
        replies = await self._all([self._read(key) for key in keys])
        return {
            key: Answer(snapshot, None if read is None else read.found)
            for key, (snapshot, read) in zip(keys, replies, strict=True)
        }

    # Writing

    @at_home
    async def write(self, parcels: Sequence[Parcel]) -> Sequence[bool]:
        """Store values; which of them were stored."""
        for parcel in parcels:
            self._leases.pop(parcel.token, None)
        if not self.line.available:
            self.journal.note_keys(parcel.key for parcel in parcels if parcel.since is None)
            raise StoreUnavailableError("Redis is away")
        if len(parcels) == 1:  # the usual
            try:
                return (await self._write(parcels[0]),)
            except Exception as error:
                raise unavailable(error) from error
        return await self._all([self._write(parcel) for parcel in parcels])

    def _write(self, parcel: Parcel) -> Awaitable[bool]:
        shard, raw, bucket = self._names.place(parcel.key)
        flags, payload = self._codec.seal(parcel.payload)
        batch = self._writes.get(shard.number)
        new = batch is None or batch.full
        if batch is None or new:
            self._agree(shard, self.line.put)
            batch = self._writes[shard.number] = WriteBatch(
                shard,
                self._head(),
                self._write_failed,
                partial(self.line.coherence.apply, self._name, "k"),
            )
        reply = batch.add(parcel, raw, bucket, flags, payload)
        if new:
            self.line.put(batch)
        return reply

    def _write_failed(self, keys: list[str], error: Exception) -> None:
        """What was there before must not answer any more."""
        if isinstance(error, ResponseError) and self.line.available:
            self._send_delete(keys)
        else:
            self.journal.note_keys(keys)

    # Invalidating

    @at_home
    async def delete(self, keys: Sequence[str]) -> int:
        """Remove keys and overtake their loads; how many had a fresh value."""
        if not self.line.available:
            self.journal.note_keys(keys)
            raise StoreUnavailableError("Redis is away")
        return sum(await self._all(self._send_delete(keys)))

    def _send_delete(self, keys: Sequence[str], *, first: bool = False) -> list[Awaitable[Any]]:
        by_shard: dict[int, list[tuple[str, bytes, bytes]]] = {}
        for key in keys:
            shard, raw, bucket = self._names.place(key)
            by_shard.setdefault(shard.number, []).append((key, raw, bucket))
        replies: list[Awaitable[Any]] = []
        for number, items in by_shard.items():
            starts = range(0, len(items), MOST_KEYS)
            replies += [self._delete_some(number, items[at : at + MOST_KEYS], first) for at in starts]
        return replies

    def _delete_some(self, number: int, items: list[tuple[str, bytes, bytes]], first: bool) -> Awaitable[Any]:
        shard = self._names.shards[number]
        values = [part for _, raw, bucket in items for part in (bucket, raw)]
        return self._ask(
            scripts.DELETE,
            shard,
            [shard.entries + raw for _, raw, _ in items],
            values,
            _Manner(
                lambda _: self.journal.note_keys(key for key, _, _ in items),
                ("k", [key for key, _, _ in items]),
                first=first,
            ),
        )

    @at_home
    async def invalidate_tags(self, tags: Sequence[str]) -> None:
        """Invalidate by tag and overtake loads."""
        if not self.line.available:
            self.journal.note_tags(tags)
            raise StoreUnavailableError("Redis is away")
        await self._all(self._send_tags(tags))

    def _send_tags(self, tags: Sequence[str], *, first: bool = False) -> list[Awaitable[Any]]:
        values = [b"%d" % _MOST_TAGS, *(tag.encode() for tag in tags)]
        manner = _Manner(lambda _: self.journal.note_tags(tags), ("t", tags), first=first)
        return [self._ask(scripts.TAGS, shard, (), values, manner) for shard in self._names.shards]

    @at_home
    async def clear(self) -> None:
        """Invalidate everything and overtake loads."""
        if not self.line.available:
            self.journal.note_everything()
            raise StoreUnavailableError("Redis is away")
        await self._all(self._send_clear())

    def _send_clear(self, *, first: bool = False) -> list[Awaitable[Any]]:
        manner = _Manner(lambda _: self.journal.note_everything(), ("c", ()), first=first)
        return [self._ask(scripts.CLEAR, shard, manner=manner) for shard in self._names.shards]

    @at_home
    async def invalidate_matching(self, pattern: KeyPattern) -> int:
        """Invalidate by pattern and overtake loads; how many fresh values were removed.

        First a bar that no load under way gets over, then the entries, page by page, and then everyone is told: what
        they read meanwhile they drop again. It is finished although the caller may be cancelled.
        """
        if not self.line.available:
            self.journal.note_pattern(pattern)
            raise StoreUnavailableError("Redis is away")

        async def remove() -> int:
            try:
                return await self._remove_matching(pattern, first=False)
            except BaseException:
                self.journal.note_pattern(pattern)
                raise
            finally:
                self.line.coherence.apply(self._name, "p", (pattern.kind, pattern.source))

        try:
            return await self.line.finish(remove)
        except Exception as error:
            raise unavailable(error) from error

    async def _remove_matching(self, pattern: KeyPattern, *, first: bool) -> int:
        shards = self._names.shards
        if not self.line.rights.scan:  # what cannot be looked for cannot be told from the rest
            await self._all(self._send_clear(first=first))
            return 0
        manner = _FIRST if first else _PLAIN
        bars = await self._all([self._ask(scripts.BAR, shard, manner=manner) for shard in shards])
        removed = await self._sweep(pattern.prefix, pattern, b"p", bars, first=first)
        told = (pattern.kind.encode(), pattern.source.encode())
        await self._ask(scripts.TELL_PATTERN, shards[0], (), told, manner)
        return removed

    @at_home
    async def cleanup(self) -> int:
        """Remove what was invalidated but still takes room."""
        self._require()
        bars = [0] * len(self._names.shards)
        return await self._sweep("", lambda _: True, b"c", bars, first=False)

    async def _sweep(
        self, prefix: str, matches: Callable[[str], bool], mode: bytes, bars: Sequence[int], *, first: bool
    ) -> int:
        removed, manner = 0, _FIRST if first else _PLAIN
        async for page in self._pages(prefix, first=first):
            by_shard: dict[int, list[bytes]] = {}
            for key in page:
                if matches(key):
                    shard, raw, _ = self._names.place(key)
                    by_shard.setdefault(shard.number, []).append(shard.entries + raw)
            for number, keys in by_shard.items():
                for start in range(0, len(keys), MOST_KEYS):
                    values = (mode, b"%d" % bars[number])
                    shard = self._names.shards[number]
                    some = keys[start : start + MOST_KEYS]
                    removed += await self._ask(scripts.SWEEP, shard, some, values, manner)
        return removed

    async def _pages(self, prefix: str, *, first: bool = False) -> Any:
        """Iterate over the keys that begin with a prefix, a page at a time."""
        namespace = names.entry_prefix(self.line.config.keyspace)
        wanted = (
            names.glob_quoted(namespace)
            + b"{" + names.glob_quoted(self._raw_name) + b":*}:"
            + names.glob_quoted(prefix.encode()) + b"*"
        )  # fmt: skip
        async for page in self.line.scan(wanted):
            found = [names.parse_entry(namespace, name) for name in page]
            yield [place[1] for place in found if place is not None and place[0] == self._name]

    async def replay(self) -> None:
        """Make the invalidations that were missed, on a connection that is being set up.

        Raises:
            StoreUnavailableError: It was lost again; they are remembered still.
        """
        for shard in self._names.shards:
            self._agree(shard, self.line.put_first)
        taken = self.journal.take()
        try:
            if taken.everything:
                await self._all(self._send_clear(first=True))
            if taken.tags:
                await self._all(self._send_tags(tuple(taken.tags), first=True))
            if taken.keys:
                await self._all(self._send_delete(tuple(taken.keys), first=True))
            for pattern in taken.patterns:
                await self._remove_matching(pattern, first=True)
        except BaseException:
            self.journal.put_back(taken)
            raise

    # Changing in place

    @at_home
    async def increment(self, key: str, by: int, life: Lifetime) -> int:
        """Add to an integer."""
        _, raw, bucket = self._names.place(key)
        self._require_or_note(key)
        flags, _ = self._codec.seal(self._codec.pack(0))
        values = (b"%d" % by, *milliseconds_of(life), bytes([flags]), bucket, raw)
        try:
            return int(await self._change(scripts.INCREMENT, key, values))
        except ResponseError as error:
            if "NOTINT" in str(error):
                raise CacheValueError("there is no integer under this key") from None
            if "TOOBIG" in str(error):
                raise CacheValueError(f"a counter ends below {2**53}") from None
            raise unavailable(error) from error

    def _change(self, script: Script, key: str, values: Sequence[bytes]) -> Awaitable[Any]:
        """Ask a script that changes one entry where it lies."""

        def failed(error: Exception) -> None:
            refused = isinstance(error, ResponseError) and not isinstance(error, OutOfMemoryError)
            if not refused:
                self._write_failed([key], error)

        shard, raw, _ = self._names.place(key)
        manner = _Manner(failed, ("k", (key,)), in_place=True)
        return self._ask(script, shard, (shard.entries + raw,), values, manner)

    def _require_or_note(self, key: str) -> None:
        if not self.line.available:
            self.journal.note_keys([key])
            raise StoreUnavailableError("Redis is away")

    @at_home
    async def update(self, key: str, change: Callable[[Any, bool], Any], life: Lifetime) -> Any:
        """Replace a value by ``change(value, present)``, again if somebody else was faster."""
        return await self._swap_until(key, change, life, (b"0",))

    @at_home
    async def replace(
        self, key: str, value: Any, wanted: Callable[[Any, bool], bool], life: Lifetime, tags: Sequence[str]
    ) -> bool:
        """Store if ``wanted(value, present)`` says so of what is there, again if somebody else was faster."""

        def change(found: Any, present: bool) -> Any:
            return value if wanted(found, present) else _UNCHANGED

        manner = (b"1", *(tag.encode() for tag in tags))
        return await self._swap_until(key, change, life, manner) is not _UNCHANGED

    @at_home
    async def touch(self, key: str, life: Lifetime) -> bool:
        """Begin the life of a fresh value again; whether there was one."""
        _, raw, bucket = self._names.place(key)
        self._require_or_note(key)
        try:
            return bool(int(await self._change(scripts.TOUCH, key, (*milliseconds_of(life), bucket, raw))))
        except ResponseError as error:
            raise unavailable(error) from error

    async def _swap_until(
        self, key: str, change: Callable[[Any, bool], Any], life: Lifetime, manner: tuple[bytes, ...]
    ) -> Any:
        _, raw, bucket = self._names.place(key)
        for attempt in range(_SWAPS):
            self._require_or_note(key)
            _, read = await self._read(key)
            fresh = read is not None and read.found.fresh_for > 0
            value = change(read.found.value if read is not None and fresh else None, fresh)
            if value is _UNCHANGED:
                return value
            flags, payload = self._codec.seal(self._codec.pack(value))
            seen = b"%d" % read.seq if read is not None and fresh else b""
            values = (seen, *milliseconds_of(life), bytes([flags]), bucket, raw, payload, *manner)
            try:
                if int(await self._change(scripts.SWAP, key, values)):
                    return value
            except ResponseError as error:
                raise unavailable(error) from error
            if attempt > 2:
                await anyio.sleep(random.uniform(0, 0.001 * attempt))  # noqa: S311 # spreads the crowd
        raise CacheValueError("too many callers change this key at once: keep it in its own store")

    # Leases

    @at_home
    async def lease(self, key: str, patience: float, tags: Sequence[str] = ()) -> Lease:
        """Ask to be the one who loads; wait at most that long for somebody else who is."""
        shard, raw, bucket = self._names.place(key)
        token = secrets.token_hex(8)
        length = self.line.config.lease_time
        early = patience <= 0
        deadline = anyio.current_time() + patience
        with self.line.coherence.watch(self._name, key) as following:
            while True:
                changed = following()
                self._require()
                asked = (token.encode(), b"%d" % (length * 1000), b"%d" % early, bucket)
                values = (*asked, *(tag.encode() for tag in tags))
                reply = await self._lease_once(shard, raw, values)
                snapshot, (read,) = answers(reply, 1, self._codec, self._corrupt, 1)
                if reply[:1] == b"g":
                    token = f"{token}|{snapshot.seq}"
                    self._leases[token] = (shard, raw, anyio.current_time())
                    return Lease(key, token, snapshot)
                if reply[:1] == b"v":
                    if read is not None:
                        return Lease(key, "", snapshot, read.found)
                    if not early:
                        early = True  # there is a value the server takes for one, and nobody can read it
                        continue
                left = deadline - anyio.current_time()
                if left <= 0:
                    return Lease(key, "", snapshot)
                pause = length * random.uniform(0.4, 0.6)  # noqa: S311 # a message may be lost: look now and then
                with anyio.move_on_after(min(left, pause)):
                    await changed.wait()

    async def _lease_once(self, shard: Shard, raw: bytes, values: Sequence[bytes]) -> bytes:
        try:
            keys = (shard.entries + raw, shard.leases + raw)
            return bytes(await self._ask(scripts.LEASE, shard, keys, values))
        except ResponseError as error:
            raise unavailable(error) from error

    def give_back(self, lease: Lease, hold_for: float = 0.0) -> None:
        """Let others load, at once or after a while."""
        held = self._leases.pop(lease.token, None)
        if held is None or not self.line.available:
            return
        shard, raw, _ = held
        head = self._head()
        self.line.put(
            Command(
                scripts.GIVE_BACK,
                (b"1", shard.leases + raw, *head, lease.token.encode(), b"%d" % (hold_for * 1000), raw),
            )
        )

    def extend_leases(self) -> None:
        """Called now and then: what is still being loaded stays ours."""
        length = self.line.config.lease_time
        now = anyio.current_time()
        for token, (shard, raw, since) in tuple(self._leases.items()):
            if now - since >= length / 3:
                self._leases[token] = (shard, raw, now)
                arguments = (b"1", shard.leases + raw, token.encode(), b"%d" % (length * 1000))
                self.line.put(Command(scripts.EXTEND, arguments))

    # Looking

    @at_home
    async def keys(self, limit: int) -> list[str]:
        """Return some of the keys that have a fresh value."""
        self._require()
        found: dict[str, None] = {}
        async for page in self._pages(""):
            if not page:
                continue
            for key, answer in (await self.read_many(page)).items():
                if answer.found is not None and answer.found.fresh_for > 0:
                    found[key] = None
            if len(found) >= limit:
                break
        return list(found)[:limit]
