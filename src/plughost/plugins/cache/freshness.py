"""How long a value is fresh, when it is loaded again, and how long it is kept for bad times."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import msgspec

from plughost.contracts import Seconds
from plughost.plugins.cache.config import CacheSettings
from plughost.plugins.cache.entry import Entry

LONGEST: Final = 10 * 365 * 86400.0
"""Ten years: what "for ever" means, so that every moment is a number that a server can count with."""


def bounded_seconds(value: Seconds, what: str = "ttl") -> float:
    """Return a length of time as seconds, at most ``LONGEST``, and if it is negative no further from 0.

    Raises:
        TypeError: It is neither a number nor a ``timedelta``; a bool is none either.
        ValueError: It is not a number in the other sense.
    """
    # The usual; what is not a number is not below anything.
    if type(value) is float and -LONGEST <= value <= LONGEST:
        return value
    if type(value) is int and -LONGEST <= value <= LONGEST:
        return float(value)
    if isinstance(value, timedelta):
        return min(value.total_seconds(), LONGEST)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is seconds or a timedelta, not {value!r}")
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{what} is not a number")
    return float(max(-LONGEST, min(value, LONGEST)))  # an integer may be too long for a float


def time_left(ttl: float, left: float) -> float:
    """Return the time left of so long a life as the contract says it: infinite for one that never ends.

    A second is allowed for, because a server counts in milliseconds from its own clock.
    """
    return float("inf") if ttl >= LONGEST - 1.0 else left


class Lifetime(msgspec.Struct, frozen=True, gc=False):
    """The life of one value, in seconds from being stored.

    Attributes:
        ttl: How long it is fresh; 0 or less: it is not stored.
        stale_for: How long it is kept after that.
        refresh: Share of ``ttl`` at whose end it is loaded again in the background; 0 for not.
    """

    ttl: float
    stale_for: float = 0.0
    refresh: float = 0.0

    def entry(self, value: Any, now: float, tags: tuple[str, ...] = (), weight: int = 0) -> Entry:
        """Return an entry for a tier in memory, stored now."""
        fresh_until = now + self.ttl
        return Entry(
            value,
            fresh_until,
            fresh_until - self.refresh * self.ttl if self.refresh else fresh_until,
            fresh_until + self.stale_for if self.stale_for else fresh_until,
            self.ttl,
            tags,
            weight,
        )


class Freshness(msgspec.Struct, frozen=True):
    """What a cache does about freshness unless a call says otherwise.

    Attributes:
        ttl: Seconds values live.
        stale_for: Seconds they are kept after that.
        refresh: Share of the time at whose end a reader begins a new load.
        jitter: Loaded values live up to this share shorter, so that what was loaded together ends apart.
        negative_ttl: Seconds a loaded None lives; None treats it like any value, 0 does not keep it.
        random: Returns a number in [0, 1).
    """

    ttl: float
    stale_for: float = 0.0
    refresh: float = 0.0
    jitter: float = 0.0
    negative_ttl: float | None = None
    random: Callable[[], float] = random.random

    @classmethod
    def of(cls, settings: CacheSettings) -> Freshness:
        """Return what the settings of a cache say of it."""
        return cls(
            ttl=settings.ttl,
            stale_for=settings.stale_for,
            refresh=settings.refresh_threshold,
            jitter=settings.jitter,
            negative_ttl=settings.negative_ttl,
        )

    def written(self, ttl: Seconds | None) -> Lifetime:
        """Return the life of a value that somebody stores: exactly as long as said."""
        return Lifetime(self.ttl if ttl is None else bounded_seconds(ttl), self.stale_for, self.refresh)

    def loaded(
        self, value: Any, ttl: Seconds | None, stale_for: Seconds | None, refresh: float | None
    ) -> Lifetime:
        """Return the life of a value that a loader made."""
        length = self.ttl if ttl is None else bounded_seconds(ttl)
        if value is None and self.negative_ttl is not None:
            length = min(length, self.negative_ttl)
        if self.jitter and length < LONGEST:
            length *= 1.0 - self.jitter * self.random()
        grace = self.stale_for if stale_for is None else max(0.0, bounded_seconds(stale_for, "stale_for"))
        return Lifetime(length, grace, self.refresh if refresh is None else share_of(refresh))


def share_of(refresh_threshold: float) -> float:
    """Return a refresh threshold that was checked.

    Raises:
        ValueError: It is not in [0, 1).
    """
    if isinstance(refresh_threshold, bool) or not 0 <= refresh_threshold < 1:
        raise ValueError(f"refresh_threshold is a share from 0 to below 1, not {refresh_threshold!r}")
    return float(refresh_threshold)
