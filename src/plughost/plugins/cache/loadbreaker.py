"""A circuit breaker in front of loaders: a source that is down is not asked by everybody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from plughost.contracts import counted, error_type_name
from plughost.exceptions import StoreUnavailableError

_MOST_SPARED: Final = 10_000


class LoadBreaker:
    """Opens after so many failures in a row, and lets one load at a time try after a pause.

    Only errors of the loader count: a cancelled load says nothing about its source.

    Args:
        failures: How many in a row open it; None never opens it.
        pause: Seconds it stays open before one load may try.
        monotonic: Returns the time.
    """

    def __init__(self, failures: int | None, pause: float, monotonic: Callable[[], float]) -> None:
        self._limit = failures
        self._pause = pause
        self._monotonic = monotonic
        self._row = 0
        self._retry_at = 0.0
        self._spared: dict[str, float] = {}  # keys whose loader is left alone, and until when
        self._last = ""  # in words: an error holds its frames, and they hold whatever the loader had

    @property
    def open(self) -> bool:
        """Whether loads are refused, or would be but for the one that tries."""
        return self._limit is not None and self._row >= self._limit

    def enter(self) -> None:
        """Called before a load.

        Raises:
            StoreUnavailableError: The source failed too often; the message names the last error.
        """
        if not self.open:
            return
        now = self._monotonic()
        if now < self._retry_at:
            left = self._retry_at - now
            raise StoreUnavailableError(
                f"the loader failed {counted(self._row, 'time')} in a row and is tried again in {left:.1f} s;"
                f" the last time by {self._last}"
            )
        self._retry_at = now + self._pause  # this one is the probe; the others wait for another pause

    def succeeded(self) -> None:
        """Called when a load ended well."""
        self._row = 0

    def failed(self, error: Exception) -> None:
        """Called when a loader raised."""
        self._row += 1
        self._last = error_type_name(error)
        if self.open:
            self._retry_at = self._monotonic() + self._pause

    def spare(self, key: str, seconds: float) -> None:
        """Leave the source of one key alone for a while: it failed, and a stale value answers."""
        if len(self._spared) >= _MOST_SPARED:
            self._spared.clear()
        self._spared[key] = self._monotonic() + seconds

    def spares(self, key: str) -> bool:
        """Whether the source of a key is left alone now."""
        until = self._spared.get(key)
        if until is None:
            return False
        if self._monotonic() < until:
            return True
        del self._spared[key]
        return False
