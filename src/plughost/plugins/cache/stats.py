"""Counters of one cache: plain integers, read when somebody asks."""

from __future__ import annotations

from collections import Counter, deque

from plughost.contracts import CacheStats


def percentiles(samples: deque[float]) -> tuple[float, float]:
    """Return the median and the 99th percentile; zeros when there is nothing."""
    if not samples:
        return 0.0, 0.0
    ordered = sorted(samples)
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


class Counts:
    """What happened since ``since``."""

    __slots__ = (
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
        "misses",
        "refreshes",
        "refused",
        "sets",
        "since",
        "stale",
    )

    def __init__(self, since: float) -> None:
        self.reset(since)

    def reset(self, since: float) -> None:
        """Count from zero again."""
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

    def report(self, name: str, now: float, **more: object) -> CacheStats:
        """Return the figures, with those that others keep."""
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
            **more,  # type: ignore[arg-type] # the facade passes entries, bytes, age and the backend's figures
        )
