"""Figures about what ran, as they stand when somebody asks."""

from __future__ import annotations

from plughost._dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HookMetrics:
    """What one plugin's implementations of one hook did since the host was started.

    Attributes:
        hook: Name of the hook.
        plugin: Name of the plugin.
        calls: How often the plugin was called; skipped calls are not in it.
        errors: How many of these raised; limits passed and deliberate refusals are not in it.
        timeouts: How many of these passed their limit.
        observed: How many verdicts and refusals were recorded and not applied, because it does not enforce.
        p50: Median seconds of a sample of the calls; None when none was timed yet.
        p95: 95th percentile of the same sample, in seconds.
    """

    hook: str
    plugin: str
    calls: int
    errors: int
    timeouts: int
    p50: float | None
    p95: float | None
    observed: int = 0
