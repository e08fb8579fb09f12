"""Thirty plugins whose start returns at once: plughost beside its peers, each start in a process of its own.

    pip install -r benchmarks/requirements-peers.txt    # in an environment of its own, plughost beside them
    python benchmarks/start_peers.py [--plugins 30] [--rounds 9]

Measured is the time from making the host or manager until all plugins are started; what a peer is imported with is
imported before. Ratios are to pluggy by hand within a round. plughost and pluggy by hand wait for each start under a
limit; plughost also finds what is installed, validates, isolates and records.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import inspect
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:] = [path for path in sys.path if Path(path).resolve() != Path(__file__).resolve().parent]
# Last: this folder has modules that would be found first.
sys.path.append(str(Path(__file__).resolve().parent))

from direct_peers import PEERS, Peer  # noqa: E402

IMPORTED = {
    "plughost": "plughost.host",
    "pluggy by hand": "pluggy",
    "cpex": "cpex.framework",
    "nitro-dispatch": "nitro_dispatch",
    "plexus": "plexus",
    "pluginkit": "pluginkit",
    "stevedore": "stevedore",
}


async def start(peer: Peer) -> float:
    """Return the seconds that it takes."""
    for name in peer.names:
        peer.write(name)
    began = time.perf_counter()

    async def started() -> str:
        return str(time.perf_counter() - began)

    return float(await peer.run(started))


def one(name: str, plugins: int) -> None:
    """What the process of its own does."""
    logging.disable(logging.CRITICAL)
    importlib.import_module(IMPORTED[name])
    with tempfile.TemporaryDirectory() as folder:
        sys.path.insert(0, folder)
        peer = PEERS[name](Path(folder), tuple(f"quiet{number}" for number in range(plugins)))
        print(asyncio.run(start(peer)))


def seconds(name: str, plugins: int) -> float:
    """Start so many plugins in a process, and return what that took."""
    command = [sys.executable, __file__, "--peer", name, "--plugins", str(plugins)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return float(ran.stdout.strip().splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=inspect.cleandoc(__doc__ or ""))
    parser.add_argument("--peer")
    parser.add_argument("--plugins", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=9)
    wanted = parser.parse_args()
    if wanted.peer:
        return one(wanted.peer, wanted.plugins)
    names = [name for name, module in IMPORTED.items() if importlib.util.find_spec(module.partition(".")[0])]
    took: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(wanted.rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            took[name].append(seconds(name, wanted.plugins))
    print(f"| {wanted.plugins} plugins | ratio | least | median |\n|---|---:|---:|---:|")
    for name in names:
        ratio = statistics.median(
            own / other for own, other in zip(took[name], took["pluggy by hand"], strict=True)
        )
        least, median = min(took[name]) * 1000, statistics.median(took[name]) * 1000
        print(f"| {name} | {ratio:.2f} | {least:.1f} ms | {median:.1f} ms |")
    return None


if __name__ == "__main__":
    main()
