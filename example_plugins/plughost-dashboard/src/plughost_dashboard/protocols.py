"""What other plugins use: ``from plughost_dashboard.protocols import Usage`` and ``context.use(Usage)``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageHour:
    """What was asked of one source within one hour.

    Attributes:
        hour: Hours since the epoch.
        source: What its caches and origins are called by, such as ``tmdb`` or ``plex``.
        reads: Answers that were asked for.
        stale: Those that were past their time.
        calls: Calls that were made to the service.
        errors: Those that brought nothing.
        ms: Milliseconds that they took together.
        loads: How often an answer was loaded into a cache; calls for pictures and films are none of these.
    """

    hour: int
    source: str
    reads: int = 0
    stale: int = 0
    calls: int = 0
    errors: int = 0
    ms: int = 0
    loads: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceUsage:
    """The same over some time.

    Attributes:
        source: What its caches and origins are called by.
        reads: Answers that were asked for.
        stale: Those that were past their time.
        calls: Calls that were made to the service.
        errors: Those that brought nothing.
        mean_ms: Milliseconds that a call took; 0.0 when there was none.
        saved: Share of the answers for which nothing was loaded; 0.0 when nothing was asked, or more was loaded.
    """

    source: str
    reads: int
    stale: int
    calls: int
    errors: int
    mean_ms: float
    saved: float


class Usage(Protocol):
    """What is asked of the services elsewhere, and what caches save."""

    def hours(self, since: int = 0) -> Sequence[UsageHour]:
        """Return what was asked since an hour, the oldest first. Waits for a file: call it in a thread."""

    def sources(self, since: int = 0) -> Sequence[SourceUsage]:
        """Return the same summed up by source, in the order of their names. Waits for a file, too."""
