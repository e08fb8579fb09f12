"""What importing plughost costs, against what its own base dependencies cost.

    python benchmarks/import_time.py

Each measurement is a process of its own; the contenders take turns within each round, and what counts is the
median over rounds of the ratio within a round. Times are processor time, less that of an interpreter that does
nothing. Exits with 1 when importing all an embedder needs costs 1.5 times its base dependencies or more.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
from pathlib import Path

from harness import surroundings

ROUNDS = 15
LIMIT = 1.5
DEPENDENCIES = (
    "anyio, click, cronsim, importlib_metadata, msgspec, packaging.specifiers, "
    "pluggy, sniffio, structlog, tomlkit"
)
EVENT_LOOP = "asyncio, anyio.from_thread, anyio.to_thread"  # anyio imports these when they are first used

CONTENDERS = {
    "base dependencies": f"import {DEPENDENCIES}, {EVENT_LOOP}",
    "import plughost": "import plughost",
    "from plughost import Host, Plugin, hookimpl": "from plughost import Host, Plugin, hookimpl",
    "all of plughost.contracts": "from plughost.contracts import *",
}


def seconds(code: str) -> float:
    """Processor time of a process: what else the machine does at the moment is not in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure() -> dict[str, list[float]]:
    for code in CONTENDERS.values():
        seconds(code)  # writes the byte code
    times: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(ROUNDS):
        nothing = seconds("pass")
        for name, code in CONTENDERS.items():
            times[name].append(max(seconds(code) - nothing, 0.0))
    return times


def main() -> int:
    times = measure()
    yardstick = times["base dependencies"]
    print(f"{Path(__file__).name}: {surroundings('plughost', 'anyio', 'click', 'msgspec', 'structlog')}\n")
    print("| import | ratio | median |\n|---|---:|---:|")
    ratios = {}
    for name, own in times.items():
        ratios[name] = statistics.median(mine / base for mine, base in zip(own, yardstick, strict=True))
        print(f"| {name} | {ratios[name]:.2f} | {statistics.median(own) * 1000:.0f} ms |")
    return int(ratios["from plughost import Host, Plugin, hookimpl"] >= LIMIT)


if __name__ == "__main__":
    sys.exit(main())
