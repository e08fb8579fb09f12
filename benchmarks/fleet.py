"""How long a change takes to reach all hosts of a fleet, and what a host with nothing to do costs.

python benchmarks fleet.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import anyio

from plughost import Host
from plughost.contracts import Fleet, FleetChange


async def change_reaches_all(folder: Path, hosts: int, rounds: int) -> None:
    """Measure how long `disable` and `enable` take until every host has done it."""
    config = {"host": {"data_dir": str(folder), "allow": ["fleet", "cache"]}}
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(Host("bench", config=config, environ={}, worker=number))
            for number in range(hosts)
        ]
        await anyio.sleep(1)
        took = []
        for number in range(rounds):
            act, wanted = (("disable", "disabled"), ("enable", "ready"))[number % 2]
            began = time.perf_counter()
            await running[0].use(Fleet).propose(FleetChange(act, "cache"))  # type: ignore[arg-type]
            while any(str(host.plugins["cache"].state) != wanted for host in running):  # noqa: ASYNC110
                await anyio.sleep(0.001)
            took.append((time.perf_counter() - began) * 1000)
        print(
            f"a change on {hosts} hosts of one process: p50 {statistics.median(took):.0f} ms  max {max(took):.0f} ms"
        )


async def idle(folder: Path, seconds: float) -> None:
    """Measure what a host with nothing to do costs, with the fleet and without it."""
    for allow in ([], ["fleet"]):
        config = {"host": {"data_dir": str(folder / f"idle{len(allow)}"), "allow": allow}}
        async with Host("bench", config=config, environ={}):
            await anyio.sleep(1)
            began = time.process_time()
            await anyio.sleep(seconds)
            share = (time.process_time() - began) / seconds
        print(f"idle host, plugins {allow or 'none'}: {share:.3%} of a core")


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        await change_reaches_all(Path(name) / "hosts", 8, 20)
        await idle(Path(name), 10)


if __name__ == "__main__":
    anyio.run(main)
