"""Counters of one cache: plain integers, read when somebody asks."""

from __future__ import annotations

from collections import Counter, deque
from typing import NamedTuple

from plughost.contracts import CacheStats


def percentiles(samples: deque[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile; zeros when there is nothing."""
    if not samples:
        return 0.0, 0.0
    ordered = sorted(samples)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


class TierFigures(NamedTuple):
    """How the tiers of a cache are now.

    Attributes:
        backend: ``memory``, ``redis``, ``tiered`` or ``store``.
        available: Whether Redis answers.
        entries: Entries in memory.
        bytes: Their bytes.
        age: Seconds since the oldest of them was stored.
        away: Seconds that Redis has been away since the start.
    """

    backend: str
    available: bool
    entries: int
    bytes: int
    age: float
    away: float


class Counts:
    """What happened since ``since``."""

    __slots__ = (
        "away_before",
        "coalesced",
        "corrupt",
        "deletes",
        "discarded",
        "evicted",
        "expired",
        "hits",
        "invalidations",
        "load_errors",
        "load_times",
        "loads",
        "lost_events",
        "misses",
        "refreshes",
        "refused",
        "sets",
        "since",
        "stale",
    )

    def __init__(self, since: float) -> None:
        self.reset(since)

    def reset(self, since: float, away: float = 0.0) -> None:
        """Count from zero again; ``away`` is how long Redis has been away until now."""
        self.away_before = away
        self.lost_events = 0
        self.since = since
        self.hits = self.misses = self.stale = self.sets = self.deletes = self.invalidations = 0
        self.loads = self.load_errors = self.coalesced = self.refreshes = 0
        self.discarded = self.refused = self.corrupt = self.expired = 0
        self.evicted: Counter[str] = Counter()
        self.load_times: deque[float] = deque(maxlen=512)

    def gone(self, kind: str, cause: str) -> None:
        """An entry was evicted or found expired."""
        if kind == "evicted":
            self.evicted[cause] += 1
        else:
            self.expired += 1

    def report(self, name: str, now: float, tiers: TierFigures) -> CacheStats:
        """Return the figures of the cache of that name: what was counted, and how its tiers are now."""
        asked = self.hits + self.misses
        return CacheStats(
            name=name,
            hits=self.hits,
            misses=self.misses,
            hit_rate=self.hits / asked if asked else 0.0,
            stale=self.stale,
            sets=self.sets,
            deletes=self.deletes,
            invalidations=self.invalidations,
            loads=self.loads,
            load_errors=self.load_errors,
            load_seconds=percentiles(self.load_times),
            coalesced=self.coalesced,
            refreshes=self.refreshes,
            discarded=self.discarded,
            refused=self.refused,
            corrupt=self.corrupt,
            evicted=dict(self.evicted),
            expired=self.expired,
            since=now - self.since,
            backend=tiers.backend,
            available=tiers.available,
            entries=tiers.entries,
            bytes=tiers.bytes,
            age=tiers.age,
            fallback=max(0.0, tiers.away - self.away_before),
            lost_events=self.lost_events,
        )
