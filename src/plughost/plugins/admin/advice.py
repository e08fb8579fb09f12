"""Words for figures that are not well: what it means, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

from msgspec import Struct

from plughost.contracts import CacheStats, JobRecord, PluginRecord, PluginState, counted

Severity = Literal["warn", "fail"]

_FEW = 20  # questions below which a hit rate says nothing
_TROUBLED: Mapping[PluginState, Severity] = {
    PluginState.FAILED: "fail",
    PluginState.QUARANTINED: "fail",
    PluginState.INCOMPATIBLE: "warn",
    PluginState.DEGRADED: "warn",
    PluginState.SKIPPED: "warn",
}
_OFF = frozenset({PluginState.STOPPED, PluginState.DISABLED, PluginState.BLOCKED})
_UNREADY = " The host is not ready without it."


class Advice(Struct, frozen=True):
    """One thing that is not well.

    Attributes:
        severity: ``warn`` works, but look at it; ``fail`` does not do its work.
        subject: What it is about.
        text: What is wrong and what to do.
    """

    severity: Severity
    subject: str
    text: str


def about_caches(stats: Mapping[str, CacheStats], status: Mapping[str, Any]) -> Iterator[Advice]:
    """Say what is not well with the caches."""
    for name, figures in stats.items():
        if not figures.available:
            yield Advice(
                "fail",
                name,
                "Redis is away: this instance answers from its own memory and other instances do not see its"
                f" changes ({figures.fallback:.0f} s so far). Check that the server runs and that redis_url is"
                " right; the cache reconnects by itself.",
            )
        if figures.hits + figures.misses >= _FEW and figures.hit_rate < 0.5:
            yield Advice("warn", name, _low_hit_rate(figures))
        if figures.load_errors:
            yield Advice(
                "warn",
                name,
                f"{counted(figures.load_errors, 'load')} failed; stale values were served where there were any"
                f" ({figures.stale}). Look for the loaders' errors in the log.",
            )
        if figures.refused:
            yield Advice(
                "warn",
                name,
                f"{counted(figures.refused, 'value was', 'values were')} too large to be kept; raise max_bytes or"
                " store less.",
            )
    if status.get("mode") not in (None, "memory") and status.get("coherence") == "off":
        yield Advice(
            "warn",
            "tiers",
            "Instances do not hear of each other's changes: coherence is switched off in the configuration.",
        )


def _low_hit_rate(figures: CacheStats) -> str:
    rate = f"Only {figures.hit_rate * 100:.0f} % of {figures.hits + figures.misses} questions were answered. "
    crowded = sum(figures.evicted.values())
    if crowded > figures.expired:
        made = f"{counted(crowded, 'entry', 'entries')} had to make room"
        return f"{rate}{made}: raise max_entries or max_bytes."
    if figures.expired:
        late = counted(figures.expired, "entry was past its", "entries were past their")
        return f"{rate}{late} time: raise ttl, or keep hot keys warm."
    return rate + "Most keys are asked once: check that they do not hold something unique, such as a time."


def about_sessions(active: int, expired: int, unreadable: int, cleanup: JobRecord | None) -> Iterator[Advice]:
    """Say what is not well with the sessions."""
    if cleanup is None:
        yield Advice(
            "warn",
            "clean-up",
            "No clean-up job is running: expired sessions stay in the store. Reload sessions.",
        )
    elif cleanup.last_error:
        yield Advice("fail", "clean-up", f"The last clean-up failed: {cleanup.last_error}")
    if expired > max(1000, active):
        yield Advice(
            "warn",
            "store",
            f"{counted(expired, 'expired session')} take room; run the clean-up or let it run more often.",
        )
    if unreadable:
        yield Advice(
            "fail",
            "store",
            f"Stored sessions could not be opened and were refused, {counted(unreadable, 'time')}: a key is"
            " missing from `secret`, or the file is damaged.",
        )


def about_plugins(records: Iterable[PluginRecord]) -> Iterator[Advice]:
    """Say which plugins are not well."""
    for record in records:
        severity = "fail" if record.required and record.state in _OFF else _TROUBLED.get(record.state)
        if severity is not None:
            text = _sentence(record.reason or f"it is {record.state.value}")
            if record.state is PluginState.DEGRADED:
                text += f" Its background tasks were restarted {counted(record.restarts, 'time')}; the log tells why."
            if record.required and not record.running:
                text += _UNREADY
            yield Advice(severity, record.name, text)


def about_apps(
    absent: Mapping[str, str], failed: Mapping[str, str], missing: Collection[str]
) -> Iterator[Advice]:
    """Say which apps are not well.

    Args:
        absent: Why apps are not registered, by name; empty where nothing went wrong.
        failed: Why registered apps failed, by name.
        missing: Names of those without which the host is not ready.
    """
    for name, reason in {**absent, **failed}.items():
        what = "not registered" if name in absent else "failed"
        reason = reason.removeprefix(f"app {name!r} could not be registered: ")
        text = _sentence(f"{what}: {reason}" if reason else what)
        yield Advice("fail", name, text + (_UNREADY if name in missing else ""))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
