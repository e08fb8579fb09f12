"""How often somebody may try to sign in: counted by the cache plugin's limiter, or in memory without it."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from plughost.contracts.auth import AuthAttempt
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.limits import RateLimiter
from plughost.exceptions import PlughostError

_MOST_KEYS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInLimits:
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
        self._local = _Windows(clock)

    async def retry_after(self, attempt: AuthAttempt) -> float:
        """Count an attempt; 0 when it may go on, else the seconds after which the next one may."""
        address = _network(attempt.address)
        by_address = 0.0
        if attempt.address is not None:  # those of unknown origin must not lock one another out
            by_address = await self._check(f"sign-in:from:{address}", self._limits.per_address)
        by_name = await self._check(_name_key(attempt, address), self._limits.per_name)
        return max(by_address, by_name)

    async def forget(self, attempt: AuthAttempt) -> None:
        """A sign-in succeeded: its name is not suspected any more."""
        key = _name_key(attempt, _network(attempt.address))
        self._local.forget(key)
        shared = self._shared()
        if shared is not None:
            with suppress(PlughostError):
                await shared.reset(key, self._limits.window, self._limits.per_name)

    async def _check(self, key: str, limit: int) -> float:
        shared = self._shared()
        if shared is None:
            return self._local.check(key, self._limits.window, limit)
        try:
            result = await shared.check(key, self._limits.window, limit)
        except PlughostError:
            return self._local.check(key, self._limits.window, limit)
        return 0.0 if result.allowed else max(result.retry_after, 1.0)


class _Windows:
    """Sliding windows in memory, of bounded number: the longest unused one makes room."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._moments: OrderedDict[str, deque[float]] = OrderedDict()

    def check(self, key: str, window: float, limit: int) -> float:
        """Count one, unless the window is full; return how long it stays so."""
        now = self._clock.monotonic()
        moments = self._moments.setdefault(key, deque())
        self._moments.move_to_end(key)
        if len(self._moments) > _MOST_KEYS:
            self._moments.popitem(last=False)
        while moments and moments[0] <= now - window:
            moments.popleft()
        if len(moments) >= limit:
            return moments[0] + window - now
        moments.append(now)
        return 0.0

    def forget(self, key: str) -> None:
        """Begin anew."""
        self._moments.pop(key, None)


def _name_key(attempt: AuthAttempt, address: str) -> str:
    name = sha256(attempt.username.strip().casefold().encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"sign-in:as:{name}:{address}"


def _network(address: str | None) -> str:
    """Return what counts as one address: a /64 of IPv6 belongs to one customer."""
    if address is None:
        return "unknown"
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    except ValueError:
        return address
