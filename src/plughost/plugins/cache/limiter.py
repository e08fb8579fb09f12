"""Rate limits: in this process, or where all processes count; what a limit does while Redis is away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec.structs import replace

from plughost.contracts import SYSTEM_CLOCK, Clock, Limit, LimitResult, OutagePolicy, Seconds
from plughost.exceptions import StoreUnavailableError, did_you_mean
from plughost.http.rates import Asked, WindowCounts
from plughost.plugins.cache.engine import check_key
from plughost.plugins.cache.freshness import bounded_seconds


class LimitStore(Protocol):
    """Where uses are counted."""

    async def check(self, asked: Asked, cost: int, peek: bool) -> list[LimitResult]:
        """Count against all or none; the result of each."""

    async def reset(self, key: str, limit: Limit) -> None:
        """Forget what was counted."""


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
        self._local = WindowCounts(clock)
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
        seconds = bounded_seconds(window, "window")
        if self._shared is None:  # as for every request of a route; nothing to wait for
            _validate(key, limit, seconds, cost)
            if cost <= limit:
                return self._local.check_one(key, limit, seconds, cost, peek=peek, name=key)
        asked = Limit(limit=limit, window=seconds, outage=outage, name=key)
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
        asked = Limit(limit=limit, window=bounded_seconds(window, "window"))
        _validate(key, asked.limit, asked.window, 0)
        self._local.forget(key, asked.limit, asked.window)
        if self._shared is not None:
            try:
                await self._shared.reset(key, asked)
            except StoreUnavailableError:
                return  # it ends by itself

    async def _check(self, asked: Asked, cost: int, peek: bool) -> LimitResult:
        for key, limit in asked:
            _validate(key, limit.limit, limit.window, cost)
        beyond = next((limit for _, limit in asked if cost > limit.limit), None)
        if beyond is not None:  # never to be allowed, and nothing is counted
            now = await self._check([(key, limit) for key, limit in asked if limit is beyond], 0, True)
            return replace(now, allowed=False, retry_after=beyond.window)
        if self._shared is None:
            return _strictest(self._local.check(asked, cost, peek=peek))
        try:
            return _strictest(await self._shared.check(asked, cost, peek))
        except StoreUnavailableError:
            return await self._without_redis(asked, cost, peek)

    async def _without_redis(self, asked: Asked, cost: int, peek: bool) -> LimitResult:
        refusing = next((limit for _, limit in asked if limit.outage == "closed"), None)
        if refusing is not None:
            return LimitResult(
                allowed=False,
                limit=refusing.limit,
                remaining=0,
                reset_after=refusing.window,
                retry_after=1.0,
                name=refusing.name,
                degraded=True,
            )
        counted = [(key, limit) for key, limit in asked if limit.outage == "local"]
        if not counted:
            limit = asked[0][1]
            return LimitResult(
                allowed=True,
                limit=limit.limit,
                remaining=limit.limit,
                reset_after=0.0,
                name=limit.name,
                degraded=True,
            )
        return replace(_strictest(self._local.check(counted, cost, peek=peek)), degraded=True)


def _strictest(results: Sequence[LimitResult]) -> LimitResult:
    refused = [result for result in results if not result.allowed]
    if refused:
        return max(refused, key=lambda result: result.retry_after)
    return min(results, key=lambda result: result.remaining)


def _validate(key: str, limit: int, window: float, cost: int) -> None:
    check_key(key)
    if type(limit) is type(cost) is int and limit > 0 <= cost and window > 0:
        return  # the usual
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise ValueError(f"a limit is an integer from 1, not {limit!r}")
    if not window > 0:
        raise ValueError(f"a window is above 0, not {window!r}")
    if isinstance(cost, bool) or not isinstance(cost, int) or cost < 0:
        raise ValueError(f"a cost is an integer from 0, not {cost!r}")
