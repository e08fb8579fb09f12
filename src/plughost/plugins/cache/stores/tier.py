"""The shared tier of one cache over three methods: every change reads what is there and commits in its place.

An invalidation wins as it does everywhere. A deletion leaves a mark in the place of the value, a tag has a mark of its
own, and what concerns a whole cache is noted in its clock. A load carries along what it saw when it began, and is
stored only in the place of that.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final

import anyio
import msgspec
from msgspec.structs import replace

from plughost.contracts import BytesStore, ListingStore, Tier
from plughost.exceptions import CacheValueError, StoreUnavailableError
from plughost.plugins.cache.amounts import adding
from plughost.plugins.cache.codec import Codec, UndecodableError
from plughost.plugins.cache.freshness import Lifetime
from plughost.plugins.cache.homing import at_home
from plughost.plugins.cache.journal import MissedInvalidations
from plughost.plugins.cache.patterns import KeyPattern
from plughost.plugins.cache.remote import Answer, Found, Lease, Parcel, Snapshot
from plughost.plugins.cache.stats import Counts
from plughost.plugins.cache.stores.line import StoreLine
from plughost.plugins.cache.stores.records import (
    ClockRecord,
    Gone,
    Kept,
    StoreKeys,
    TagMark,
    clock_decoder,
    encode,
    tag_decoder,
    value_decoder,
)

_LONGEST_LIFE: Final = 30 * 86400.0
"""Seconds after which a value is forgotten, however long it was to live: marks need not be kept for longer than it."""

_MARK_LIFE: Final = _LONGEST_LIFE + 86400.0
_CLOCK_SLACK: Final = 43200.0
_LONGEST_LOAD: Final = 600.0
"""Seconds after which what a load brings is not stored any more."""

_ATTEMPTS: Final = 64
_PAGE: Final = 500


class Seen(Snapshot, frozen=True):
    """What stood under a key when a load began.

    Attributes:
        raw: The bytes; None for nothing.
        at: When it was looked at.
    """

    raw: bytes | None
    at: float


class StoreTier:
    """Implements ``remote.Remote``.

    Args:
        line: The store, as it comes and goes.
        name: Name of the cache.
        codec: Its codec.
    """

    kind: Tier = "store"
    coherent = False
    """Nobody tells of changes by others, so memory does not stand in front."""
    echoes = False

    def __init__(self, line: StoreLine, name: str, codec: Codec) -> None:
        self.line = line
        self.journal = MissedInvalidations(line.config.journal)
        self.counts: Counts | None = None
        self._spared: dict[str, float] = {}
        self._codec = codec
        self._store: BytesStore = line.store
        self._keys = StoreKeys(line.config.keyspace, name)

    @property
    def available(self) -> bool:
        """Whether the store answers."""
        return self.line.available

    def away(self) -> float:
        """Return how many seconds it has not answered since the start."""
        return self.line.away()

    def forget(self) -> None:
        """In a forked child: never answer again."""
        self.line.available = False

    def _require(self) -> None:
        if not self.line.available:
            raise StoreUnavailableError(f"cache store {self.line.name!r} is away")

    # The store

    async def _find(self, at: str) -> bytes | None:
        return await self.line.ask(self._store.find, at)

    async def _commit(self, at: str, record: msgspec.Struct, instead_of: bytes | None, until: float) -> bool:
        return await self.line.ask(self._store.commit, at, encode(record), instead_of, until)

    async def _clock(self) -> ClockRecord:
        """Return the clock, made when there is none."""
        return (await self._read_clock())[1]

    async def _read_clock(self) -> tuple[bytes, ClockRecord]:
        for _ in range(_ATTEMPTS):
            raw = await self._find(self._keys.clock)
            clock = _decoded(clock_decoder, raw)
            if raw is not None and clock is not None:
                return raw, clock
            new = ClockRecord(self.line.now() + _MARK_LIFE)
            await self._commit(self._keys.clock, new, raw, new.until)
        raise StoreUnavailableError(f"cache store {self.line.name!r} keeps no clock")

    async def _move_clock(self, change: Callable[[ClockRecord], ClockRecord]) -> ClockRecord:
        for _ in range(_ATTEMPTS):
            raw, clock = await self._read_clock()
            new = replace(change(clock), until=self.line.now() + _MARK_LIFE)
            if await self._commit(self._keys.clock, new, raw, new.until):
                return new
        raise _too_busy()

    async def _mark(self, tag: str, clock: ClockRecord) -> int:
        """Return where the clock stood when a tag was invalidated; 0 when it was not."""
        mark = _decoded(tag_decoder, await self._find(self._keys.tag(tag)))
        return mark.seq if mark is not None and mark.epoch == clock.epoch else 0

    # Reading

    @at_home
    async def read(self, key: str) -> Answer:
        """Return what is there, and what a load that begins now carries along."""
        self._require()
        return (await self._look(key, await self._clock()))[0]

    @at_home
    async def read_many(self, keys: Sequence[str]) -> Mapping[str, Answer]:
        """The same for several keys."""
        self._require()
        clock = await self._clock()
        return {key: (await self._look(key, clock))[0] for key in keys}

    async def _look(self, key: str, clock: ClockRecord) -> tuple[Answer, Kept | None]:
        raw = await self._find(self._keys.entry(key))
        record = _decoded(value_decoder, raw)
        kept = record if isinstance(record, Kept) and record.key == key else None
        found = None if kept is None else await self._opened(kept, clock)
        seen = Seen(clock.epoch, clock.seq, raw, self.line.now())
        return Answer(seen, found), kept if found is not None else None

    async def _opened(self, kept: Kept, clock: ClockRecord) -> Found | None:
        """Return a value that is valid and not over."""
        age = max(0.0, self.line.now() - kept.created)
        kept_for = kept.ttl + kept.stale_for - age
        if kept_for <= 0 or kept.epoch != clock.epoch or kept.seq < clock.cleared:
            return None
        for tag in kept.tags:
            if kept.seq < await self._mark(tag, clock):
                return None
        try:
            value = self._codec.open(kept.flags, kept.payload)
        except UndecodableError:
            if self.counts is not None:
                self.counts.corrupt += 1
            return None
        return Found(value, age, kept.ttl - age, kept_for, kept.tags)

    # Writing

    @at_home
    async def write(self, parcels: Sequence[Parcel]) -> Sequence[bool]:
        """Store values; which of them were stored."""
        try:
            self._require()
            return [await self._write(parcel) for parcel in parcels]
        except StoreUnavailableError:
            self.journal.note_keys(parcel.key for parcel in parcels if parcel.since is None)
            raise

    async def _write(self, parcel: Parcel) -> bool:
        clock = await self._lasting_clock()
        if parcel.since is not None:
            # What was loaded is stored unless something that concerns it happened since the load began.
            since = parcel.since
            if not isinstance(since, Seen) or since.epoch != clock.epoch:
                return False
            if since.seq < max(clock.cleared, clock.barred) or self.line.now() - since.at > _LONGEST_LOAD:
                return False
            for tag in parcel.tags:
                if since.seq < await self._mark(tag, clock):
                    return False
            at, new = self._keys.entry(parcel.key), self._new(parcel, since.seq, clock)
            if not await self._put(at, new, since.raw):
                return False
            if (await self._clock()).barred <= since.seq:
                return True
            # A pattern's sweep may have been here before.
            await self.line.ask(self._store.delete, at, encode(new))
            return False
        at, new = self._keys.entry(parcel.key), self._new(parcel, clock.seq, clock)
        for _ in range(_ATTEMPTS):
            if await self._put(at, new, await self._find(at)):
                return True
        return False

    def _new(self, parcel: Parcel, seq: int, clock: ClockRecord) -> Kept:
        flags, payload = self._codec.seal(parcel.payload)
        life = parcel.life
        return Kept(
            key=parcel.key, epoch=clock.epoch, seq=seq, created=self.line.now(), ttl=life.ttl,
            stale_for=life.stale_for, tags=parcel.tags, flags=flags, payload=payload,
        )  # fmt: skip

    async def _put(self, at: str, new: Kept, instead_of: bytes | None) -> bool:
        until = min(new.created + new.ttl + new.stale_for, self.line.now() + _LONGEST_LIFE)
        return await self._commit(at, new, instead_of, until)

    async def _lasting_clock(self) -> ClockRecord:
        """Return a clock that outlives whatever is stored now."""
        clock = await self._clock()
        if clock.until - self.line.now() > _LONGEST_LIFE + _CLOCK_SLACK:
            return clock
        return await self._move_clock(lambda found: found)

    # Invalidating

    @at_home
    async def delete(self, keys: Sequence[str]) -> int:
        """Remove keys and overtake their loads; how many had a fresh value."""
        try:
            self._require()
            return await self._delete(keys)
        except StoreUnavailableError:
            self.journal.note_keys(keys)
            raise

    async def _delete(self, keys: Sequence[str]) -> int:
        clock = await self._clock()
        return sum([await self._delete_one(key, clock) for key in keys])

    async def _delete_one(self, key: str, clock: ClockRecord) -> bool:
        for _ in range(_ATTEMPTS):
            answer, _kept = await self._look(key, clock)
            until = self.line.now() + _LONGEST_LOAD
            if await self._commit(self._keys.entry(key), Gone(until), _raw_of(answer), until):
                return answer.found is not None and answer.found.fresh_for > 0
        raise _too_busy()

    @at_home
    async def invalidate_tags(self, tags: Sequence[str]) -> None:
        """Invalidate by tag and overtake loads."""
        try:
            self._require()
            await self._invalidate_tags(tags)
        except StoreUnavailableError:
            self.journal.note_tags(tags)
            raise

    async def _invalidate_tags(self, tags: Sequence[str]) -> None:
        clock = await self._move_clock(_one_later)
        for at in map(self._keys.tag, tags):
            for _ in range(_ATTEMPTS):
                raw = await self._find(at)
                mark = _decoded(tag_decoder, raw)
                if mark is not None and mark.epoch == clock.epoch and mark.seq >= clock.seq:
                    break
                new = TagMark(clock.epoch, clock.seq)
                if await self._commit(at, new, raw, self.line.now() + _MARK_LIFE):
                    break
            else:
                raise _too_busy()

    @at_home
    async def clear(self) -> None:
        """Invalidate everything and overtake loads."""
        try:
            self._require()
            await self._clear()
        except StoreUnavailableError:
            self.journal.note_everything()
            raise

    async def _clear(self) -> None:
        await self._move_clock(lambda clock: replace(_one_later(clock), cleared=clock.seq + 1))

    @at_home
    async def invalidate_matching(self, pattern: KeyPattern) -> int:
        """Invalidate by pattern and overtake loads; how many fresh values were removed.

        A store that cannot list its keys is cleared: what cannot be looked for cannot be told from the rest.
        """
        try:
            self._require()
            return await self._invalidate_matching(pattern)
        except BaseException:
            self.journal.note_pattern(pattern)
            raise

    async def _invalidate_matching(self, pattern: KeyPattern) -> int:
        if not isinstance(self._store, ListingStore):
            await self._clear()
            return 0
        clock = await self._move_clock(lambda clock: replace(_one_later(clock), barred=clock.seq + 1))
        removed = 0
        async for _, _, kept in self._listed():
            if kept is not None and pattern(kept.key):
                removed += await self._delete_one(kept.key, clock)
        return removed

    async def _listed(self) -> AsyncIterator[tuple[str, bytes, Kept | None]]:
        """Yield where something stands, its bytes, and the value; a page at a time."""
        store, after = self._store, ""
        while isinstance(store, ListingStore):
            page = await self.line.ask(store.list_keys, self._keys.entries, after, _PAGE)
            for at in page:
                raw = await self._find(at)
                record = _decoded(value_decoder, raw)
                if raw is not None:
                    yield at, raw, record if isinstance(record, Kept) else None
            if len(page) < _PAGE:
                return
            after = page[-1]

    @at_home
    async def cleanup(self) -> int:
        """Remove what takes room and is over or invalidated; how many values that were."""
        self._require()
        clock, removed = await self._clock(), 0
        async for at, raw, kept in self._listed():
            record = _decoded(value_decoder, raw)
            over = isinstance(record, Gone) and record.until <= self.line.now()
            if over or (kept is not None and await self._opened(kept, clock) is None):
                removed += await self.line.ask(self._store.delete, at, raw) and kept is not None
        return removed

    async def replay(self) -> None:
        """Make the invalidations that were missed.

        Raises:
            StoreUnavailableError: The store is away again; they are remembered still.
        """
        taken = self.journal.take()
        try:
            if taken.everything:
                await self._clear()
            if taken.tags:
                await self._invalidate_tags(tuple(taken.tags))
            if taken.keys:
                await self._delete(tuple(taken.keys))
            for pattern in taken.patterns:
                await self._invalidate_matching(pattern)
        except BaseException:
            self.journal.put_back(taken)
            raise

    # Changing in place

    @at_home
    async def increment(self, key: str, by: int, life: Lifetime) -> int:
        """Add to an integer."""
        return int(await self._update(key, adding(by), life))

    @at_home
    async def update(self, key: str, change: Callable[[Any, bool], Any], life: Lifetime) -> Any:
        """Replace a value by ``change(value, present)``, again if somebody else was faster."""
        return await self._update(key, change, life)

    async def _update(self, key: str, change: Callable[[Any, bool], Any], life: Lifetime) -> Any:
        made: list[Any] = []

        def changed(found: Found | None, kept: Kept | None, clock: ClockRecord) -> Kept:
            made[:] = [change(None if found is None else found.value, found is not None)]
            parcel = Parcel(key, self._codec.pack(made[0]), life)
            new = self._new(parcel, clock.seq, clock)
            if kept is None:
                return new
            return replace(
                new,
                seq=kept.seq,
                created=kept.created,
                ttl=kept.ttl,
                stale_for=kept.stale_for,
                tags=kept.tags,
            )

        await self._swap(key, changed)
        return made[0]

    @at_home
    async def replace(
        self, key: str, value: Any, wanted: Callable[[Any, bool], bool], life: Lifetime, tags: Sequence[str]
    ) -> bool:
        """Store if ``wanted(value, present)`` says so of what is there, again if somebody else was faster."""
        parcel = Parcel(key, self._codec.pack(value), life, tuple(tags))

        def changed(found: Found | None, kept: Kept | None, clock: ClockRecord) -> Kept | None:
            is_wanted = wanted(None if found is None else found.value, found is not None)
            return self._new(parcel, clock.seq, clock) if is_wanted else None

        return await self._swap(key, changed)

    @at_home
    async def touch(self, key: str, life: Lifetime) -> bool:
        """Begin the life of a fresh value again; whether there was one."""

        def changed(found: Found | None, kept: Kept | None, clock: ClockRecord) -> Kept | None:
            if kept is None:
                return None
            again = self._new(Parcel(key, b"", life, kept.tags), kept.seq, clock)
            return replace(again, flags=kept.flags, payload=kept.payload)

        return await self._swap(key, changed)

    async def _swap(
        self, key: str, changed: Callable[[Found | None, Kept | None, ClockRecord], Kept | None]
    ) -> bool:
        """Put what ``changed`` makes of a fresh value in its place; False when it makes nothing."""
        try:
            self._require()
            for attempt in range(_ATTEMPTS):
                clock = await self._lasting_clock()
                answer, kept = await self._look(key, clock)
                fresh = answer.found if answer.found is not None and answer.found.fresh_for > 0 else None
                new = changed(fresh, kept if fresh is not None else None, clock)
                if new is None:
                    return False
                if await self._put(self._keys.entry(key), new, _raw_of(answer)):
                    return True
                if attempt > 2:
                    await anyio.sleep(random.uniform(0, 0.001 * attempt))  # noqa: S311 # spreads the crowd
        except StoreUnavailableError:
            self.journal.note_keys([key])
            raise
        raise _too_busy()

    # Leases: a store keeps none, so each process loads for itself; after a failure it leaves the source alone

    async def lease(self, key: str, patience: float, tags: Sequence[str] = ()) -> Lease:
        """Let the caller load, unless a fresh value has come that it had not seen, or a load failed a moment ago."""
        answer = await self.read(key)
        if patience > 0 and answer.found is not None and answer.found.fresh_for > 0:
            return Lease(key, "", answer.snapshot, answer.found)
        return Lease(key, "" if self._spared.get(key, 0.0) > self.line.now() else "-", answer.snapshot)

    def give_back(self, lease: Lease, hold_for: float = 0.0) -> None:
        """Remember for a while that nobody here shall load."""
        now, spared = self.line.now(), self._spared
        while spared and spared[oldest := next(iter(spared))] <= now:
            del spared[oldest]
        if hold_for > 0:
            spared.pop(lease.key, None)
            spared[lease.key] = now + hold_for

    # Looking

    @at_home
    async def keys(self, limit: int) -> list[str]:
        """Return some of the keys; none where the store cannot list them."""
        self._require()
        clock, found = await self._clock(), list[str]()
        async for _, _, kept in self._listed():
            opened = None if kept is None else await self._opened(kept, clock)
            if kept is not None and opened is not None and opened.fresh_for > 0:
                found.append(kept.key)
            if len(found) >= limit:
                break
        return found


def _raw_of(answer: Answer) -> bytes | None:
    return answer.snapshot.raw if isinstance(answer.snapshot, Seen) else None


def _one_later(clock: ClockRecord) -> ClockRecord:
    return replace(clock, seq=clock.seq + 1)


def _decoded(decoder: msgspec.msgpack.Decoder[Any], raw: bytes | None) -> Any:
    """Return what stands in bytes; None for nothing, and for what nobody wrote."""
    try:
        return None if raw is None else decoder.decode(raw)
    except msgspec.MsgspecError:
        return None


def _too_busy() -> CacheValueError:
    return CacheValueError("too many callers change this key at once: keep it in its own store")
