"""Rate limits over a window that slides: never more than the limit in any window, wherever it begins.

Up to ``EXACT`` the moments themselves are kept. Above it the window is cut into ten parts that are counted, and
one part more than the window is looked at, so that the answer errs towards refusing, by a tenth of the window at most.
The script in ``redis.limiter`` is the same algorithm on the server's clock.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from plughost.contracts import SYSTEM_CLOCK, Clock, Limit, LimitResult, OutagePolicy, Seconds
from plughost.exceptions import StoreUnavailableError, did_you_mean
from plughost.plugins.cache.engine import check_key
from plughost.plugins.cache.freshness import seconds_of

EXACT: Final = 1000
PARTS: Final = 10
_MOST_KEYS: Final = 100_000

Asked = Sequence[tuple[str, Limit]]


class LimitStore(Protocol):
    """Where uses are counted."""

    async def check(self, asked: Asked, cost: int, peek: bool) -> list[LimitResult]:
        """Count against all or none; the result of each."""

    async def reset(self, key: str, limit: Limit) -> None:
        """Forget what was counted."""


class Log:
    """The moments of up to ``EXACT`` uses."""

    __slots__ = ("_moments",)

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def look(self, now: float, limit: Limit, cost: int) -> LimitResult:
        """Say whether ``cost`` more would be allowed."""
        moments = self._moments
        while moments and moments[0] <= now - limit.window:
            moments.popleft()
        used = len(moments)
        allowed = used + cost <= limit.limit
        retry = 0.0 if allowed else moments[used + cost - limit.limit - 1] + limit.window - now
        reset = moments[-1] + limit.window - now if moments else 0.0
        return _result(limit, allowed, limit.limit - used, reset, retry)

    def count(self, now: float, limit: Limit, cost: int) -> None:
        """Count ``cost`` uses."""
        self._moments.extend([now] * cost)

    def over(self, now: float, window: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self._moments or self._moments[-1] <= now - window


class Parts:
    """Counts of the parts of a window."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def look(self, now: float, limit: Limit, cost: int) -> LimitResult:
        """Say whether ``cost`` more would be allowed."""
        width = limit.window / PARTS
        current = math.floor(now / width)
        for part in [part for part in self._counts if part < current - PARTS]:
            del self._counts[part]
        used = sum(self._counts.values())
        allowed = used + cost <= limit.limit
        retry = 0.0 if allowed else self._retry(limit, used + cost - limit.limit, width, now)
        reset = (max(self._counts) + PARTS + 1) * width - now if self._counts else 0.0
        return _result(limit, allowed, limit.limit - used, reset, retry)

    def _retry(self, limit: Limit, too_many: int, width: float, now: float) -> float:
        for part in sorted(self._counts):
            too_many -= self._counts[part]
            if too_many <= 0:
                return (part + PARTS + 1) * width - now
        return limit.window

    def count(self, now: float, limit: Limit, cost: int) -> None:
        """Count ``cost`` uses."""
        part = math.floor(now / (limit.window / PARTS))
        self._counts[part] = self._counts.get(part, 0) + cost

    def over(self, now: float, window: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self._counts or (max(self._counts) + PARTS + 1) * (window / PARTS) <= now


def _result(limit: Limit, allowed: bool, left: int, reset: float, retry: float) -> LimitResult:
    return LimitResult(
        allowed=allowed,
        limit=limit.limit,
        remaining=max(0, left),
        reset_after=max(0.0, reset),
        retry_after=max(0.0, retry),
        name=limit.name,
    )


class MemoryLimits:
    """Counts in this process; bounded, and what is over is forgotten."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._uses: dict[tuple[str, float, bool], Log | Parts] = {}
        self._sweep_at = 1024

    async def check(self, asked: Asked, cost: int, peek: bool) -> list[LimitResult]:
        """Count against all or none."""
        with self._lock:
            now = self._clock.monotonic()
            uses = [self._of(key, limit) for key, limit in asked]
            results = [use.look(now, limit, cost) for use, (_, limit) in zip(uses, asked, strict=True)]
            if peek or not all(result.allowed for result in results):
                return results
            for use, (_, limit) in zip(uses, asked, strict=True):
                use.count(now, limit, cost)
            results = [use.look(now, limit, 0) for use, (_, limit) in zip(uses, asked, strict=True)]
            self._sweep(now)
            return results

    def _of(self, key: str, limit: Limit) -> Log | Parts:
        exact = limit.limit <= EXACT
        place = (key, limit.window, exact)
        use = self._uses.get(place)
        if use is None:
            use = self._uses[place] = Log() if exact else Parts()
        return use

    def _sweep(self, now: float) -> None:
        if len(self._uses) < self._sweep_at:
            return
        self._uses = {place: use for place, use in self._uses.items() if not use.over(now, place[1])}
        while len(self._uses) > _MOST_KEYS:
            del self._uses[next(iter(self._uses))]
        self._sweep_at = max(1024, 2 * len(self._uses))

    async def reset(self, key: str, limit: Limit) -> None:
        """Forget what was counted."""
        with self._lock:
            self._uses.pop((key, limit.window, limit.limit <= EXACT), None)


class Limiter:
    """Implements ``plughost.contracts.RateLimiter``.

    Args:
        shared: Where all processes count; None without Redis.
        named: The ready-made limits.
        clock: Time.
    """

    def __init__(
        self,
        shared: LimitStore | None = None,
        named: Mapping[str, Limit] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._local = MemoryLimits(clock)
        self._shared = shared
        self._named = dict(named or {})

    @property
    def limits(self) -> Mapping[str, Limit]:
        """The ready-made limits by name."""
        return dict(self._named)

    async def check(
        self,
        key: str,
        window: Seconds,
        limit: int,
        cost: int = 1,
        *,
        peek: bool = False,
        outage: OutagePolicy = "local",
    ) -> LimitResult:
        """Count ``cost`` against ``key`` and say whether that was allowed."""
        asked = Limit(limit=limit, window=seconds_of(window, "window"), outage=outage, name=key)
        return await self._check([(key, asked)], cost, peek)

    async def check_all(
        self, limits: Mapping[str, Limit] | Sequence[tuple[str, Limit]], cost: int = 1
    ) -> LimitResult:
        """Count against several keys in one step: all or none. Returns the result of the strictest."""
        asked = list(limits.items() if isinstance(limits, Mapping) else limits)
        if not asked:
            raise ValueError("no limits were given")
        return await self._check(asked, cost, False)

    async def check_named(self, name: str, subject: str, cost: int = 1) -> LimitResult:
        """Check a ready-made limit of the configuration."""
        limit = self._named.get(name)
        if limit is None:
            raise LookupError(f"there is no rate limit {name!r}.{did_you_mean(name, self._named)}")
        return await self._check([(f"{name}:{check_key(subject)}", limit)], cost, False)

    async def reset(self, key: str, window: Seconds, limit: int) -> None:
        """Forget what was counted for a key under that window and limit."""
        asked = Limit(limit=limit, window=seconds_of(window, "window"))
        _validate(key, asked, 0)
        await self._local.reset(key, asked)
        if self._shared is not None:
            try:
                await self._shared.reset(key, asked)
            except StoreUnavailableError:
                return  # it ends by itself

    async def _check(self, asked: Asked, cost: int, peek: bool) -> LimitResult:
        for key, limit in asked:
            _validate(key, limit, cost)
        beyond = next((limit for _, limit in asked if cost > limit.limit), None)
        if beyond is not None:  # never to be allowed, and nothing is counted
            now = await self._check([(key, limit) for key, limit in asked if limit is beyond], 0, True)
            return replace(now, allowed=False, retry_after=beyond.window)
        if self._shared is None:
            return _strictest(await self._local.check(asked, cost, peek))
        try:
            return _strictest(await self._shared.check(asked, cost, peek))
        except StoreUnavailableError:
            return await self._without_redis(asked, cost, peek)

    async def _without_redis(self, asked: Asked, cost: int, peek: bool) -> LimitResult:
        refusing = next((limit for _, limit in asked if limit.outage == "closed"), None)
        if refusing is not None:
            return _degraded(_result(refusing, False, 0, refusing.window, 1.0))
        counted = [(key, limit) for key, limit in asked if limit.outage == "local"]
        if not counted:
            limit = asked[0][1]
            return _degraded(_result(limit, True, limit.limit, 0.0, 0.0))
        return _degraded(_strictest(await self._local.check(counted, cost, peek)))


def _degraded(result: LimitResult) -> LimitResult:
    return replace(result, degraded=True)


def _strictest(results: Sequence[LimitResult]) -> LimitResult:
    refused = [result for result in results if not result.allowed]
    if refused:
        return max(refused, key=lambda result: result.retry_after)
    return min(results, key=lambda result: result.remaining)


def _validate(key: str, limit: Limit, cost: int) -> None:
    check_key(key)
    if isinstance(limit.limit, bool) or not isinstance(limit.limit, int) or limit.limit < 1:
        raise ValueError(f"a limit is an integer from 1, not {limit.limit!r}")
    if not limit.window > 0:
        raise ValueError(f"a window is above 0, not {limit.window!r}")
    if isinstance(cost, bool) or not isinstance(cost, int) or cost < 0:
        raise ValueError(f"a cost is an integer from 0, not {cost!r}")
