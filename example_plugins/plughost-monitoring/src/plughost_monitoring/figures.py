"""Counting. Nothing here waits, and nothing knows of a host."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Now = Callable[[], float]
"""Seconds of a clock that never goes back."""


@dataclass(slots=True)
class HookFigures:
    """What was seen of one hook.

    Attributes:
        calls: How often it was called.
        errors: How many of the calls ended in an exception.
        seconds: How long all of them took together.
    """

    calls: int = 0
    errors: int = 0
    seconds: float = 0.0

    def note(self, seconds: float, *, failed: bool) -> None:
        """Count one call."""
        self.calls += 1
        self.errors += failed
        self.seconds += seconds

    def as_mapping(self) -> Mapping[str, Any]:
        """The figures for reports; the mean is in seconds."""
        mean = self.seconds / self.calls if self.calls else 0.0
        return {"calls": self.calls, "errors": self.errors, "mean": round(mean, 6)}


@dataclass(slots=True)
class AppFigures:
    """What was seen of one app.

    Attributes:
        window: Seconds after which an operation no longer counts for the error rate.
        now: The clock.
        registrations: How often the app was registered.
        operations: How many operations ended since the host was started.
        failures: How many of them failed.
        last_failure: Name of the operation that failed last, and of what.
    """

    window: float
    now: Now = time.monotonic
    registrations: int = 0
    operations: int = 0
    failures: int = 0
    last_failure: str = ""
    _recent: deque[tuple[float, bool]] = field(default_factory=deque)

    def succeeded(self) -> None:
        """Count an operation that went well."""
        self._note(failed=False)

    def failed(self, operation: str, error: Exception) -> None:
        """Count an operation that failed."""
        self.last_failure = f"{operation}: {type(error).__name__}"
        self._note(failed=True)

    def recent(self) -> tuple[int, float]:
        """Return how many operations ended within the window, and the share that failed."""
        self._forget_old()
        total = len(self._recent)
        failed = sum(failed for _, failed in self._recent)
        return total, failed / total if total else 0.0

    def as_mapping(self) -> Mapping[str, Any]:
        """The figures for reports."""
        total, rate = self.recent()
        return {
            "registrations": self.registrations,
            "operations": self.operations,
            "failures": self.failures,
            "recent_operations": total,
            "error_rate": round(rate, 4),
            "last_failure": self.last_failure,
        }

    def _note(self, *, failed: bool) -> None:
        self.operations += 1
        self.failures += failed
        self._recent.append((self.now(), failed))
        self._forget_old()

    def _forget_old(self) -> None:
        while self._recent and self.now() - self._recent[0][0] > self.window:
            self._recent.popleft()
