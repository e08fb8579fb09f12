"""A cache of large things on the disk, such as images: bounded, and quick to answer even when it is not fresh."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from plughost._dataclasses import dataclass
from plughost.contracts.plugin import Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch function brings.

    Attributes:
        body: The bytes, whole or in pieces; pieces go to the disk as they come.
        content_type: What they are, such as ``image/webp``; empty when unknown.
        ttl: Seconds it is fresh; None takes what the call or the configuration says.
        metadata: Further facts to keep beside it, as text.
    """

    body: bytes | AsyncIterable[bytes]
    content_type: str = ""
    ttl: float | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


Fetch = Callable[[], Awaitable[Fetched]]
"""Brings the thing of one key from where it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskEntry:
    """A thing in the cache. Its file stays readable for as long as it is open, even when the entry goes.

    Attributes:
        key: Its key.
        path: The file that holds the bytes and nothing else.
        size: How many.
        content_type: What they are; empty when unknown.
        age: Seconds since it was fetched.
        ttl: Seconds it has left; negative once it is stale.
        stale: Whether its time is over: somebody fetches it again, or could not.
        metadata: What was kept beside it.
    """

    key: str
    path: Path
    size: int
    content_type: str
    age: float
    ttl: float
    stale: bool
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskCacheStats:
    """Figures since the start.

    Attributes:
        entries: Things in the cache.
        bytes: Their size together.
        max_bytes: What that may be at most.
        hits: Answers that were fresh.
        stale: Answers whose time was over.
        misses: Questions for which somebody had to wait.
        fetches: Fetches that ended well.
        fetch_errors: Fetches that failed.
        evicted: Things that had to make room.
        expired: Things that were removed because their time, and their time as stale, was over.
    """

    entries: int
    bytes: int
    max_bytes: int
    hits: int
    stale: int
    misses: int
    fetches: int
    fetch_errors: int
    evicted: int
    expired: int


@runtime_checkable
class DiskCache(Protocol):
    """The disk cache of a host. Ask for it with ``host.use(DiskCache)``; the plugin ``diskcache`` provides it.

    It is one for all plugins: begin keys with your plugin's name. A removal always wins: what a fetch brings that
    began before it is not kept, and who waits for it is given what the next fetch brings.
    """

    async def get(self, key: str) -> DiskEntry | None:
        """Return what is kept under ``key``, fresh or stale; None when nothing is."""

    async def get_or_fetch(
        self, key: str, fetch: Fetch, *, ttl: Seconds | None = None, stale_for: Seconds | None = None
    ) -> DiskEntry:
        """Return what is kept; when it is stale return it all the same and fetch it again in the background.

        When nothing is kept, one fetch brings it for all who ask. The fetch belongs to the cache: a caller
        who is cancelled harms neither it nor the others.

        Args:
            key: The key: any text.
            fetch: Brings the thing.
            ttl: Seconds it is fresh.
            stale_for: Seconds it may be given out after that.

        Raises:
            Exception: What ``fetch`` raised, when nothing is kept; all who wait get the same.
            CacheValueError: It is larger than one thing may be.
        """

    async def put(self, key: str, fetched: Fetched, *, ttl: Seconds | None = None) -> DiskEntry:
        """Keep something under ``key``.

        Raises:
            CacheValueError: It is larger than one thing may be.
        """

    async def delete(self, key: str) -> bool:
        """Remove what is kept under ``key``; whether something was."""

    async def delete_prefix(self, prefix: str) -> int:
        """Remove what is kept under keys that begin with ``prefix``; how much that was.

        Raises:
            ValueError: The prefix is empty; ``clear`` removes everything.
        """

    async def clear(self) -> int:
        """Remove everything; how much that was."""

    async def cleanup(self) -> int:
        """Remove what is over and what is above the bound; how much that was."""

    def stats(self) -> DiskCacheStats:
        """Return the figures."""
