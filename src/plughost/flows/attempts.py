"""How often somebody may try to sign in: counted by the cache plugin's limiter, or in memory without it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256

import msgspec

from plughost.contracts.auth import AuthAttempt
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.limits import RateLimiter
from plughost.core.rates import WindowCounts, network_of
from plughost.exceptions import PlughostError

_MOST_KEYS = 10_000


class SignInLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How many attempts are taken in one window. A success forgets those for its name.

    Attributes:
        window: Seconds that attempts are remembered.
        per_name: Attempts for one name from one address.
        per_address: Attempts from one address, whatever the names; for IPv6 its network is the address.
    """

    window: float = 300.0
    per_name: int = 10
    per_address: int = 100


class AttemptCounter:
    """Counts attempts before they are decided, so that a thousand at once are no way around it.

    Names are kept as digests: people type passwords into the wrong field.

    Args:
        limits: How many.
        limiter: Returns the shared limiter, or None when there is none now.
        clock: Time for the one in memory.
    """

    def __init__(
        self,
        limits: SignInLimits,
        limiter: Callable[[], RateLimiter | None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._limits = limits
        self._shared = limiter
        self._local = WindowCounts(clock, most=_MOST_KEYS)

    async def retry_after(self, attempt: AuthAttempt) -> float:
        """Count an attempt; 0 when it may go on, else the seconds after which the next one may."""
        address = _origin(attempt)
        by_address = 0.0
        if attempt.address is not None:  # those of unknown origin must not lock one another out
            by_address = await self._check(f"sign-in:from:{address}", self._limits.per_address)
        by_name = await self._check(_name_key(attempt, address), self._limits.per_name)
        return max(by_address, by_name)

    async def forget(self, attempt: AuthAttempt) -> None:
        """A sign-in succeeded: its name is not suspected any more."""
        key = _name_key(attempt, _origin(attempt))
        self._local.forget(key, self._limits.per_name, self._limits.window)
        shared = self._shared()
        if shared is not None:
            with suppress(PlughostError):
                await shared.reset(key, self._limits.window, self._limits.per_name)

    async def _check(self, key: str, limit: int) -> float:
        shared = self._shared()
        if shared is None:
            return self._checked_here(key, limit)
        try:
            result = await shared.check(key, self._limits.window, limit)
        except PlughostError:
            return self._checked_here(key, limit)
        return 0.0 if result.allowed else max(result.retry_after, 1.0)

    def _checked_here(self, key: str, limit: int) -> float:
        return self._local.check_one(key, limit, self._limits.window).retry_after


def _name_key(attempt: AuthAttempt, address: str) -> str:
    name = sha256(attempt.username.strip().casefold().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"sign-in:as:{name}:{address}"


def _origin(attempt: AuthAttempt) -> str:
    return "unknown" if attempt.address is None else network_of(attempt.address)
