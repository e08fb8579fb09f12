"""Signal 9 at random moments leaves no corrupt database, no half app and no half archive."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def kill_at_random(folder: Path, rounds: int, seed: int, *, limit: float) -> dict[str, int]:
    program = Path(__file__).parent.parent / "killing.py"
    done = subprocess.run(
        [sys.executable, str(program), str(folder), str(rounds), str(seed)],
        capture_output=True,
        text=True,
        timeout=limit,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(program.parent), *sys.path])},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, int] = json.loads(done.stdout)["seen"]
    assert sum(seen.values()) == rounds
    return seen


def test_a_killed_process_leaves_nothing_half(tmp_path: Path) -> None:
    seen = kill_at_random(tmp_path, 12, seed=7, limit=110)
    assert any("killed" in what for what in seen)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_killed_processes_leave_nothing_half(tmp_path: Path) -> None:
    seen = kill_at_random(tmp_path, 200, seed=11, limit=1700)
    assert sum(count for what, count in seen.items() if "killed" in what) > 100
