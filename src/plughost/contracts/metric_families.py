"""Figures that plugins give to whoever collects metrics, in the words of OpenMetrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Literal

from plughost._dataclasses import dataclass

MetricKind = Literal["counter", "gauge"]
"""``counter``: only ever grows, and starts at 0 with the process. ``gauge``: goes up and down."""


@dataclass(frozen=True, slots=True)
class MetricSample:
    """One figure.

    Attributes:
        value: The figure.
        labels: What tells it from the other figures of its family. Few different values: no ids of users.
    """

    value: float
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFamily:
    """Figures of one name.

    Attributes:
        name: Small letters, digits and underscores, with the unit at the end: ``mail_queue_age_seconds``.
            Whoever shows it puts prefixes in front.
        kind: What can be done with it.
        help: One sentence for a person.
        samples: The figures; several differ in their labels.
    """

    name: str
    kind: MetricKind
    help: str
    samples: tuple[MetricSample, ...]
