"""What caches tell plugins, and what plugins may tell caches to keep warm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from plughost._dataclasses import dataclass

CacheEventKind = Literal["set", "hit", "miss", "evicted", "expired", "deleted", "invalidated", "cleared"]
"""What happened to a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEvent:
    """Something that happened in a cache.

    Attributes:
        cache: Name of the cache.
        key: The key; the pattern or tag for ``invalidated``; empty when it is about the whole cache.
        kind: What happened.
        cause: Why: ``size``, ``bytes`` or ``ttl`` for what went by itself, ``tag``, ``glob``, ``regex`` or
            ``key`` for what was invalidated; empty when the kind says it all.
        count: How many times since the last batch. Hits are only ever counted, never told one by one.
    """

    cache: str
    key: str
    kind: CacheEventKind
    cause: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmEntry:
    """A key that a cache shall load before anybody asks for it.

    Attributes:
        key: The key.
        loader: Called without arguments, sync or async; returns the value to store.
        ttl: Seconds the value lives; None takes the cache's.
        tags: Tags to invalidate it by.
    """

    key: str
    loader: Callable[[], Awaitable[Any] | Any]
    ttl: float | None = None
    tags: tuple[str, ...] = ()
