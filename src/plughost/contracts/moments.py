"""A moment as people and programs read it: the one place that writes out times for other machines to see."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_time(moment: float) -> str:
    """Return a moment as text: ``2026-11-29T13:07:58+00:00``.

    Args:
        moment: Seconds since the epoch.
    """
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
