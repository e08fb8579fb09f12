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


_Look = tuple[bool, int, float, float]
"""Whether it is allowed, how many are left, seconds until all of the window is free, seconds until the next one is."""


class _Log:
    """The moments of up to ``EXACT`` uses."""

    __slots__ = ("_moments",)

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def look(self, now: float, limit: int, window: float, cost: int, *, take: bool) -> _Look:
        """Say whether ``cost`` more is allowed; with ``take`` count it if it is, and say what is left then."""
        moments = self._moments
        while moments and moments[0] <= now - window:
            moments.popleft()
        used = len(moments)
        if used + cost > limit:
            retry = moments[used + cost - limit - 1] + window - now
            return False, limit - used, moments[-1] + window - now, retry
        if take:
            moments.extend([now] * cost)
            used += cost
        return True, limit - used, moments[-1] + window - now if moments else 0.0, 0.0

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

    def look(self, now: float, limit: int, window: float, cost: int, *, take: bool) -> _Look:
        """Say whether ``cost`` more is allowed; with ``take`` count it if it is, and say what is left then."""
        width = window / PARTS
        current = math.floor(now / width)
        counts = self._counts
        if current != self._newest:  # otherwise what is over was taken out already
            while counts and (oldest := next(iter(counts))) < current - PARTS:
                self._used -= counts.pop(oldest)
        allowed = self._used + cost <= limit
        retry = 0.0
        if not allowed:
            retry, too_many = window, self._used + cost - limit
            for part, count in counts.items():
                too_many -= count
                if too_many <= 0:
                    retry = (part + PARTS + 1) * width - now
                    break
        elif take:
            counts[current] = counts.get(current, 0) + cost
            self._newest = current
            self._used += cost
        reset = (self._newest + PARTS + 1) * width - now if counts else 0.0
        return allowed, limit - self._used, reset, retry

    def over(self, now: float, window: float) -> bool:
        """Whether nothing of it matters any more."""
        return not self._counts or (self._newest + PARTS + 1) * (window / PARTS) <= now


def _result(look: _Look, limit: int, name: str) -> LimitResult:
    allowed, left, reset, retry = look
    return LimitResult(
        allowed=allowed,
        limit=limit,
        remaining=left if left > 0 else 0,
        reset_after=reset if reset > 0 else 0.0,
        retry_after=retry if retry > 0 else 0.0,
        name=name,
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
        if len(asked) == 1:
            ((key, limit),) = asked
            return [self.check_one(key, limit.limit, limit.window, cost, peek=peek, name=limit.name)]
        with self._lock:
            now = self._clock.monotonic()
            uses = [(self._of(key, each.limit, each.window), each) for key, each in asked]
            looks = _looks(uses, now, cost, take=False)  # one that refuses counts nothing, but others would
            if not peek and all(allowed for allowed, *_ in looks):
                looks = _looks(uses, now, cost, take=True)
            if len(self._uses) >= self._sweep_at:
                self._sweep(now)
        return [_result(look, limit.limit, limit.name) for look, (_, limit) in zip(looks, asked, strict=True)]

    def check_one(
        self, key: str, limit: int, window: float, cost: int = 1, *, peek: bool = False, name: str = ""
    ) -> LimitResult:
        """Count ``cost`` against ``key``, which is allowed ``limit`` in ``window`` seconds; ``peek`` only asks.

        The result says that ``name`` decided.
        """
        with self._lock:
            now = self._clock.monotonic()
            look = self._of(key, limit, window).look(now, limit, window, cost, take=not peek)
            if len(self._uses) >= self._sweep_at:
                self._sweep(now)
        return _result(look, limit, name)

    def forget(self, key: str, limit: int, window: float) -> None:
        """Begin again with a key under that limit and window."""
        with self._lock:
            self._uses.pop((key, window, limit <= EXACT), None)

    def _of(self, key: str, limit: int, window: float) -> _Log | _Parts:
        exact = limit <= EXACT
        place = (key, window, exact)
        use = self._uses.pop(place, None) or (_Log() if exact else _Parts())
        self._uses[place] = use  # at the end: whoever goes on is the last to be forgotten
        return use

    def _sweep(self, now: float) -> None:
        self._uses = {place: use for place, use in self._uses.items() if not use.over(now, place[1])}
        while len(self._uses) > self._most:
            del self._uses[next(iter(self._uses))]
        self._sweep_at = min(max(1024, 2 * len(self._uses)), self._most + 1)


def _looks(uses: Sequence[tuple[_Log | _Parts, Limit]], now: float, cost: int, *, take: bool) -> list[_Look]:
    return [use.look(now, limit.limit, limit.window, cost, take=take) for use, limit in uses]


def network_of(address: str) -> str:
    """Return the address, or for IPv6 its /64: one customer has all of that."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address.partition("%")[0], 64), strict=False).network_address)
    except ValueError:
        return address
