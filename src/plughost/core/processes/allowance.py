"""How much of what a process says is taken in each second: a flood would drown others, and hold up the host."""

from __future__ import annotations

from collections.abc import Callable

from plughost.contracts.clock import Clock


class Allowance:
    """So much in each second; the rest is left out and counted.

    Args:
        most: How much.
        clock: Counts the seconds.
        tell: Called with how often something was left out, once the second is over.
    """

    def __init__(self, most: int, clock: Clock, tell: Callable[[int], None]) -> None:
        self._most = self._left = most
        self._clock = clock
        self._tell = tell
        self._since = clock.monotonic()
        self._left_out = 0

    def take(self, cost: int = 1) -> bool:
        """Whether there is room for something of that size."""
        now = self._clock.monotonic()
        if now - self._since >= 1.0:
            self.settle()
            self._since, self._left = now, self._most
        if cost > self._left:
            self._left_out += 1
            return False
        self._left -= cost
        return True

    def settle(self) -> None:
        """Tell what was left out and is not told yet."""
        count, self._left_out = self._left_out, 0
        if count:
            self._tell(count)
