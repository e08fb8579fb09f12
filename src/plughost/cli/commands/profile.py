"""``plughost profile``: where the time of a start goes."""

from __future__ import annotations

import re
import time
from dataclasses import field

import anyio
import click

from plughost._dataclasses import dataclass
from plughost.cli.documents import Document
from plughost.cli.exits import leave_with_problems
from plughost.cli.logs import configure_logging
from plughost.cli.program import Program, verbose_option
from plughost.cli.tables import seconds, table
from plughost.contracts.commands import json_option
from plughost.contracts.records import PluginRecord, PluginState, PluginStateChanged

_LIMIT = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ms|s)")
_WIDTH = 48  # characters of the waterfall


def _seconds_of(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    """Read a time such as ``200ms`` or ``1.5s``."""
    if value is None:
        return None
    match = _LIMIT.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a time: write it like 200ms or 1.5s", context, option)
    return float(match["number"]) / (1000 if match["unit"] == "ms" else 1)


@dataclass(slots=True)
class Timeline:
    """When each plugin came into each state, in seconds since the host began to start."""

    began: float = field(default_factory=time.perf_counter)
    moments: dict[str, dict[PluginState, float]] = field(default_factory=dict)

    def note(self, change: PluginStateChanged) -> None:
        """Keep the first moment of each state."""
        moments = self.moments.setdefault(change.plugin.name, {})
        moments.setdefault(change.plugin.state, time.perf_counter() - self.began)


@click.command()
@json_option
@verbose_option
@click.option(
    "--fail-over",
    metavar="TIME",
    callback=_seconds_of,
    help="Exit 3 when import and start of a plugin take longer than this, such as 200ms.",
)
@click.pass_obj
def profile(program: Program, fail_over: float | None) -> None:
    """Start the host once, and show what the import and the start of each plugin took, slowest first."""
    configure_logging(program.environ, program.verbosity)
    host, timeline = program.host(errand=True), Timeline()
    host.events.subscribe(PluginStateChanged, timeline.note)

    async def start_once() -> list[PluginRecord]:
        timeline.began = time.perf_counter()
        async with host:
            return [
                record
                for record in host.plugins.values()
                if record.timings.imported is not None or record.error is not None
            ]

    records = anyio.run(start_once)
    rows = sorted((_row(record, timeline) for record in records), key=lambda row: -row["total"])
    slow = [row["name"] for row in rows if fail_over is not None and row["total"] > fail_over]
    document = {
        "duration": round(host.report.duration, 4),
        "fail_over": fail_over,
        "slow": slow,
        "plugins": rows,
    }
    program.show(document, _text(rows, host.report.duration))
    if slow:
        program.talk(f"Slower than {seconds(fail_over)}: {', '.join(slow)}")
    leave_with_problems(slow)


def _row(record: PluginRecord, timeline: Timeline) -> Document:
    timings, moments = record.timings, timeline.moments.get(record.name, {})
    started, imported = timings.started or 0.0, timings.imported
    if imported is None:  # it failed before it was there
        ended = moments.get(PluginState.FAILED, 0.0)
        imported = max(0.0, ended - moments.get(PluginState.IMPORTING, ended))
    return {
        "name": record.name,
        "state": record.state,
        "import": round(imported, 4),
        "start": round(started, 4),
        "waited": round(timings.waited or 0.0, 4),
        "total": round(imported + started, 4),
        "import_began": _rounded(moments.get(PluginState.IMPORTING)),
        "start_began": _rounded(moments.get(PluginState.STARTING)),
    }


def _rounded(moment: float | None) -> float | None:
    return None if moment is None else round(moment, 4)


def _text(rows: list[Document], duration: float) -> str:
    whole = max([duration, *(float((row["start_began"] or 0.0) + row["start"]) for row in rows)]) or 1.0
    body: list[tuple[str, ...]] = []
    for row in rows:
        name = row["name"] + (" (failed)" if row["state"] == PluginState.FAILED else "")
        bar = [" "] * _WIDTH
        phases = (("i", row["import_began"], row["import"]), ("s", row["start_began"], row["start"]))
        for letter, began, took in phases:
            if began is not None:
                first = min(int(began / whole * _WIDTH), _WIDTH - 1)
                last = min(int((began + took) / whole * _WIDTH), _WIDTH - 1)
                bar[first : last + 1] = letter * (last - first + 1)
        times = (seconds(row[phase]) for phase in ("import", "start", "total"))
        body.append((name, *times, "".join(bar).rstrip()))
    head = ("PLUGIN", "IMPORT", "START", "TOTAL", f"i import, s start; {seconds(whole)} in all")
    return table(head, body)
