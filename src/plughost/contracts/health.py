"""Health: what was looked at, what was found, and how many answers become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Any, Literal, cast

from plughost._dataclasses import dataclass
from plughost.contracts.frozen import FrozenDict, Payload

HealthStatus = Literal["pass", "warn", "fail"]
"""``pass``: fine. ``warn``: works, but look at it. ``fail``: does not do its work."""

_SEVERITY: Mapping[str, int] = MappingProxyType({"pass": 0, "warn": 1, "fail": 2})


def worst_of(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """Return the worst of the given statuses; ``pass`` when there are none."""
    return max(statuses, key=_SEVERITY.__getitem__, default="pass")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck(Payload):
    """One thing that was looked at.

    Attributes:
        name: What was looked at, such as ``redis`` or ``disk``.
        status: What was found.
        detail: One sentence for a person: what is wrong and what to do; empty when nothing is.
        figures: The same for programs; no secrets.
        plugin: Who looked; empty for the host itself.
        app_name: Which app was looked at; None for the host as a whole.
        duration: Seconds it took.
    """

    name: str
    status: HealthStatus = "pass"
    detail: str = ""
    figures: Mapping[str, Any] = field(default_factory=FrozenDict)
    plugin: str = ""
    app_name: str | None = None
    duration: float = 0.0

    @classmethod
    def from_figures(cls, name: str, figures: Mapping[str, Any]) -> HealthCheck:
        """Return the check that a plain mapping of figures stands for.

        The keys ``status`` and ``detail`` are taken out of it; a mapping without ``status`` passes.

        Raises:
            ValueError: ``status`` is not one of ``pass``, ``warn`` and ``fail``.
        """
        status = figures.get("status", "pass")
        if status not in _SEVERITY:
            raise ValueError(f"health status {status!r} is not one of 'pass', 'warn', 'fail'")
        rest = {key: value for key, value in figures.items() if key not in {"status", "detail"}}
        return cls(
            name=name,
            status=cast("HealthStatus", status),
            detail=str(figures.get("detail", "")),
            figures=rest,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What the host, or one app in it, is like at one moment.

    Attributes:
        status: The worst of the checks.
        checks: What was looked at, the host's own checks first.
        output: One sentence for a person that names what is not fine; empty when all is.
        app_name: Which app it is about; None for the host as a whole.
        checked_at: When it was finished, in seconds since the epoch; None while it is not.
        duration: Seconds it took.
    """

    status: HealthStatus = "pass"
    checks: tuple[HealthCheck, ...] = ()
    output: str = ""
    app_name: str | None = None
    checked_at: float | None = None
    duration: float = 0.0

    @classmethod
    def of(
        cls,
        checks: Iterable[HealthCheck],
        *,
        app_name: str | None = None,
        checked_at: float | None = None,
        duration: float = 0.0,
    ) -> HealthReport:
        """Return the report that these checks add up to: as bad as the worst of them."""
        found = tuple(checks)
        return cls(
            status=worst_of(check.status for check in found),
            checks=found,
            output="; ".join(
                f"{check.name}: {check.detail or check.status}" for check in found if check.status != "pass"
            ),
            app_name=app_name,
            checked_at=checked_at,
            duration=duration,
        )
