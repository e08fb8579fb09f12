"""Where a command is run: a folder that is gone or may not be written to, and an interrupt before it has begun."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from others import run_as_anybody

PROGRAM = "import sys; from plughost.cli.entry import run_program; sys.exit(run_program(sys.argv[1:]))"


def run(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("command", ["version", "list"])
def test_a_folder_that_is_gone_is_told_in_a_sentence(folder, command) -> None:
    code = "import os, sys; os.rmdir(os.getcwd()); from plughost.cli import main; main(sys.argv[1:])"
    ran = run(code, command, cwd=folder)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1)
    assert "was removed. Start it in another" in ran.stderr


def test_an_interrupt_while_the_program_is_imported_shows_no_traceback(folder) -> None:
    code = """
import sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupting())
from plughost.cli import main
main(["list"])
"""
    ran = run(code, cwd=folder)
    assert (ran.returncode, ran.stderr) == (1, "Aborted.\n")


@pytest.mark.parametrize("output", ["absent/pins.toml", "absent/deeper/pins.toml"])
def test_a_file_in_a_folder_that_is_not_there_is_told_with_the_folder(cli, output) -> None:
    ran = cli("freeze", "-o", output)
    assert ran.code == 1
    assert f"{output} cannot be made: there is no folder {os.path.dirname(output)}. Make it" in ran.err  # noqa: PTH120
    assert "Errno" not in ran.err


@pytest.mark.parametrize("command", [("freeze", "-o"), ("disable",)])
def test_a_folder_that_may_not_be_written_to_is_named_rather_than_a_draft(folder, command) -> None:
    (folder / "plughost.toml").write_text("", encoding="utf-8")
    folder.chmod(0o555)
    try:
        ran = run_as_anybody(PROGRAM, *command, "cache", cwd=folder)
    finally:
        folder.chmod(0o755)
    assert ran.returncode == 1
    assert "nothing can be made in folder " in ran.stderr
    assert "Permission denied. Let this user write there" in ran.stderr
    assert "draft" not in ran.stderr
    assert "Errno" not in ran.stderr
