"""What the deployer can set."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class MonitoringConfig(Struct, frozen=True):
    """``[plugins.monitoring.config]``.

    Attributes:
        threshold: Share of operations that may fail, 0 to 1; above it an alert is raised.
        window: Seconds over which the share is taken.
        least: Operations within the window below which nothing is said: one failure of one is no trend.
        interval: Seconds from one look at all apps to the next.
    """

    threshold: Annotated[float, Meta(ge=0, le=1)] = 0.5
    window: Annotated[float, Meta(gt=0)] = 300.0
    least: Annotated[int, Meta(ge=1)] = 5
    interval: Annotated[float, Meta(gt=0)] = 10.0
