"""A backup of a 500 MB SQLite database, against ``sqlite3 .backup`` followed by ``zstd``.

Run: ``python benchmarks/backups.py [MEGABYTES]``. Half of the bytes are random, half are words. Both make a
consistent copy and compress it at zstd's level 3; plughost also sums every byte and syncs. They run in turn,
three times; the figure is the quotient of the best times. Memory is the peak of a process of its own, beyond
what it had before the backup, for the whole database and for a tenth of it: constant means about the same.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import anyio
from hosting import hosted

ROUNDS = 3
WORDS = "the quick brown fox jumps over the lazy dog while nobody looks at the moon".split()  # noqa: SIM905


def make(file: Path, megabytes: int) -> None:
    chance = random.Random(1)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE data (id INTEGER PRIMARY KEY, text TEXT, noise BLOB)")
        for _ in range(megabytes):
            rows = [
                (" ".join(chance.choices(WORDS, k=100))[:500], chance.randbytes(500)) for _ in range(1000)
            ]
            connection.executemany("INSERT INTO data (text, noise) VALUES (?, ?)", rows)
        connection.commit()


def by_hand(file: Path, folder: Path) -> tuple[float, float]:
    folder.mkdir()
    began, busy = time.perf_counter(), children()
    copy = folder / "copy.db"
    subprocess.run(["sqlite3", str(file), f".backup {copy}"], check=True)
    subprocess.run(["zstd", "-q", "-3", "--rm", str(copy)], check=True)
    return time.perf_counter() - began, children() - busy


def children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def with_plughost(file: Path) -> tuple[float, float, int]:
    async with hosted("database") as host:
        await host.apps.register("shop", {"url": f"sqlite:///{file}"})
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, busy = time.perf_counter(), time.process_time()
        await host.backups.run()
        took, busy = time.perf_counter() - began, time.process_time() - busy
    return took, busy, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before


def in_a_process(file: Path) -> tuple[float, float, int]:
    arguments = [sys.executable, __file__, "--one", str(file)]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    took, busy, kilobytes = json.loads(done.stdout)
    return took, busy, kilobytes


def main(megabytes: int) -> None:
    place = Path(tempfile.mkdtemp(prefix="plughost-bench-"))
    try:
        large, small = place / "large.db", place / "small.db"
        make(large, megabytes)
        make(small, megabytes // 10)
        hand, ours = [], []
        for _ in range(ROUNDS):
            hand.append(by_hand(large, place / "hand"))
            shutil.rmtree(place / "hand")
            ours.append(in_a_process(large))
        smaller = in_a_process(small)
        figures = {
            "megabytes": large.stat().st_size / 1e6,
            "by hand: seconds, processor seconds": hand,
            "plughost: seconds, processor seconds, kB of memory": ours,
            "quotient": min(row[0] for row in ours) / min(row[0] for row in hand),
            "quotient of processor time": min(row[1] for row in ours) / min(row[1] for row in hand),
            "kB of memory for a tenth": smaller[2],
            "processors": os.cpu_count(),
        }
        print(json.dumps(figures, indent=2))
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(anyio.run(with_plughost, Path(sys.argv[2]))))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 500)
