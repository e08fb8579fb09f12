"""The disk cache: what is kept, who fetches it, and what has to go."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct, field

from plughost.contracts import (
    Clock,
    DiskCacheStats,
    DiskEntry,
    Fetch,
    Fetched,
    Seconds,
    call_loader,
    error_type_name,
    get_logger,
    seconds_of,
)
from plughost.exceptions import CacheValueError, StoreUnavailableError
from plughost.plugins.diskcache.shelf import Card, Shelf

_USE_NOTED_EVERY = 60.0
_log = get_logger("plughost.diskcache")


class _Flight(Struct):
    """One fetch, and all who wait for it.

    Attributes:
        overtaken: Whether its key was removed since it took off.
    """

    landed: anyio.Event = field(default_factory=anyio.Event)
    overtaken: bool = False
    error: Exception | None = None
    card: Card | None = None


class _Counts(Struct):
    hits: int = 0
    stale: int = 0
    misses: int = 0
    fetches: int = 0
    fetch_errors: int = 0
    evicted: int = 0
    expired: int = 0


class FileCache:
    """Implements ``plughost.contracts.disk_cache.DiskCache``; ``run`` must run while it is used.

    Args:
        shelf: The files.
        clock: Time.
        max_bytes: Bytes of all things together.
        max_file_bytes: Bytes of one thing.
        ttl: Seconds a thing is fresh when nobody says otherwise.
        stale_for: Seconds it may be given out after that.
        fetch_timeout: Seconds a fetch may take.
    """

    def __init__(
        self,
        shelf: Shelf,
        clock: Clock,
        *,
        max_bytes: int,
        max_file_bytes: int,
        ttl: float,
        stale_for: float,
        fetch_timeout: float,
    ) -> None:
        self._shelf = shelf
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_file_bytes = min(max_file_bytes, max_bytes)
        self._ttl = ttl
        self._stale_for = stale_for
        self._fetch_timeout = fetch_timeout
        self._cards: OrderedDict[str, Card] = OrderedDict()  # the one not used for longest comes first
        self._bytes = 0
        self._flights: dict[str, _Flight] = {}
        self._noted: dict[str, float] = {}
        self._counts = _Counts()
        self._tasks: TaskGroup | None = None
        self._waiting: list[Callable[[], Coroutine[Any, Any, None]]] = []  # until ``run`` runs

    async def recall(self) -> None:
        """Read what earlier runs have left."""
        found = await anyio.to_thread.run_sync(self._shelf.open)
        for card, _ in sorted(found, key=lambda pair: pair[1]):
            self._cards[card.key] = card
            self._bytes += card.size
        await self.cleanup()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the fetches until cancelled."""
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                while self._waiting:
                    tasks.start_soon(self._waiting.pop())
                task_status.started()
                await anyio.sleep_forever()
        finally:
            self._tasks = None
            for flight in self._flights.values():
                flight.error = StoreUnavailableError("the disk cache was stopped")
                flight.landed.set()
            self._flights.clear()

    async def get(self, key: str) -> DiskEntry | None:
        """Return what is kept under ``key``."""
        card = self._present(key)
        if card is None:
            self._counts.misses += 1
            return None
        return await self._given(card)

    async def get_or_fetch(
        self, key: str, fetch: Fetch, *, ttl: Seconds | None = None, stale_for: Seconds | None = None
    ) -> DiskEntry:
        """Return what is kept, or fetch it; what is stale is fetched again in the background."""
        card = self._present(key)
        if card is not None:
            if card.expires_at <= self._clock.time():
                self._take_off(key, fetch, ttl, stale_for)
            return await self._given(card)
        self._counts.misses += 1
        flight = self._take_off(key, fetch, ttl, stale_for)
        await flight.landed.wait()
        if flight.card is None:
            raise flight.error or StoreUnavailableError("the disk cache was stopped")
        return self._entry(flight.card)  # what took its place since, or its room, was not asked for

    async def put(self, key: str, fetched: Fetched, *, ttl: Seconds | None = None) -> DiskEntry:
        """Keep something under ``key``."""
        return self._entry(await self._kept(await self._written(key, fetched, ttl, None)))

    async def delete(self, key: str) -> bool:
        """Remove what is kept under ``key``."""
        return await self._remove(key.__eq__) > 0

    async def delete_prefix(self, prefix: str) -> int:
        """Remove what is kept under keys that begin with ``prefix``."""
        if not prefix:
            raise ValueError("delete_prefix needs a prefix; to remove everything use clear()")
        return await self._remove(lambda key: key.startswith(prefix))

    async def clear(self) -> int:
        """Remove everything."""
        return await self._remove(lambda key: True)

    async def _remove(self, chosen: Callable[[str], bool]) -> int:
        for key, flight in self._flights.items():
            flight.overtaken = flight.overtaken or chosen(key)
        cards = [card for key, card in self._cards.items() if chosen(key)]
        for card in cards:  # all at once for whoever asks, whatever the disk takes
            self._forget(card)
        for card in cards:
            await anyio.to_thread.run_sync(self._shelf.drop, card)
        return len(cards)

    async def cleanup(self) -> int:
        """Remove what is over and what is above the bound."""
        now = self._clock.time()
        over = [card for card in self._cards.values() if card.gone_at <= now]
        for card in over:
            await self._drop(card)
        self._counts.expired += len(over)
        return len(over) + await self._make_room()

    def stats(self) -> DiskCacheStats:
        """Return the figures."""
        counts = self._counts
        return DiskCacheStats(
            entries=len(self._cards),
            bytes=self._bytes,
            max_bytes=self._max_bytes,
            hits=counts.hits,
            stale=counts.stale,
            misses=counts.misses,
            fetches=counts.fetches,
            fetch_errors=counts.fetch_errors,
            evicted=counts.evicted,
            expired=counts.expired,
        )

    # fetching

    def _take_off(self, key: str, fetch: Fetch, ttl: Seconds | None, stale_for: Seconds | None) -> _Flight:
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight()
            fly = partial(self._fly, key, flight, fetch, ttl, stale_for)
            if self._tasks is None:
                self._waiting.append(fly)
            else:
                self._tasks.start_soon(fly)
        return flight

    async def _fly(
        self, key: str, flight: _Flight, fetch: Fetch, ttl: Seconds | None, stale_for: Seconds | None
    ) -> None:
        async def fetch_and_store() -> Card | None:
            """Fetch a thing and keep it; None when it was removed meanwhile, for then it is to be fetched anew."""
            card = await self._written(key, await fetch(), ttl, stale_for)
            if flight.overtaken:
                await anyio.to_thread.run_sync(self._shelf.drop, card)
                return None
            return await self._kept(card)

        try:
            with anyio.fail_after(self._fetch_timeout):
                while flight.card is None:
                    flight.overtaken = False
                    flight.card = await call_loader(fetch_and_store)
            self._counts.fetches += 1
        except Exception as error:
            self._counts.fetch_errors += 1
            flight.error = error
            _log.warning("fetch failed", key=key[:200], kind=error_type_name(error))
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.landed.set()

    # keeping

    def _present(self, key: str) -> Card | None:
        card = self._cards.get(key)
        return None if card is None or card.gone_at <= self._clock.time() else card

    async def _given(self, card: Card) -> DiskEntry:
        now = self._clock.time()
        self._cards.move_to_end(card.key)
        if card.expires_at <= now:
            self._counts.stale += 1
        else:
            self._counts.hits += 1
        if now - self._noted.get(card.key, 0.0) > _USE_NOTED_EVERY:
            self._noted[card.key] = now
            await anyio.to_thread.run_sync(self._shelf.used, card, now)
        return self._entry(card)

    async def _written(
        self, key: str, fetched: Fetched, ttl: Seconds | None, stale_for: Seconds | None
    ) -> Card:
        path, file = await anyio.to_thread.run_sync(self._shelf.new_body, key)
        size, kept = 0, False
        try:
            with file:
                async with _pieces(fetched.body) as pieces:
                    async for piece in pieces:
                        size += len(piece)
                        if size > self._max_file_bytes:
                            message = f"{key[:80]!r} is larger than {self._max_file_bytes} bytes"
                            raise CacheValueError(message)
                        await anyio.to_thread.run_sync(file.write, piece)
            now = self._clock.time()
            given = fetched.ttl if fetched.ttl is not None else ttl
            expires = now + (self._ttl if given is None else seconds_of(given, "ttl"))
            card = Card(
                key=key,
                body=path.name,
                size=size,
                content_type=fetched.content_type,
                stored_at=now,
                expires_at=expires,
                gone_at=expires
                + (self._stale_for if stale_for is None else seconds_of(stale_for, "stale_for")),
                metadata=dict(fetched.metadata),
            )
            await anyio.to_thread.run_sync(self._shelf.keep, card)
            kept = True
        finally:
            if not kept:
                path.unlink(missing_ok=True)
        return card

    async def _kept(self, card: Card) -> Card:
        before = self._cards.pop(card.key, None)
        self._bytes += card.size - (before.size if before is not None else 0)
        self._cards[card.key] = card
        await self._make_room()
        return card

    async def _make_room(self) -> int:
        evicted = 0
        while self._bytes > self._max_bytes and self._cards:
            await self._drop(next(iter(self._cards.values())))
            evicted += 1
        self._counts.evicted += evicted
        return evicted

    async def _drop(self, card: Card) -> None:
        self._forget(card)
        await anyio.to_thread.run_sync(self._shelf.drop, card)

    def _forget(self, card: Card) -> None:
        if self._cards.get(card.key) is card:
            del self._cards[card.key]
            self._bytes -= card.size
            self._noted.pop(card.key, None)

    def _entry(self, card: Card) -> DiskEntry:
        now = self._clock.time()
        return DiskEntry(
            key=card.key,
            path=self._shelf.path(card),
            size=card.size,
            content_type=card.content_type,
            age=max(0.0, now - card.stored_at),
            ttl=card.expires_at - now,
            stale=card.expires_at <= now,
            metadata=MappingProxyType(card.metadata),
        )


@asynccontextmanager
async def _pieces(body: bytes | AsyncIterable[bytes]) -> AsyncIterator[AsyncIterable[bytes]]:
    """Give a body piece by piece, and close its source whatever happens: nobody else knows that it is over."""
    if isinstance(body, bytes):
        yield _Whole(body)
        return
    try:
        yield body
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            with anyio.CancelScope(shield=True):
                await close()


class _Whole:
    """A body of one piece."""

    def __init__(self, body: bytes) -> None:
        self._left = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()
