"""From an empty folder to a tested plugin, as a newcomer goes: each step a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .rendered_plugins import environment, install, run

LIMIT = 110.0
"""Seconds after which a step is given up. What the steps took is printed; the machine decides it, not this test."""


def test_from_an_empty_folder_to_a_tested_plugin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    took: dict[str, float] = {}

    def timed(step: str, action: Callable[[], object]) -> None:
        began = time.perf_counter()
        action()
        took[step] = time.perf_counter() - began

    timed("plughost new", lambda: run("plughost", "new", "hello", "--yes", folder=tmp_path, timeout=LIMIT))
    timed("plughost run --dev: READY", lambda: assert_ready_in_dev(tmp_path))
    timed("installation", lambda: install([tmp_path / "hello"], tmp_path / "site"))
    timed("its own tests", lambda: own_tests(tmp_path))
    with capsys.disabled():
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in took.items())
        sys.stdout.write(f"\n  {steps}; together {sum(took.values()):.1f} s\n")


def assert_ready_in_dev(folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "plughost", "run", "--json", "--dev", "./hello"],
        cwd=folder, env=environment() | {"XDG_DATA_HOME": str(folder)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Watching "):
                break  # the report was written before
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    (hello,) = (one for one in json.loads(out)["plugins"] if one["name"] == "hello")
    assert hello["state"] == "ready"


def own_tests(folder: Path) -> None:
    ran = run(
        "pytest",
        "-q",
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
        folder=folder / "hello",
        site=folder / "site",
        timeout=LIMIT,
    )
    assert " passed" in ran.stdout
    assert "failed" not in ran.stdout
