"""What a plugin in a process of its own costs: calls, starts, memory, and how fast a crash or a hang is over.

Calls stand beside `multiprocessing.Pipe` with pickle in the same round, because a busy machine moves both.
`python benchmarks/processes.py [--rounds N]` prints all figures, and beside each that was demanded whether it is met;
Linux only. How soon a killed host's processes are gone is told by `pytest -m soak -rP --whole` of
`tests/core/processes/test_leash.py` and `test_killed_hosts.py`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from plughost import Host

PLUGIN = """
import anyio
from plughost import Plugin, hookimpl
from plughost.contracts import Device

class Echo(Plugin):
    @hookimpl
    async def describe_device(self, user_agent):
        if user_agent == "wait":
            await anyio.sleep(60)
        if user_agent == "spin":
            while True:
                pass
        if user_agent == "hold the lock":
            import ctypes
            ctypes.PyDLL(None).usleep(600_000_000)
        if user_agent == "backtrack":
            import re
            re.match("(a*)*b", "a" * 40)
        return Device(name=user_agent) if user_agent.startswith("echo") else None
"""
TRIVIAL = """
from plughost import Plugin, hookimpl

class Trivial(Plugin):
    @hookimpl
    async def describe_device(self, user_agent):
        return None
"""
HANGS = ("spin", "hold the lock", "backtrack")
LIMIT = 0.5
PAYLOAD = "x" * 100
CALLS = 300
MANY = 50


def configuration(folder: Path, names: list[str], isolation: str, source: str = PLUGIN) -> dict[str, Any]:
    (folder / "plugins").mkdir(exist_ok=True)
    for name in names:
        (folder / "plugins" / f"{name}.py").write_text(source)
    host = {
        "plugin_dir": str(folder / "plugins"),
        "data_dir": str(folder / "data"),
        "allow": names,
        "restart_pause": 0,
        "max_restarts": 1_000,
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


async def megabyte(host: Host) -> tuple[float, float]:
    """Seconds of an echo of a megabyte, and seconds of the host's processor time for it."""
    text = "echo" + "x" * 1_000_000
    assert getattr(await host.hooks.describe_device(user_agent=text), "name", "") == text
    began, used = time.perf_counter(), time.process_time()
    for _ in range(CALLS // 10):
        await host.hooks.describe_device(user_agent=text)
    calls = CALLS // 10
    return (time.perf_counter() - began) / calls, (time.process_time() - used) / calls


async def calls_of_a_write(host: Host) -> float:
    """How many calls of many callers leave in one write of the host, where each would take one by itself."""
    written, send = 0, socket.socket.send

    def counting(sock: socket.socket, *given: Any) -> int:
        nonlocal written
        written += 1
        return send(sock, *given)

    socket.socket.send = counting  # type: ignore[method-assign, assignment]
    try:
        await many_callers(host)
    finally:
        socket.socket.send = send  # type: ignore[method-assign]
    return MANY * (CALLS // 10) / written


async def first_answers(host: Host) -> float:
    """Seconds from the start of a plugin, when the template is there, to its first answer; the median."""
    took = []
    for _ in range(20):
        await host.disable_plugin("echo")
        began = time.perf_counter()
        await host.enable_plugin("echo")
        assert await host.hooks.describe_device(user_agent="echo") is not None
        took.append(time.perf_counter() - began)
    return statistics.median(took)


async def hang(host: Host, how: str) -> tuple[float, bool]:
    """Seconds from a call that hangs until its process is killed, and whether the record says where it stood."""

    def restarts() -> int:
        process = host.plugins["echo"].process
        return 0 if process is None else process.restarts

    before, began = restarts(), time.time()
    await host.hooks.describe_device(user_agent=how)
    with anyio.fail_after(60):
        while restarts() == before:  # noqa: ASYNC110  nobody tells of it
            await anyio.sleep(0.002)
    process = host.plugins["echo"].process
    last = None if process is None else process.last_exit
    assert last is not None
    return last.at - began, "in describe_device" in last.stack


async def reloads(host: Host, times: int) -> Counter[str]:
    """How calls under load ended while the plugin was reloaded so often."""
    ends: Counter[str] = Counter()
    over = anyio.Event()

    async def call() -> None:
        while not over.is_set():
            report = await host.hooks.describe_device.report(user_agent="echo")
            ends.update(one.kind for one in report.outcomes)

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
        for _ in range(times):
            await host.reload_plugin("echo")
        over.set()
    return ends


def memory(pids: list[int], *kinds: str) -> float:
    """Megabytes of that kind of all these processes."""
    kilobytes = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(kinds):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


async def starts(folder: Path, count: int) -> tuple[float, float, float, float]:
    """Seconds that a host takes to start with so many trivial plugins, private megabytes of each, and PSS.

    PSS is that of all of them, in which each counts its part of what is shared, and of the process of which they were
    forked.
    """
    names = [f"trivial{number}" for number in range(count)]
    began = time.perf_counter()
    config = configuration(folder, names, "process", TRIVIAL)
    async with Host("bench", config=config, environ={}) as host:
        took = time.perf_counter() - began
        pids = [
            record.process.pid for record in host.plugins.values() if record.process and record.process.pid
        ]
        private = memory(pids, "Private_Dirty:", "Private_Clean:") / len(pids)
        return took, private, memory(pids, "Pss:"), memory([parent_of(pids[0])], "Pss:")


def imported() -> float:
    """How many modules about processes a program imports that has no plugin in one."""
    code = "import sys, plughost; plughost.Host; print(sum('processes.' in m or '.wire' in m for m in sys.modules))"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


Figures = dict[str, list[float]]


async def measure(rounds: int, folder: Path) -> Figures:
    found: Figures = {}

    def note(name: str, *values: float, scale: float = 1e6, second: str = ", host cpu") -> None:
        for ending, value in zip(("", second), values, strict=False):
            found.setdefault(name + ending, []).append(value * scale)

    for _ in range(rounds):
        note("pipe", pipe())
        for isolation, where in (("none", "inside"), ("process", "own process")):
            config = configuration(folder, ["echo"], isolation)
            async with Host("bench", config=config, environ={}) as host:
                await one_caller(host)
                note(f"{where}, one caller", *await one_caller(host))
                note(f"{where}, many callers", *await many_callers(host))
                if isolation == "process":
                    note("calls of a write", await calls_of_a_write(host), scale=1)
                    note("megabyte", *await megabyte(host))
                    note("first answer", await first_answers(host))
                    note("all failed", *await crash(host), second=", next answer")
        config = configuration(folder, ["echo"], "process") | {
            "hooks": {"timeouts": {"describe_device": LIMIT}}
        }
        async with Host("bench", config=config, environ={}) as host:
            for how in HANGS:
                took, is_told = await hang(host, how)
                note("hang", took - LIMIT)
                note("hang without stack", not is_told, scale=1)
    many, private, together, template = await starts(folder, MANY)
    note("many plugins", many, scale=1)
    note("private", private, scale=1)
    note("together", together, scale=1)
    note("template", template, scale=1)
    async with Host("bench", config=configuration(folder, ["echo"], "process"), environ={}) as host:
        ends = await reloads(host, 100)
    note("calls under reloads", ends.total(), scale=1)
    note("lost under reloads", ends.total() - ends["value"], scale=1)
    note("modules", imported(), scale=1)
    return found


@dataclass(frozen=True)
class Line:
    """A figure of the table.

    Attributes:
        what: What it is.
        unit: In what.
        figure: Makes it of what was found.
        most: What it may be; None where nothing was demanded.
        least: What it has to be at least.
    """

    what: str
    unit: str
    figure: Callable[[Figures], float]
    most: float | None = None
    least: float | None = None


def median(name: str, scale: float = 1.0) -> Callable[[Figures], float]:
    return lambda found: statistics.median(found[name]) * scale


def of_pipe(name: str) -> Callable[[Figures], float]:
    """The ratio to the pipe of the same round, in the median."""
    return lambda found: statistics.median(
        one / pipe for one, pipe in zip(found[name], found["pipe"], strict=True)
    )


def worst(name: str, scale: float = 1.0) -> Callable[[Figures], float]:
    return lambda found: max(found[name]) * scale


LINES = (
    Line("`multiprocessing.Pipe` and pickle", "us", median("pipe")),
    Line("hook inside, one caller", "us", median("inside, one caller")),
    Line("the same, host's processor time", "us", median("inside, one caller, host cpu")),
    Line("hook in its own process, one caller", "us", median("own process, one caller")),
    Line("the same, of the pipe of its round", "", of_pipe("own process, one caller"), most=4.5),
    Line("the same, host's processor time", "us", median("own process, one caller, host cpu"), most=70),
    Line(f"hook in its own process, {MANY} callers, each call", "us", median("own process, many callers")),
    Line("the same, of the pipe of its round", "", of_pipe("own process, many callers"), most=0.9),
    Line("the same, host's processor time", "us", median("own process, many callers, host cpu"), most=18),
    Line(f"calls that leave in one write, {MANY} callers", "", median("calls of a write"), least=2),
    Line("echo of a megabyte", "us", median("megabyte")),
    Line("the same, host's processor time (3.11: at most 1.5 of 3.13's)", "us", median("megabyte, host cpu")),
    Line("start from the template to the first answer", "ms", median("first answer", 1e-3), most=15),
    Line(f"start of a host with {MANY} plugins", "s", median("many plugins"), most=1.5),
    Line(f"private memory of a plugin, of {MANY}", "MB", median("private"), most=4),
    Line(f"memory of {MANY} plugins, PSS", "MB", median("together"), most=200),
    Line("memory of the process of which they were forked, PSS", "MB", median("template")),
    Line(
        f"`kill -9` until {MANY} calls under way have failed, worst", "ms", worst("all failed", 1e-3), most=10
    ),
    Line("the same, until the next answer, worst", "ms", worst("all failed, next answer", 1e-3), most=50),
    Line("hang beyond its limit until killed, worst", "s", worst("hang", 1e-6), most=0.3),
    Line(
        "hangs whose stack is not in the record", "", lambda found: sum(found["hang without stack"]), most=0
    ),
    Line("calls during 100 reloads", "", median("calls under reloads")),
    Line("of these lost", "", median("lost under reloads"), most=0),
    Line("modules about processes that a host without them imports", "", median("modules"), most=0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    with tempfile.TemporaryDirectory() as folder:
        found = anyio.run(measure, parser.parse_args().rounds, Path(folder))
    print(
        f"Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB in the host"
    )
    print("| what | figure | demanded | |\n|---|---:|---:|---|")
    for line in LINES:
        figure = line.figure(found)
        met = (line.most is None or figure <= line.most) and (line.least is None or figure >= line.least)
        demanded = "" if line.most is None else f"at most {line.most:g}"
        demanded = demanded if line.least is None else f"at least {line.least:g}"
        verdict = ("met" if met else "MISSED") if demanded else ""
        print(f"| {line.what} | {figure:,.2f} {line.unit} | {demanded} | {verdict} |")


if __name__ == "__main__":
    main()
