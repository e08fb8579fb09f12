"""How often somebody did something: the one window that slides, and what counts as one address.

Never more than the limit in any window, wherever it begins. Up to ``EXACT`` the moments themselves are kept. Above it
the window is cut into ten parts that are counted, and one part more than the window is looked at, so that the answer
errs towards refusing, by a tenth of the window at most. The cache plugin's script for Redis is the same algorithm on
the server's clock.
"""

from __future__ import annotations

import ipaddress
import math
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.limits import Limit, LimitResult

EXACT: Final = 1000
PARTS: Final = 10
MOST_KEYS: Final = 100_000

Asked = Sequence[tuple[str, Limit]]
"""Keys, and the limit each is held to."""


class _Log:
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


class _Parts:
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


class WindowCounts:
    """Counts in this process, from any thread; of bounded number: what is over is forgotten, then the longest unused.

    Args:
        clock: Time.
        most: Keys that are kept at once.
    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, most: int = MOST_KEYS) -> None:
        self._clock = clock
        self._most = most
        self._lock = threading.Lock()
        self._uses: dict[tuple[str, float, bool], _Log | _Parts] = {}
        self._sweep_at = min(1024, most)

    def __len__(self) -> int:
        return len(self._uses)

    def check(self, asked: Asked, cost: int = 1, *, peek: bool = False) -> list[LimitResult]:
        """Count ``cost`` against all keys or none; ``peek`` only asks. Returns the result of each."""
        with self._lock:
            now = self._clock.monotonic()
            uses = [self._of(key, limit) for key, limit in asked]
            results = [use.look(now, limit, cost) for use, (_, limit) in zip(uses, asked, strict=True)]
            if not peek and all(result.allowed for result in results):
                for use, (_, limit) in zip(uses, asked, strict=True):
                    use.count(now, limit, cost)
                results = [use.look(now, limit, 0) for use, (_, limit) in zip(uses, asked, strict=True)]
            self._sweep(now)
            return results

    def check_one(self, key: str, limit: int, window: float) -> LimitResult:
        """Count one against ``key``, which is allowed ``limit`` in ``window`` seconds."""
        return self.check([(key, Limit(limit=limit, window=window))])[0]

    def forget(self, key: str, limit: int, window: float) -> None:
        """Begin again with a key under that limit and window."""
        with self._lock:
            self._uses.pop((key, window, limit <= EXACT), None)

    def _of(self, key: str, limit: Limit) -> _Log | _Parts:
        exact = limit.limit <= EXACT
        place = (key, limit.window, exact)
        use = self._uses.pop(place, None) or (_Log() if exact else _Parts())
        self._uses[place] = use  # at the end: whoever goes on is the last to be forgotten
        return use

    def _sweep(self, now: float) -> None:
        if len(self._uses) < self._sweep_at:
            return
        self._uses = {place: use for place, use in self._uses.items() if not use.over(now, place[1])}
        while len(self._uses) > self._most:
            del self._uses[next(iter(self._uses))]
        self._sweep_at = min(max(1024, 2 * len(self._uses)), self._most + 1)


def network_of(address: str) -> str:
    """Return the address, or for IPv6 its /64: one customer has all of that."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False).network_address)
    except ValueError:
        return address
