"""Caches as seen from outside: what an application asks of them, and what they answer.

``CacheManager`` hands out named caches; ``Cache`` is one of them. The plugin ``cache`` provides both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal, Protocol

from plughost._dataclasses import dataclass
from plughost.contracts.cache_events import CacheEvent, CacheEventKind, WarmEntry
from plughost.contracts.plugin import Seconds

Loader = Callable[[], Awaitable[Any] | Any]
"""Makes the value of one key: a plain or coroutine function without arguments."""

BatchLoader = Callable[[Sequence[str]], Awaitable[Mapping[str, Any]] | Mapping[str, Any]]
"""Makes the values of the keys it is given; a key it leaves out has no value."""

Tier = Literal["memory", "redis", "store"]
"""Where a value was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """A value and how fresh it is.

    Attributes:
        key: The key.
        value: What was stored.
        age: Seconds since it was stored.
        ttl: Seconds it has left; negative once it is stale; infinite when it never ends.
        tier: Where it was found.
        stale: Whether its time is over and it is only kept for when its loader fails.
        tags: Tags it can be invalidated by.
    """

    key: str
    value: Any
    age: float
    ttl: float
    tier: Tier
    stale: bool = False
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedKey:
    """A key that somebody said should be there.

    Attributes:
        key: The key.
        present: Whether it is there and fresh.
        age: Seconds since it was stored; None when it is not there.
        ttl: Seconds it has left; None when it is not there.
    """

    key: str
    present: bool
    age: float | None = None
    ttl: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """Figures of one cache since its start or the last ``reset_stats``.

    Counters are plain integers kept without a lock: right for one thread, and at most a few off when many
    threads hit at the same moment.

    Attributes:
        name: Name of the cache.
        backend: ``memory``, ``redis``, ``tiered``, or ``store`` for one of somebody else.
        available: Whether Redis or the store answers; always True for a cache in memory only.
        hits: Answers from a tier.
        misses: Questions no tier could answer.
        hit_rate: ``hits / (hits + misses)``; 0.0 when nothing was asked.
        stale: Answers that were past their time because their loader failed or was slow; part of ``hits``.
        sets: Values stored on request.
        deletes: Keys removed on request.
        invalidations: Calls that invalidated by tag, glob, regex or everything.
        loads: Loader runs that ended well.
        load_errors: Loader runs that failed.
        load_seconds: Median and 99th percentile of the last 512 loader runs.
        coalesced: Callers who were given the result of a load somebody else had begun.
        refreshes: Loads begun in the background before the value's time was over.
        discarded: Loads whose result was not stored because an invalidation had overtaken them.
        refused: Values not stored because they were too large or Redis was full.
        corrupt: Bytes found under our keys that could not be read.
        evicted: How many entries went because of ``size`` or ``bytes``.
        expired: Entries found past their time.
        entries: Entries in memory now.
        bytes: Their weight, when ``max_bytes`` is set; otherwise 0.
        age: Seconds since the oldest entry in memory was stored; 0.0 when there is none.
        since: Seconds these figures cover.
        fallback: Seconds spent without Redis.
        lost_events: Events dropped because nobody took them in time.
    """

    name: str
    backend: str = "memory"
    available: bool = True
    hits: int = 0
    misses: int = 0
    hit_rate: float = 0.0
    stale: int = 0
    sets: int = 0
    deletes: int = 0
    invalidations: int = 0
    loads: int = 0
    load_errors: int = 0
    load_seconds: tuple[float, float] = (0.0, 0.0)
    coalesced: int = 0
    refreshes: int = 0
    discarded: int = 0
    refused: int = 0
    corrupt: int = 0
    evicted: Mapping[str, int] = field(default_factory=dict)
    expired: int = 0
    entries: int = 0
    bytes: int = 0
    age: float = 0.0
    since: float = 0.0
    fallback: float = 0.0
    lost_events: int = 0


