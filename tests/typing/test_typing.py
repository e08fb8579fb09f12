"""Runs mypy over the files beside this one: what it must know, and which mistakes it must find."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

Findings = Mapping[str, list[tuple[int, str]]]
"""By file name: line and error code of each finding, in order."""


@pytest.fixture(scope="module")
def findings() -> Findings:
    """What strict mypy says about all of them, in one run."""
    files = [path.name for path in sorted(HERE.glob("*.py")) if not path.name.startswith("test_")]
    run = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-pretty",
            f"--config-file={HERE / 'mypy.ini'}", f"--cache-dir={ROOT / '.mypy_cache' / 'typing'}", *files,
        ],
        cwd=HERE, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert run.returncode in {0, 1}, run.stdout + run.stderr
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in files}
    for line in run.stdout.splitlines():
        if match := re.match(r"(\S+?):(\d+): error: .*\[([\w-]+)\]$", line):
            found.setdefault(match[1], []).append((int(match[2]), match[3]))
        else:
            assert ": note: " in line, run.stdout
    return found


@pytest.mark.parametrize("name", ["calls.py", "own_hooks.py", "services.py"])
def test_the_checker_knows_the_results_of_hook_calls(findings: Findings, name: str) -> None:
    assert findings[name] == []


def test_the_checker_finds_each_mistake_and_no_other(findings: Findings) -> None:
    expected = [
        (number, code)
        for number, line in enumerate((HERE / "mistakes.py").read_text().splitlines(), start=1)
        if "# error:" in line
        for code in line.partition("# error:")[2].split()
    ]
    assert expected
    assert findings["mistakes.py"] == expected
