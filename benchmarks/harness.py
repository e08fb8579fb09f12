"""Measuring contenders side by side on a machine that has other things to do as well.

Every round measures each contender once, for a few milliseconds, in an order that changes from round to round.
What counts is the ratio to the yardstick within the same round, and of these the median: what slows down one
round slows down everybody in it. Times are those of the processor in this thread, so that other programs count as
little as can be; absolute ones are for orientation only.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Contender:
    """Somebody who does the same work in another way.

    Attributes:
        name: How the table calls it.
        statement: One line of Python that does the work once; it may ``await``.
        remark: What to know when reading its figure.
    """

    name: str
    statement: str
    remark: str = ""


@dataclass(frozen=True)
class Row:
    """What came out for one contender: median seconds of one run, median ratio to the yardstick."""

    contender: Contender
    seconds: float
    ratio: float
    low: float
    high: float


def compare(
    contenders: Sequence[Contender],
    names: Mapping[str, Any],
    *,
    rounds: int = 41,
    slice_seconds: float = 0.004,
) -> list[Row]:
    """Measure ``contenders``, the first of which is the yardstick; ``names`` are what their statements use."""
    return asyncio.run(compare_here(contenders, names, rounds=rounds, slice_seconds=slice_seconds))


async def compare_here(
    contenders: Sequence[Contender],
    names: Mapping[str, Any],
    *,
    rounds: int = 41,
    slice_seconds: float = 0.004,
) -> list[Row]:
    """The same within the running event loop, which is that of the host whose calls are measured."""
    names = dict(names)
    loops = [_loop_of(each.statement, names) for each in contenders]
    counts = [await _calibrate(loop, slice_seconds) for loop in loops]
    times: list[list[float]] = [[] for _ in contenders]
    for turn in range(rounds):
        for step in range(len(loops)):
            index = (turn + step) % len(loops)
            times[index].append(await _measure(loops[index], counts[index]))
    return [_row(each, own, times[0]) for each, own in zip(contenders, times, strict=True)]


def _loop_of(statement: str, names: dict[str, Any]) -> Any:
    """The loop is written around the statement, as ``timeit`` does, so that no call comes between."""
    source = f"async def loop(count):\n    for _ in range(count):\n        {statement}\n"
    scope = dict(names)
    exec(compile(source, f"<{statement}>", "exec"), scope)
    return scope["loop"]


async def _calibrate(loop: Any, slice_seconds: float) -> int:
    count = 300  # enough for everybody to get warm
    await loop(count)
    while (took := await _measure(loop, count) * count) < slice_seconds / 2:
        count *= 2
    return max(1, round(count * slice_seconds / took))


async def _measure(loop: Any, count: int) -> float:
    gc.collect()
    gc.disable()
    try:
        began = time.thread_time()
        await loop(count)
        return (time.thread_time() - began) / count
    finally:
        gc.enable()


def _row(contender: Contender, own: list[float], yardstick: list[float]) -> Row:
    ratios = sorted(mine / theirs for mine, theirs in zip(own, yardstick, strict=True))
    quarter = len(ratios) // 4
    return Row(
        contender, statistics.median(own), statistics.median(ratios), ratios[quarter], ratios[-1 - quarter]
    )


def table(title: str, rows: Sequence[Row]) -> str:
    """Return a Markdown table; the ratio's middle half is given beside its median."""
    lines = [f"### {title}", "", "| contender | ratio | middle half | median | |", "|---|---:|---:|---:|---|"]
    lines += (
        f"| {row.contender.name} | {row.ratio:.2f} | {row.low:.2f} to {row.high:.2f} "
        f"| {row.seconds * 1e6:.2f} us | {row.contender.remark} |"
        for row in rows
    )
    return "\n".join(lines) + "\n"


def surroundings(*distributions: str) -> str:
    """Return one line that names the machine, Python and the versions of what was measured."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in distributions)
    return f"{platform.machine()}, {platform.system()}, {_processor()}, Python {platform.python_version()}; {versions}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown processor"