class SyncCache(Protocol):
    """The same cache for callers without an event loop: same store, same flights."""

    def get(self, key: str, default: Any = None) -> Any:
        """Return the fresh value of ``key``, or ``default``."""

    def set(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value; see ``Cache.set``."""

    def add(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value if no fresh one is there; see ``Cache.add``."""

    def touch(self, key: str, ttl: Seconds | None = None) -> bool:
        """Begin the life of a fresh value again; see ``Cache.touch``."""

    def compare_and_set(
        self, key: str, expected: Any, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> bool:
        """Store a value if the one that is there equals ``expected``; see ``Cache.compare_and_set``."""

    def delete(self, key: str) -> bool:
        """Remove a key; see ``Cache.delete``."""

    def exists(self, key: str) -> bool:
        """Whether a fresh value is there."""

    def get_or_set(
        self,
        key: str,
        loader: Loader,
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
        *,
        refresh_threshold: float | None = None,
        stale_for: Seconds | None = None,
    ) -> Any:
        """Return the value of ``key``; on a miss let one loader make it, in this thread."""

    def invalidate_tag(self, *tags: str) -> int:
        """Invalidate by tag; see ``Cache.invalidate_tag``."""

    def clear(self) -> None:
        """Invalidate everything; see ``Cache.clear``."""


class Cache(Protocol):
    """One named cache.

    Keys are non-empty strings. A ``ttl`` of None takes the cache's own; 0 or less stores nothing (and removes
    what was there); infinity never ends. Values are data: None, bool, int, float, str, bytes, list, tuple,
    set, frozenset, dict, date and time types, UUID and Decimal, nested as you like, and what the cache's
    ``type`` describes. What a tier in memory returns is shared by all readers: do not change it.

    No method raises because Redis is away. An invalidation always wins: what a load that began before it
    returns is neither stored nor served to anybody who asks after it.
    """

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def sync(self) -> SyncCache:
        """The same cache for callers without an event loop."""

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the fresh value of ``key``, or ``default``."""

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the fresh values there are; one round trip."""

    async def set(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value. A load of the same key that is under way will not overwrite it.

        Returns:
            Whether it was stored; False when it is larger than the cache takes, or its ttl is over.

        Raises:
            CacheValueError: The value is not data.
            TypeError: The key is not a string, or the ttl is not a length of time.
        """

    async def set_many(
        self, values: Mapping[str, Any], ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> int:
        """Store several values in one round trip; returns how many were stored."""

    async def add(self, key: str, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value if no fresh one is there, in one step; whether it was stored."""

    async def touch(self, key: str, ttl: Seconds | None = None) -> bool:
        """Begin the life of a fresh value again, as if it were stored now; whether there was one.

        A ``ttl`` of 0 or less removes it.
        """

    async def compare_and_set(
        self, key: str, expected: Any, value: Any, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> bool:
        """Store a value if the fresh one that is there has the type of ``expected`` and equals it, in one step.

        The new value has a life and tags of its own. Returns whether it was stored; False when nothing is there.

        Raises:
            CacheValueError: Too many others change the key at the same time.
        """

    async def delete(self, key: str) -> bool:
        """Remove a key and let no load that is under way bring it back; whether a fresh value was there."""

    async def delete_many(self, keys: Iterable[str]) -> int:
        """Remove several keys; how many had a fresh value."""

    async def exists(self, key: str) -> bool:
        """Whether a fresh value is there; counts as neither hit nor miss."""

    async def entry(self, key: str) -> CacheEntry | None:
        """Return the value with its age, time left, tier and staleness; None when nothing is kept."""

    async def get_or_set(
        self,
        key: str,
        loader: Loader,
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
        *,
        refresh_threshold: float | None = None,
        stale_for: Seconds | None = None,
        blocking: bool = False,
    ) -> Any:
        """Return the value of ``key``; on a miss let one loader run make it for all who ask.

        The load belongs to the cache: a caller who is cancelled harms neither it nor the others.

        Args:
            key: The key.
            loader: Makes the value. A plain function runs inline, or in a worker thread if ``blocking``.
            ttl: Seconds the value lives.
            tags: Tags to invalidate it by.
            refresh_threshold: When less than this share of its time is left, load again in the background.
            stale_for: Seconds to keep the value past its time, to be served when the loader fails.
            blocking: The loader is a plain function that waits.

        Raises:
            Exception: What the loader raised, when there is no stale value; all who wait get the same.
            LoadTimeoutError: It took longer than the cache's ``load_timeout``.
        """

    async def get_or_set_entry(
        self,
        key: str,
        loader: Loader,
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
        *,
        refresh_threshold: float | None = None,
        stale_for: Seconds | None = None,
        blocking: bool = False,
    ) -> CacheEntry:
        """The same, with the value's age, time left, tier and staleness; no time is left of what was not kept."""

    async def get_or_set_many(
        self, keys: Iterable[str], loader: BatchLoader, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> dict[str, Any]:
        """The same for several keys: one loader call for all that are missing and not being loaded."""

    async def write_through(
        self,
        key: str,
        value: Any,
        writer: Callable[[Any], Awaitable[object] | object],
        ttl: Seconds | None = None,
        tags: Iterable[str] = (),
    ) -> bool:
        """Write the value to its home by ``writer(value)``, then store it; a failing writer stores none.

        Whether it failed or not, what was cached before it is gone.
        """

    async def invalidate_tag(self, *tags: str) -> int:
        """Invalidate every entry with one of the tags; how many were in memory."""

    async def invalidate_glob(self, pattern: str) -> int:
        """Invalidate keys by shell pattern (``*``, ``?``, ``[a-z]``, ``[!a]``, backslash quotes one sign)."""

    async def invalidate_regex(self, pattern: str) -> int:
        """Invalidate keys by regular expression, matched from the key's beginning as ``re.match`` does."""

    async def clear(self) -> None:
        """Invalidate everything in this cache, and nothing else."""

    async def cleanup(self) -> int:
        """Remove what is past its time; how many entries that were."""

    async def increment(self, key: str, by: int = 1, ttl: Seconds | None = None) -> int:
        """Add to an integer, 0 when it is not there; ``ttl`` counts when it is made. Returns the sum.

        Raises:
            CacheValueError: What is stored is not an integer.
        """

    async def set_add(self, key: str, *members: Any, ttl: Seconds | None = None) -> int:
        """Add to a set; how many were new."""

    async def set_remove(self, key: str, *members: Any) -> int:
        """Remove from a set; how many were there."""

    async def set_members(self, key: str) -> frozenset[Any]:
        """Return the members of a set; empty when it is not there."""

    async def warm(
        self, key: str, loader: Loader, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> Any:
        """Load now, whether or not the value is there; returns it."""

    async def warm_many(self, entries: Iterable[WarmEntry]) -> int:
        """Load several, a few at a time; how many were loaded. Failures are counted and logged."""

    def keep_warm(
        self, key: str, loader: Loader, ttl: Seconds | None = None, tags: Iterable[str] = ()
    ) -> Callable[[], None]:
        """Load the key again each time 80 % of its time is over, until nobody reads it any more.

        Returns:
            A function that stops it.
        """

    def precompute(
        self, key: str, loader: Loader, every: Seconds, tags: Iterable[str] = ()
    ) -> Callable[[], None]:
        """Load the key now and each ``every`` seconds, read or not; returns a function that stops it."""

    def expect(self, *keys: str) -> None:
        """Say that these keys should be there, for ``expected``."""

    async def expected(self) -> list[ExpectedKey]:
        """Return what was expected or kept warm, and whether it is there."""

    async def keys(self, limit: int = 1000) -> list[str]:
        """Return some of the keys; for looking, never for deciding."""

    def on(self, kind: CacheEventKind, callback: Callable[[CacheEvent], object]) -> Callable[[], None]:
        """Call ``callback(event)`` when it happens; returns a function that stops it. Errors are logged."""

    def stats(self) -> CacheStats:
        """Return the figures."""

    def reset_stats(self) -> None:
        """Count from zero again."""


class CacheManager(Protocol):
    """All caches of a host."""

    @property
    def default(self) -> Cache:
        """The cache for what needs no name."""

    @property
    def debug(self) -> bool:
        """Whether listing what is cached is allowed; only in development."""

    def get(self, name: str, **settings: Any) -> Cache:
        """Return the cache of that name, made on first use.

        Args:
            name: Letters, digits, dot, dash and underscore.
            settings: The keys of the configuration, such as ``ttl=3600``, over what the configuration says;
                ``type`` to have values decoded as that type.

        Raises:
            ConfigError: A setting is unknown or differs from what the cache was made with.
        """

    def names(self) -> tuple[str, ...]:
        """Names of the caches there are."""

    def stats(self) -> dict[str, CacheStats]:
        """Figures by cache."""

    def reset_stats(self) -> None:
        """Count from zero again, in all caches."""

    def status(self) -> Mapping[str, object]:
        """What the backend is and how it does: mode, availability, coherence, last error."""

    async def warm(self, name: str | None = None) -> int:
        """Load what plugins want warm (hook ``warm_cache``) in one cache or all; how many were loaded."""

    async def clear(self) -> None:
        """Clear every cache."""

    async def cleanup(self) -> int:
        """Clean every cache up."""
