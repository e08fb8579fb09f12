"""The demonstration of the documentation: one command, which is run here as a reader would."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import docs_blocks
from documented_hooks import DOCS

PAGE = DOCS / "explanation" / "processes.md"


def test_a_neighbour_answers_while_a_plugin_crashes_hangs_and_eats_memory(tmp_path: Path) -> None:
    docs_blocks.run_page(PAGE, tmp_path)
    done = subprocess.run(
        [sys.executable, "demonstration.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (documented,) = [one for one in docs_blocks.blocks(PAGE.read_text("utf-8")) if "$ python" in one.code]
    *said, worst = done.stdout.splitlines()
    assert said == documented.code.splitlines()[1:-1]
    answered = re.fullmatch(r"/hello was answered (\d+) times, the worst answer took [\d.]+ ms", worst)
    assert answered is not None
    print(worst)
    assert int(answered[1]) > 20  # the hang alone is longer than a second
