"""The tables of every fault in every phase, for the documentation: tried, written and read.

``python tests/process_fault_tables.py [PROCESSES]`` tries all of them, so many at a time, and writes
``docs/reference/process-faults.md``.
"""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final
from zlib import crc32

import anyio

from process_faults import FAULTS, PHASES, Row, try_calmly

Cell = tuple[str, str, bool]
"""Phase, fault, and whether the plugin is confined."""

PAGE: Final = Path(__file__).parents[1] / "docs" / "reference" / "process-faults.md"
_BEGIN: Final = "<!-- written by tests/process_fault_tables.py -->\n"
_HEAD: Final = (
    "| fault | told | told when confined | after, s | neighbour, ms | loop held, ms | what the record says |"
)
_SHOWN: Final = 100


def backend_of(cell: Cell) -> str:
    """Return on which event loop it is tried: half of the cells on one, half on the other."""
    return ("asyncio", "trio")[crc32("{} {} {}".format(*cell).encode()) % 2]


def documented() -> Iterator[tuple[Cell, str, float]]:
    """Yield what the documentation says, for each cell it has: what the caller was told, and seconds of a held loop."""
    phase = ""
    for line in PAGE.read_text("utf-8").partition(_BEGIN)[2].splitlines():
        if line.startswith("## "):
            phase = line.removeprefix("## ").lower()
        elif line.startswith("| ") and line != _HEAD:
            fault, *both_told, _, _, held, _ = (each.strip() for each in line.strip("|").split("|"))
            for confined, told, milliseconds in zip((False, True), both_told, held.split(", "), strict=True):
                yield (phase, fault, confined), told, float(milliseconds) / 1000


def _tables(rows: Mapping[Cell, Row]) -> Iterator[str]:
    for phase in PHASES:
        yield f"\n## {phase.capitalize()}\n\n{_HEAD}\n|---|---|---|---:|---:|---:|---|\n"
        for fault in FAULTS:
            one, other = rows[phase, fault, False], rows[phase, fault, True]
            both = (
                f"{one.took:.2f}, {other.took:.2f}",
                f"{one.worst * 1000:.0f}, {other.worst * 1000:.0f}",
                f"{one.held * 1000:.0f}, {other.held * 1000:.0f}",
            )
            cause = " ".join((one.cause or other.cause).replace("|", "/").replace("`", "").split())
            shown = cause if len(cause) <= _SHOWN else f"{cause[:_SHOWN]} ..."
            yield f"| {fault} | {one.outcome} | {other.outcome} | {' | '.join(both)} | {shown} |\n"


def _try(cell: Cell) -> tuple[Cell, Row]:
    phase, fault, confined = cell
    with tempfile.TemporaryDirectory() as folder:

        async def run() -> Row:
            return await try_calmly(Path(folder), phase, fault, confined=confined)

        return cell, anyio.run(run, backend=backend_of(cell))


def main() -> None:
    """Try all of them, and write the page."""
    cells = list(itertools.product(PHASES, FAULTS, (False, True)))
    at_a_time = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    rows: dict[Cell, Row] = {}
    with ProcessPoolExecutor(at_a_time, multiprocessing.get_context("spawn")) as pool:
        for cell, row in pool.map(_try, cells):
            print(*cell, row, flush=True)
            rows[cell] = row
    head, begin, _ = PAGE.read_text("utf-8").partition(_BEGIN)
    PAGE.write_text(head + begin + "".join(_tables(rows)), "utf-8")


if __name__ == "__main__":
    main()
