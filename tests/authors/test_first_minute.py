"""From an empty folder to a tested plugin, as a newcomer goes: each step a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

import docs_blocks

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
    timed("its own tests", lambda: own_tests(tmp_path / "hello", tmp_path / "site"))
    with capsys.disabled():
        steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in took.items())
        sys.stdout.write(f"\n  {steps}; together {sum(took.values()):.1f} s\n")


def test_the_tutorial_shows_what_is_made_and_ends_with_what_it_says(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tutorial" / "first-plugin.md").read_text("utf-8")
    code = {block.caption: block.code for block in docs_blocks.blocks(page) if block.caption}
    made = run("plughost", "new", "welcome", "--yes", folder=tmp_path, timeout=LIMIT).stdout
    assert made in page
    plugin = tmp_path / "welcome"
    files = (plugin / "pyproject.toml", plugin / "src" / "plughost_welcome" / "plugin.toml")
    shown = [tomllib.loads(block.code) for block in docs_blocks.blocks(page) if block.language == "toml"]
    for excerpt, file in zip(shown, files, strict=True):
        within(excerpt, tomllib.loads(file.read_text("utf-8")))
    for caption, text in code.items():
        if caption.startswith("welcome/"):
            assert (tmp_path / caption).parent.is_dir()
            (tmp_path / caption).write_text(text, "utf-8")
    install([plugin], tmp_path / "site")
    own_tests(plugin, tmp_path / "site")
    checked = run("plughost", "check", "./welcome", folder=tmp_path, timeout=LIMIT)
    assert checked.stdout.splitlines()[-1] in page.splitlines()


def within(part: object, whole: object) -> None:
    """Whatever a document says is said by another one too."""
    if isinstance(part, dict) and isinstance(whole, dict):
        for name, value in part.items():
            within(value, whole[name])
    else:
        assert part == whole


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


def own_tests(plugin: Path, site: Path) -> None:
    ran = run(
        "pytest",
        "-q",
        "-p",
        "no:asyncio",
        "-p",
        "no:cacheprovider",
        folder=plugin,
        site=site,
        timeout=LIMIT,
    )
    assert " passed" in ran.stdout
    assert "failed" not in ran.stdout
