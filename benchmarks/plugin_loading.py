"""Loading 30 plugins whose starts take a seeded lognormal time, against the least any loader could take.

The lower bound is max(longest chain of dependencies, sum of all starts / limit). Fixed groups, each waiting
for its slowest member, are measured beside it, because that is how loaders usually bound their concurrency.

    python benchmarks/plugin_loading.py
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from plughost import Host

COUNT, ROUNDS, SEED = 30, 7, 7


def durations() -> dict[str, float]:
    draw = random.Random(SEED)
    raw = [draw.lognormvariate(0.0, 0.8) for _ in range(COUNT)]
    scale = 0.050 / statistics.mean(raw)
    return {f"p{number:02}": value * scale for number, value in enumerate(raw)}


def needs(chained: bool) -> dict[str, tuple[str, ...]]:
    draw = random.Random(SEED + 1)
    names = list(durations())
    return {
        name: (draw.choice(names[:place]),) if chained and place > 4 and draw.random() < 0.4 else ()
        for place, name in enumerate(names)
    }


def bound(times: dict[str, float], graph: dict[str, tuple[str, ...]], limit: int) -> float:
    chains: dict[str, float] = {}
    for name in times:
        chains[name] = times[name] + max((chains[other] for other in graph[name]), default=0.0)
    return max(max(chains.values()), sum(times.values()) / limit)


PLUGIN = """
import asyncio

from plughost import Plugin


class Sleeper(Plugin):
    async def start(self, context):
        await asyncio.sleep({seconds})
"""


def write_plugins(folder: Path, times: dict[str, float], graph: dict[str, tuple[str, ...]]) -> None:
    """Write a package for each, with a card that says what it requires before anything is imported."""
    for name, seconds in times.items():
        package = folder / f"sleeping_{name}"
        package.mkdir()
        (package / "__init__.py").write_text(PLUGIN.format(seconds=seconds), "utf-8")
        (package / "plugin.toml").write_text(f"requires = {json.dumps(graph[name])}\n", "utf-8")


async def through_the_host(times: dict[str, float], limit: int, data: Path) -> float:
    config = {
        "host": {"load_concurrency": limit, "data_dir": str(data), "allow": [*times]},
        "plugins": {name: {"module": f"sleeping_{name}:Sleeper"} for name in times},
    }
    async with Host("bench", config=config, environ={}) as host:
        assert len(host.report.loaded) == COUNT, host.report
        return host.report.duration


async def in_fixed_groups(times: dict[str, float], graph: dict[str, tuple[str, ...]], limit: int) -> float:
    began = time.perf_counter()
    waiting, done = dict(graph), set[str]()
    while waiting:
        ready = [name for name, wanted in waiting.items() if set(wanted) <= done][:limit]
        await asyncio.gather(*(asyncio.sleep(times[name]) for name in ready))
        done.update(ready)
        for name in ready:
            del waiting[name]
    return time.perf_counter() - began


async def measure(chained: bool, limit: int) -> str:
    times, graph = durations(), needs(chained)
    least = bound(times, graph, limit)
    first, later, groups = [], [], []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_plugins(folder, times, graph)
            sys.path.insert(0, name)
            first.append(await through_the_host(times, limit, folder / "data") / least)
            later.append(await through_the_host(times, limit, folder / "data") / least)
            sys.path.remove(name)
            for plugin in times:
                del sys.modules[f"sleeping_{plugin}"]
        groups.append(await in_fixed_groups(times, graph, limit) / least)
    medians = [f"{statistics.median(column):.3f}" for column in (first, later, groups)]
    kind = "with dependencies" if chained else "independent"
    return f"| {kind} | {limit} | {least * 1000:.0f} ms | {' | '.join(medians)} |"


async def main() -> None:
    print("| plugins | limit | lower bound | host, first start | host, durations known | fixed groups |")
    print("|---|---|---|---|---|---|")
    for chained in (False, True):
        for limit in (3, 8):
            print(await measure(chained, limit))


if __name__ == "__main__":
    asyncio.run(main())
