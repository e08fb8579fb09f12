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

    def look(self, now: float, limit: Limit, cost: int, *, take: bool) -> LimitResult:
        """Say whether ``cost`` more is allowed; with ``take`` count it if it is, and say what is left then."""
        moments = self._moments
        while moments and moments[0] <= now - limit.window:
            moments.popleft()
        used = len(moments)
        if used + cost > limit.limit:
            retry = moments[used + cost - limit.limit - 1] + limit.window - now
            return _result(limit, False, limit.limit - used, moments[-1] + limit.window - now, retry)
        if take:
            moments.extend([now] * cost)
            used += cost
        return _result(limit, True, limit.limit - used, moments[-1] + limit.window - now if moments else 0.0)

    def over(self, now: float, window: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self._moments or self._moments[-1] <= now - window


class _Parts:
    """Counts of the parts of a window, the oldest first."""

    __slots__ = ("_counts", "_newest", "_used")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._newest = 0
        self._used = 0

    def look(self, now: float, limit: Limit, cost: int, *, take: bool) -> LimitResult:
        """Say whether ``cost`` more is allowed; with ``take`` count it if it is, and say what is left then."""
        width = limit.window / PARTS
        current = math.floor(now / width)
        counts = self._counts
        while counts and (oldest := next(iter(counts))) < current - PARTS:
            self._used -= counts.pop(oldest)
        allowed = self._used + cost <= limit.limit
        retry = 0.0 if allowed else self._retry(limit, self._used + cost - limit.limit, width, now)
        if take and allowed:
            counts[current] = counts.get(current, 0) + cost
            self._newest = current
            self._used += cost
        reset = (self._newest + PARTS + 1) * width - now if counts else 0.0
        return _result(limit, allowed, limit.limit - self._used, reset, retry)

    def _retry(self, limit: Limit, too_many: int, width: float, now: float) -> float:
        for part, count in self._counts.items():
            too_many -= count
            if too_many <= 0:
                return (part + PARTS + 1) * width - now
        return limit.window

    def over(self, now: float, window: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self._counts or (self._newest + PARTS + 1) * (window / PARTS) <= now


def _result(limit: Limit, allowed: bool, left: int, reset: float, retry: float = 0.0) -> LimitResult:
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
            uses = [(self._of(key, limit), limit) for key, limit in asked]
            take = not peek and len(uses) == 1  # one that refuses counts nothing, but others would
            results = [use.look(now, limit, cost, take=take) for use, limit in uses]
            if not peek and not take and all(result.allowed for result in results):
                results = [use.look(now, limit, cost, take=True) for use, limit in uses]
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
