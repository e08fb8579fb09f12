"""Text for people: columns that line up, also when they are coloured."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import click

from plughost.contracts.records import PluginState

_COLOURS = {
    PluginState.READY: "green",
    PluginState.DISCOVERED: "green",
    PluginState.DEGRADED: "yellow",
    PluginState.DISABLED: "bright_black",
    PluginState.BLOCKED: "bright_black",
    PluginState.SKIPPED: "yellow",
    PluginState.STOPPED: "bright_black",
}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows under a header; the last column is as wide as it likes."""
    head = [click.style(title, bold=True) for title in header]
    lines = [head, *rows]
    widths = [max(len(click.unstyle(line[column])) for line in lines) for column in range(len(header))]
    padded = (
        [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(line, widths, strict=True)]
        for line in lines
    )
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def state(of: PluginState) -> str:
    """Return a state in its colour; whatever is neither fine nor somebody's wish is red."""
    return click.style(of.value, fg=_COLOURS.get(of, "red"))


def local_time(moment: float | None) -> str:
    """Return a moment as the clock on the wall shows it, with its offset from UTC; ``-`` for none."""
    return "-" if moment is None else datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds")


def seconds(value: float | None) -> str:
    """Return a time span as people read it: ``12 ms``, ``1.50 s``, ``-`` for none."""
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"
