"""Commands beside a host that runs in another process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CONFIG = """
[host]
allow = ["lamp"]
data_dir = "data"
[plugins.lamp]
module = "lamp:Lamp"
[apps.shop]
url = "sqlite:///shop.db"
"""
LAMP = "from plughost import Plugin\nclass Lamp(Plugin):\n    pass\n"


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
    return subprocess.run(
        [sys.executable, "-m", "plughost", *arguments],
        cwd=folder, env={**environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "plughost.toml").write_text(CONFIG)
    (tmp_path / "lamp.py").write_text(LAMP)
    return tmp_path


@pytest.fixture
def running(folder: Path) -> Iterator[subprocess.Popen[str]]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "plughost", "run", "--json"],
        cwd=folder, env={**environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("}"))
    yield process
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)


def test_nothing_is_restored_over_the_data_of_a_running_host(folder, running):
    refused = command(folder, "backup", "restore", "some-archive", "--yes")
    assert refused.returncode == 1
    assert "stop it first" in refused.stderr
    assert str(running.pid) in refused.stderr


def test_a_killed_host_is_in_nobodys_way(folder, running):
    running.kill()
    running.wait(30)
    tried = command(folder, "backup", "restore", "some-archive", "--yes")
    assert "stop it first" not in tried.stderr


def test_switching_a_plugin_says_that_the_running_host_goes_on_as_it_was(folder, running):
    switched = command(folder, "disable", "lamp", "--json")
    assert json.loads(switched.stdout)["changed"]
    assert f"process {running.pid}" in switched.stderr
    assert "goes on as it was" in switched.stderr


def test_without_a_running_host_switching_says_nothing_of_one(folder):
    assert "process" not in command(folder, "disable", "lamp").stderr
