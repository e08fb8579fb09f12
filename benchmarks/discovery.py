"""Discovery among 50, 200 and 1,000 installed distributions, in a cold process each time.

    python benchmarks/discovery.py

Contenders, in turn within each round: the whole of ``plughost list``, the standard library's and importlib_metadata's
``entry_points``, and stevedore with its cache filled (when it is installed).
Each is a process of its own; what is reported is its wall time less that of an interpreter that does nothing.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
SIZES = (50, 200, 1000)

_PEER = "from {} import entry_points; assert len(entry_points(group='plughost.plugins')) >= 3"
_LIST = "import sys; sys.argv = ['plughost', 'list', '--json']; from plughost.cli import main; main()"
CONTENDERS = {
    "importlib_metadata": _PEER.format("importlib_metadata"),
    "importlib.metadata (stdlib)": _PEER.format("importlib.metadata"),
    "stevedore, cache filled": "from stevedore import ExtensionManager; ExtensionManager('acme.none')",
    "plughost list --json": _LIST,
}


def install(folder: Path, count: int) -> None:
    for number in range(count):
        info = folder / f"dist_{number}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{number}\nVersion: 1.0\n", "utf-8")
        group = "plughost.plugins" if number % 20 == 0 else "console_scripts"
        if number % 4 == 0:
            (info / "entry_points.txt").write_text(f"[{group}]\np{number} = dist_{number}:P\n", "utf-8")


def seconds(code: str, folder: Path) -> float:
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin", "HOME": str(folder)}
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    took = time.perf_counter() - began
    if ended.returncode not in (0, 3):
        raise RuntimeError(ended.stderr.decode()[-500:])
    return took


def measure(size: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "site"
        install(folder, size)
        codes = {peer: code for peer, code in CONTENDERS.items() if _is_there(peer)}
        rounds: dict[str, list[float]] = {peer: [] for peer in codes}
        for turn in range(ROUNDS + 1):
            empty = seconds("pass", folder)
            for peer, code in codes.items():
                took = seconds(code, folder) - empty
                if turn:  # the first round fills caches
                    rounds[peer].append(took)
        least = statistics.median(rounds["importlib_metadata"])
        for peer, times in rounds.items():
            middle = statistics.median(times)
            print(f"| {size} | {peer} | {middle * 1000:.1f} ms | {middle / least:.2f} |")


def _is_there(peer: str) -> bool:
    if not peer.startswith("stevedore"):
        return True
    import importlib.util

    return importlib.util.find_spec("stevedore") is not None


def main() -> None:
    print("| distributions | contender | beyond an empty process | ratio to importlib_metadata |")
    print("|---|---|---|---|")
    for size in SIZES:
        measure(size)


if __name__ == "__main__":
    main()
