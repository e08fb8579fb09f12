"""A service that fails again and again is left alone, and asked once every few seconds; who wants a rest gets it."""

from __future__ import annotations

from typing import Final

from plughost.contracts import Clock
from plughost_upstream.protocols import UpstreamBusyError, UpstreamUnavailableError

FAILURES: Final = 5
PROBE: Final = 5.0


class Breaker:
    """Counts failures that follow one another.

    Args:
        clock: Time.
        failures: After how many it is left alone.
        probe: Seconds between two calls that see whether it is back.
    """

    def __init__(self, clock: Clock, *, failures: int = FAILURES, probe: float = PROBE) -> None:
        self._clock, self._most, self._probe = clock, failures, probe
        self._failures = 0
        self._next_probe = 0.0
        self._rests_until = 0.0

    @property
    def open_for(self) -> float:
        """Seconds until it is tried again; 0.0 when it is not left alone."""
        if self._failures < self._most:
            return 0.0
        return max(0.0, self._next_probe - self._clock.monotonic())

    def enter(self) -> None:
        """Let a call pass.

        Raises:
            UpstreamUnavailableError: It is left alone.
            UpstreamBusyError: It wanted a rest, which is not over.
        """
        rest = self._rests_until - self._clock.monotonic()
        if rest > 0:
            raise UpstreamBusyError("the service wants to be asked later", retry_after=rest)
        if self._failures < self._most:
            return
        wait = self.open_for
        if wait > 0:
            raise UpstreamUnavailableError("the service failed too often and is left alone", retry_after=wait)
        # This one tries; the others wait for what it finds.
        self._next_probe = self._clock.monotonic() + self._probe

    def rest(self, seconds: float) -> None:
        """It said that it is asked too often: let it rest, whoever asks."""
        self._rests_until = max(self._rests_until, self._clock.monotonic() + seconds)

    def failed(self) -> None:
        """A call failed for a reason that is the service's."""
        self._failures += 1
        if self._failures >= self._most:
            self._next_probe = self._clock.monotonic() + self._probe

    def answered(self) -> None:
        """It answered, whatever."""
        self._failures = 0
