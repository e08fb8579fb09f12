"""Whether what processes share is there: how long it was not, why, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable

from plughost.contracts import Clock


class Presence:
    """What links to Redis and to stores of others have in common.

    Attributes:
        available: Whether it is there, as far as anybody saw.
    """

    def __init__(self, clock: Clock) -> None:
        self.available = False
        self._clock = clock
        self._callbacks: list[Callable[[bool], None]] = []
        self._error = ""
        self._away_since: float | None = clock.monotonic()
        self._away_total = 0.0

    def on_change(self, callback: Callable[[bool], None]) -> None:
        """Call ``callback(flush)`` when it comes or goes."""
        self._callbacks.append(callback)

    def away(self) -> float:
        """Seconds spent without it."""
        now = 0.0 if self._away_since is None else self._clock.monotonic() - self._away_since
        return self._away_total + now

    def _note_there(self) -> None:
        self._away_total, self._away_since = self.away(), None
        self.available, self._error = True, ""

    def _note_away(self, error: str) -> bool:
        """Note why it does not answer; returns whether it was there until now."""
        self._error = error
        was_there, self.available = self.available, False
        if was_there:
            self._away_since = self._clock.monotonic()
        return was_there

    def _tell(self, *, flush: bool) -> None:
        for callback in self._callbacks:
            callback(flush)
