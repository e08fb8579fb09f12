"""What a plugin in a process of its own costs: calls, starts, memory, and how fast a crash is over.

Every figure stands beside `multiprocessing.Pipe` with pickle in the same round, because a busy machine moves both.
`python benchmarks/processes.py [--rounds N]` prints the table; Linux only.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio

from plughost import Host

PLUGIN = """
import anyio
from plughost import Plugin, hookimpl

class Echo(Plugin):
    @hookimpl
    async def describe_device(self, user_agent):
        if user_agent == "wait":
            await anyio.sleep(60)
        return None
"""
PAYLOAD = "x" * 100
CALLS = 300
MANY = 50


def configuration(folder: Path, names: list[str], isolation: str) -> dict[str, Any]:
    (folder / "plugins").mkdir(exist_ok=True)
    for name in names:
        (folder / "plugins" / f"{name}.py").write_text(PLUGIN)
    host = {
        "plugin_dir": str(folder / "plugins"),
        "data_dir": str(folder / "data"),
        "allow": names,
        "restart_pause": 0,
    }
    return {"host": host, "plugins": {name: {"isolation": isolation} for name in names}}


def echo(end: Any) -> None:
    while (message := end.recv()) is not None:
        end.send(message)


def pipe() -> float:
    """Seconds of one call and answer by pipe and pickle."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=echo, args=(theirs,))
    process.start()
    took = []
    for _ in range(CALLS):
        began = time.perf_counter()
        ours.send((1, PAYLOAD))
        ours.recv()
        took.append(time.perf_counter() - began)
    ours.send(None)
    process.join()
    return statistics.median(took)


async def one_caller(host: Host) -> tuple[float, float]:
    """Seconds of one call, and seconds of the host's processor time for it."""
    took = []
    used = time.process_time()
    for _ in range(CALLS):
        began = time.perf_counter()
        await host.hooks.describe_device(user_agent=PAYLOAD)
        took.append(time.perf_counter() - began)
    return statistics.median(took), (time.process_time() - used) / CALLS


async def many_callers(host: Host) -> tuple[float, float]:
    """The same for each call of many callers at once."""

    async def call() -> None:
        for _ in range(CALLS // 10):
            await host.hooks.describe_device(user_agent=PAYLOAD)

    began, used = time.perf_counter(), time.process_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(MANY):
            tasks.start_soon(call)
    calls = MANY * (CALLS // 10)
    return (time.perf_counter() - began) / calls, (time.process_time() - used) / calls


async def crash(host: Host) -> tuple[float, float]:
    """Seconds from `kill -9` until all calls under way have failed, and until the next answer."""
    process = host.plugins["echo"].process
    assert process is not None
    assert process.pid is not None
    failed: list[float] = []

    async def call() -> None:
        await host.hooks.describe_device(user_agent="wait")
        failed.append(time.perf_counter())

    async with anyio.create_task_group() as tasks:
        for _ in range(MANY):
            tasks.start_soon(call)
        await anyio.sleep(0.1)
        began = time.perf_counter()
        os.kill(process.pid, signal.SIGKILL)
    report = await host.hooks.describe_device.report(user_agent="x")
    answered = time.perf_counter()
    assert [one.kind for one in report.outcomes] == ["value"], report
    return max(failed) - began, answered - began


def memory(pids: list[int]) -> float:
    """Private megabytes of each of these processes, in the mean."""
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(("Private_Dirty:", "Private_Clean:")):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024 / len(pids)


async def starts(folder: Path, count: int) -> tuple[float, float]:
    """Seconds that a host takes to start with so many plugins, and private megabytes of each."""
    names = [f"echo{number}" for number in range(count)]
    began = time.perf_counter()
    async with Host("bench", config=configuration(folder, names, "process"), environ={}) as host:
        took = time.perf_counter() - began
        pids = [
            record.process.pid for record in host.plugins.values() if record.process and record.process.pid
        ]
        return took, memory(pids)


async def measure(rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}

    def note(name: str, *values: float) -> None:
        for place, value in enumerate(values):
            found.setdefault(f"{name}{('', ', host cpu')[place] if len(values) > 1 else ''}", []).append(
                value * 1e6
            )

    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            note("multiprocessing.Pipe and pickle", pipe())
            for isolation in ("none", "process"):
                where = "own process" if isolation == "process" else "inside"
                config = configuration(Path(folder), ["echo"], isolation)
                async with Host("bench", config=config, environ={}) as host:
                    await one_caller(host)
                    note(f"hook, {where}, one caller", *await one_caller(host))
                    note(f"hook, {where}, {MANY} callers", *await many_callers(host))
                    if isolation == "process":
                        all_failed, next_answer = await crash(host)
                        note("kill -9 until all under way have failed", all_failed)
                        note("kill -9 until the next answer", next_answer)
        one, _ = await starts(Path(folder), 1)
        many, private = await starts(Path(folder), MANY)
        note("one more plugin, start to ready", (many - one) / (MANY - 1))
        found["private megabytes of a plugin"] = [private]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    found = anyio.run(measure, parser.parse_args().rounds)
    floor = statistics.median(found["multiprocessing.Pipe and pickle"])
    print(
        f"load {os.getloadavg()[0]:.1f}, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB in the host"
    )
    print("| what | µs | of the pipe |\n|---|---:|---:|")
    for name, values in found.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:,.1f} | {middle / floor:.2f} |")


if __name__ == "__main__":
    main()
