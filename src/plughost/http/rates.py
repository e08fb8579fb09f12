"""How often one client may use a route: rate classes, counted by the service ``RateLimiter`` if it is there.

Without it they are counted here, in this process. The window itself is ``plughost.core.rates``; plugins that count
find it here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from types import MappingProxyType
from typing import Any, Final

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.limits import LimitResult, RateLimiter
from plughost.core.rates import EXACT, PARTS, Asked, WindowCounts, network_of
from plughost.http.guards import Identity

__all__ = [
    "EXACT",
    "PARTS",
    "PER_MINUTE",
    "WINDOW",
    "Asked",
    "Rates",
    "WindowCounts",
    "network_of",
    "subject_of",
]

PER_MINUTE: Final[Mapping[str, int]] = MappingProxyType(
    {"read": 1200, "write": 300, "code": 120, "auth": 20, "refused": 1200}
)
"""The rate classes there are without configuration: requests per minute of one client.

``code`` is for what makes the host run other code: to load, reload and unload plugins. ``auth`` is for routes
that take a password or a sign-in code. ``refused`` counts what a guard turned away.
"""

WINDOW: Final = 60.0
_MOST_SUBJECTS = 20_000


class Rates:
    """The rate classes of one application.

    Args:
        limits: Requests per minute by class, over the ones there are.
        clock: Tells the time for local counts.
    """

    def __init__(self, limits: Mapping[str, int], clock: Clock = SYSTEM_CLOCK) -> None:
        self._limits = {**PER_MINUTE, **limits}
        self._local = WindowCounts(clock, most=_MOST_SUBJECTS)

    def knows(self, name: str) -> bool:
        """Whether there is a rate class of that name."""
        return name in self._limits

    def check(self, name: str, subject: str, limiter: RateLimiter | None) -> Awaitable[LimitResult]:
        """Count one request of ``subject`` in the class ``name``."""
        limit = self._limits[name]
        if limiter is not None:
            return limiter.check(f"http:{name}:{subject}", WINDOW, limit)

        async def check_here() -> LimitResult:
            return self._local.check_one(f"{name}:{subject}", limit, WINDOW)

        return check_here()


def subject_of(connection: Mapping[str, Any], identity: Identity) -> str | None:
    """Return whom a request is counted against; None when nothing tells one client from another.

    That is so behind a Unix socket whose proxy forwards no address: one bucket for the whole world would let
    anybody lock out everybody.
    """
    if identity.known:
        return identity.key
    client = connection.get("client")
    return None if client is None else network_of(client[0])
