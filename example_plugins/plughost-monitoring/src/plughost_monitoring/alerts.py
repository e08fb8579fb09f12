"""What this plugin tells: an application subscribes with ``host.events.subscribe(AlertRaised, callback)``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AlertRaised:
    """Event: the error rate of an app passed the threshold; told once until it is cleared.

    Attributes:
        app_name: The app.
        error_rate: Share of its operations that failed, 0 to 1.
        threshold: What it may be.
        operations: How many operations that is a share of.
    """

    app_name: str
    error_rate: float
    threshold: float
    operations: int


@dataclass(frozen=True, slots=True)
class AlertCleared:
    """Event: the error rate of an app is within the threshold again.

    Attributes:
        app_name: The app.
        error_rate: Share of its operations that failed, 0 to 1.
    """

    app_name: str
    error_rate: float
