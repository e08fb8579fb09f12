"""How often one client may use a route: rate classes, counted by the service ``RateLimiter`` if it is there.

Without it they are counted here, in this process, by a sliding window made of two fixed ones: the last
window's count fades out while the present one's grows.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.limits import LimitResult, RateLimiter
from plughost.http.guards import Identity

PER_MINUTE: Final[Mapping[str, int]] = MappingProxyType(
    {"read": 1200, "write": 300, "code": 120, "auth": 20, "refused": 1200}
)
"""The rate classes there are without configuration: requests per minute of one client.

``code`` is for what makes the host run other code: to load, reload and unload plugins. ``auth`` is for routes
that take a password or a sign-in code. ``refused`` counts what a guard turned away.
"""

WINDOW: Final = 60.0
_MOST_SUBJECTS = 20_000


class LocalCounts:
    """Sliding-window counts of this process; what was not used for two windows is forgotten."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK, most: int = _MOST_SUBJECTS) -> None:
        self._clock = clock
        self._most = most
        self._counts: dict[str, tuple[int, int, int]] = {}  # window number, count in it, count in the last

    def check(self, key: str, limit: int) -> LimitResult:
        """Count one against ``key`` and say whether it was allowed."""
        now = self._clock.monotonic() / WINDOW
        window = int(now)
        number, count, last = self._counts.get(key) or (window, 0, 0)
        if number != window:
            count, last = 0, count if number == window - 1 else 0
        share_left = 1.0 - (now - window)
        used = count + last * share_left
        if used + 1 > limit:
            retry = _until_free(count, last, share_left, limit)
            return LimitResult(allowed=False, limit=limit, remaining=0, reset_after=WINDOW, retry_after=retry)
        if len(self._counts) >= self._most:
            self._forget(window)
        self._counts[key] = (window, count + 1, last)
        return LimitResult(
            allowed=True, limit=limit, remaining=max(0, math.floor(limit - used - 1)), reset_after=WINDOW
        )

    def _forget(self, window: int) -> None:
        self._counts = {key: row for key, row in self._counts.items() if row[0] >= window - 1}
        while len(self._counts) >= self._most:  # a flood of addresses: the oldest go, in order of arrival
            del self._counts[next(iter(self._counts))]


class Rates:
    """The rate classes of one application.

    Args:
        limits: Requests per minute by class, over the ones there are.
        clock: Tells the time for local counts.
    """

    def __init__(self, limits: Mapping[str, int], clock: Clock = SYSTEM_CLOCK) -> None:
        self._limits = {**PER_MINUTE, **limits}
        self._local = LocalCounts(clock)

    def knows(self, name: str) -> bool:
        """Whether there is a rate class of that name."""
        return name in self._limits

    async def check(self, name: str, subject: str, limiter: RateLimiter | None) -> LimitResult:
        """Count one request of ``subject`` in the class ``name``."""
        limit = self._limits[name]
        if limiter is None:
            return self._local.check(f"{name}:{subject}", limit)
        return await limiter.check(f"http:{name}:{subject}", WINDOW, limit)


def subject_of(connection: Mapping[str, Any], identity: Identity) -> str | None:
    """Return whom a request is counted against; None when nothing tells one client from another.

    That is so behind a Unix socket whose proxy forwards no address: one bucket for the whole world would let
    anybody lock out everybody.
    """
    if identity.known:
        return identity.key
    client = connection.get("client")
    return None if client is None else network_of(client[0])


def network_of(address: str) -> str:
    """Return the address, or for IPv6 its /64: one customer has all of that."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network((address.partition("%")[0], 64), strict=False).network_address)
    except ValueError:
        return address


def _until_free(count: int, last: int, share_left: float, limit: int) -> float:
    """Return seconds until one more fits: in this window once enough of the last has faded, else in the next."""
    room = limit - 1
    here = share_left - (room - count) / last if count <= room else math.inf
    next_one = share_left + max(0.0, 1.0 - room / count) if count else share_left
    return max(1.0, min(here, next_one) * WINDOW)
