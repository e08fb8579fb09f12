"""How long each plugin took to start the last time, so that the longest chain can go first."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

_FILE = "start-times.json"


def read_durations(data_dir: Path) -> dict[str, float]:
    """Return seconds by plugin name; empty when nothing usable was remembered. It is only ever a hint."""
    try:
        return msgspec.json.decode((data_dir / _FILE).read_bytes(), type=dict[str, float])
    except (OSError, msgspec.MsgspecError):
        return {}


def write_durations(data_dir: Path, durations: Mapping[str, float]) -> None:
    """Remember seconds by plugin name, beside those of plugins that did not start this time.

    A host whose plugins keep no data has no data folder, and none is made for this.
    """
    if not data_dir.is_dir() or not durations:
        return
    merged = read_durations(data_dir) | {name: round(seconds, 4) for name, seconds in durations.items()}
    aside = data_dir / f"{_FILE}.new"
    with contextlib.suppress(OSError):
        aside.write_bytes(msgspec.json.encode(merged))
        aside.replace(data_dir / _FILE)
