"""Figures over time, sampled while the host runs, for the charts of the page."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from msgspec import Struct

from plughost.contracts import CacheEvent, CacheManager, CacheStats, Clock, PluginFailed, PluginRecord

_POINTS = 360
_SESSIONS_KEPT = 200
_FAILURES_KEPT = 5


class CachePoint(Struct, frozen=True, kw_only=True):
    """What one cache did between two samples.

    Attributes:
        at: When the later sample was taken, in seconds since the epoch.
        hits: Answers from a tier since the sample before.
        misses: Questions nobody could answer since then.
        entries: Entries in memory at that moment.
    """

    at: float
    hits: int
    misses: int
    entries: int

    @property
    def hit_rate(self) -> float | None:
        """Share of the questions that were answered; None when nothing was asked."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


class SessionEvent(Struct, frozen=True, kw_only=True):
    """Something that happened to a session.

    Attributes:
        at: When, in seconds since the epoch.
        kind: ``created``, ``rotated`` or ``ended``.
        handle: The session's public handle.
        subject: Whose it is or was; None for a visitor.
        reason: Why.
    """

    at: float
    kind: str
    handle: str
    subject: str | None
    reason: str


class CacheHistory:
    """The last points of every cache, and what was evicted why."""

    def __init__(self) -> None:
        self._points: dict[str, deque[CachePoint]] = {}
        self._last: dict[str, CacheStats] = {}
        self.causes: Counter[tuple[str, str]] = Counter()

    def sample(self, caches: CacheManager, now: float) -> None:
        """Take one sample of every cache."""
        for name, stats in caches.stats().items():
            before = self._last.get(name)
            reset = before is None or before.hits > stats.hits or before.misses > stats.misses
            hits, misses = (0, 0) if before is None or reset else (before.hits, before.misses)
            point = CachePoint(
                at=now, hits=stats.hits - hits, misses=stats.misses - misses, entries=stats.entries
            )
            self._points.setdefault(name, deque(maxlen=_POINTS)).append(point)
            self._last[name] = stats

    def count(self, events: Iterable[CacheEvent]) -> None:
        """Count what was told of evictions and invalidations."""
        for event in events:
            if event.kind in ("evicted", "expired", "invalidated"):
                self.causes[event.cache, event.cause or event.kind] += event.count

    def points(self, name: str) -> Sequence[CachePoint]:
        """Return the points of one cache, oldest first."""
        return tuple(self._points.get(name, ()))


class FailureHistory:
    """The last failures of each plugin, from the moment the page is there.

    Args:
        clock: Tells when they came.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, deque[dict[str, Any]]] = {}

    def note(self, event: PluginFailed) -> None:
        """Note a failure."""
        told = {"at": self._clock.time(), **asdict(event.error)}
        self._failures.setdefault(event.plugin.name, deque(maxlen=_FAILURES_KEPT)).append(told)

    def of(self, record: PluginRecord) -> list[dict[str, Any]]:
        """Return the failures of a plugin, newest first; one from before the page was there has no time."""
        told = list(reversed(self._failures.get(record.name, ())))
        if record.error is not None and not any(one["message"] == record.error.message for one in told):
            told.append({"at": None, **asdict(record.error)})
        return told


class SessionHistory:
    """The last events of sessions, how many there were, and how many are active over time."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._events: deque[SessionEvent] = deque(maxlen=_SESSIONS_KEPT)
        self._active: deque[tuple[float, int]] = deque(maxlen=_POINTS)

    def note(self, event: SessionEvent) -> None:
        """Note an event."""
        self.counts[event.kind] += 1
        self._events.append(event)

    def sample(self, active: int, now: float) -> None:
        """Note how many sessions are active."""
        self._active.append((now, active))

    def events(self) -> list[SessionEvent]:
        """Return the last events, newest first."""
        return list(reversed(self._events))

    def active(self) -> list[tuple[float, int]]:
        """Return when how many were active, oldest first."""
        return list(self._active)

    def subjects(self) -> list[str]:
        """Return whose sessions were seen, the latest first, each once."""
        seen: dict[str, Any] = {}
        for event in reversed(self._events):
            if event.subject is not None:
                seen.setdefault(event.subject, None)
        return list(seen)
