"""When the host is gone, however it went, its plugins' processes are gone: in every phase, whatever they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import faulty_hooks
from faulty_plugin import SOURCE
from housed import children, housed_by, is_alive, waits_until, write_plugin

HOST = """
import sys
import anyio
from plughost import Host

async def main():
    async with Host("acme", config=sys.argv[1], environ={}):
        await anyio.sleep(600)

anyio.run(main, backend=sys.argv[2])
"""

PHASES = {
    "idle": SOURCE,
    "spinning": SOURCE,
    "holding": SOURCE,
    "stopped": SOURCE,
    "forking": SOURCE,
    "bound": SOURCE,
    "zealous": "import time\ntime.sleep(600)\n" + SOURCE,
}
"""Imports are one after the other, in the order of names: the one that does not end comes last."""
_PROMISED = 0.1  # seconds
AT_START = {"spinning": "spin", "holding": "hold the lock", "stopped": "stop", "forking": "fork"}


def begin_host(folder: Path, library: str) -> subprocess.Popen[bytes]:
    """Begin a host with a plugin in each phase; the one that never ends its import is loaded last."""
    lines = ["[host]", f"plugin_dir = {str(folder / 'plugins')!r}", f"data_dir = {str(folder / 'data')!r}"]
    lines += [
        f"allow = {[*PHASES]}",
        'hookspecs = ["faulty_hooks"]',
        "load_concurrency = 20",
        "load_timeout = 600",
    ]
    for name, source in PHASES.items():
        write_plugin(folder, source, name)
        lines += [f"[plugins.{name}]", 'isolation = "process"']
        lines += [f"config.at_start = {AT_START[name]!r}"] if name in AT_START else []
        lines += [f"[plugins.{name}.process.confine]"] if name == "bound" else []
        lines += ["programs = true"] if name == "bound" else []
    lines += ["[plugins.zealous.process]", 'start = "fresh"']
    (folder / "plughost.toml").write_text("\n".join(lines))
    return subprocess.Popen(
        [sys.executable, "-c", HOST, str(folder / "plughost.toml"), library],
        env={**os.environ, "PYTHONPATH": str(Path(faulty_hooks.__file__).parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_a_host_that_is_killed_takes_them_along(tmp_path: Path) -> None:
    kill_hosts(tmp_path, times=1)


FORKING = """
import os, sys, time
import anyio
from plughost import Host

async def main():
    async with Host("acme", config=sys.argv[1], environ={}) as host:
        child = os.fork()
        if child == 0:
            time.sleep(600)
        print(host.plugins["faulty"].process.pid, child, flush=True)
        await anyio.sleep(600)

anyio.run(main)
"""


def test_a_process_that_the_host_forked_does_not_hold_them(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    (tmp_path / "plughost.toml").write_text(
        f"[host]\nplugin_dir = {str(tmp_path / 'plugins')!r}\ndata_dir = {str(tmp_path / 'data')!r}\n"
        'allow = ["faulty"]\nhookspecs = ["faulty_hooks"]\n[plugins.faulty]\nisolation = "process"\n'
    )
    host = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path / "plughost.toml")],
        env={**os.environ, "PYTHONPATH": str(Path(faulty_hooks.__file__).parent)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert host.stdout is not None
    guest, child = map(int, host.stdout.readline().split())
    try:
        (template,) = children(host.pid) - {child}
        host.send_signal(signal.SIGKILL)
        assert waits_until(lambda: not is_alive(guest) and not is_alive(template), 20.0)
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)
        host.communicate()


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_hosts_that_are_killed_take_two_hundred_along_within_a_tenth_of_a_second(tmp_path: Path) -> None:
    took = kill_hosts(tmp_path, times=30)
    in_time = sum(one < _PROMISED for one in took) * len(PHASES)
    print(
        f"{in_time} of {len(took) * len(PHASES)} processes in time, the last after {max(took) * 1000:.0f} ms"
    )
    assert max(took) < _PROMISED


def kill_hosts(folder: Path, times: int) -> list[float]:
    """Kill hosts, on asyncio and trio in turns; return how long the last of the processes of each lived on."""
    took = []
    for number in range(times):
        here = folder / str(number)
        here.mkdir()
        host = begin_host(here, "trio" if number % 2 else "asyncio")
        try:
            assert waits_until(lambda host=host: housed_by(host.pid) >= len(PHASES))
            guests = set.union(*(children(template) for template in children(host.pid)))
            time.sleep(0.2)
            below = set.union(*(children(guest) for guest in guests))
        finally:
            host.send_signal(signal.SIGKILL)
        began = time.monotonic()
        host.wait()
        assert waits_until(lambda guests=guests: not any(map(is_alive, guests)), 10.0)
        took.append(time.monotonic() - began)
        assert waits_until(lambda below=below: not any(map(is_alive, below)), 10.0)
    return took
