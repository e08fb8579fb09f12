"""What the README promises at first sight is so. Its Python blocks all run in `test_docs.py`."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import docs_blocks
from plughost.cli.app import COMMANDS
from plughost.hookspecs import CATALOGUE, SPEC_ATTRIBUTE

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
TEXT = README.read_text("utf-8")
BLOCKS = list(docs_blocks.blocks(TEXT))
COMMAND_BLOCKS = [block for block in BLOCKS if block.language == "sh"]


def test_the_first_block_prints_what_it_says_and_stands_on_the_first_screen(tmp_path: Path) -> None:
    first = next(block for block in BLOCKS if block.runs)
    promised = re.findall(r"^# prints: (.*)$", first.code, re.MULTILINE)
    assert first.line + first.code.count("\n") < 40
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", first.code],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout.splitlines()) == (0, promised), ran.stderr


def test_there_are_exactly_two_commands_and_pip_is_all_they_need() -> None:
    run, test = [block.code.strip() for block in COMMAND_BLOCKS]
    for command in (run, test):
        assert "\n" not in command
        assert {"python3", ".venv/bin/pip", "install"} <= set(shlex.split(command))
        assert "--group" not in command  # pip before 25.1 knows no groups
    assert {"./example_plugins/plughost-hello", "./example_plugins/plughost-monitoring"} <= set(
        shlex.split(run)
    )
    assert run.endswith(".venv/bin/plughost run --once")
    assert "pytest" in test


def test_the_commands_of_the_operators_table_exist() -> None:
    named = set(re.findall(r"`plughost (\w+)", TEXT)) | set(
        re.findall(r"^\| .*`, `(\w+)", TEXT, re.MULTILINE)
    )
    assert named >= {"run", "list", "doctor", "check", "enable", "config", "profile"}
    assert set(re.findall(r"`plughost (\w+)", TEXT)) <= set(COMMANDS)


def test_the_catalogue_in_the_readme_is_the_catalogue() -> None:
    section = TEXT.partition("## The catalogue")[2].partition("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| "))
    declared = {
        name for family in CATALOGUE for name in dir(family) if hasattr(getattr(family, name), SPEC_ATTRIBUTE)
    }
    assert set(re.findall(r"`(\w+)`", rows)) == declared


def test_every_link_leads_somewhere() -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)", TEXT) if "://" not in target]
    assert len(targets) > 5
    assert [target for target in targets if not (ROOT / target).exists()] == []
