"""Where a command is run: a folder that is gone or may not be written to, and an interrupt before it has begun."""

from __future__ import annotations

import json
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
    ran = cli("freeze", "--json", "-o", output)
    said = f"{output} cannot be made: there is no folder {os.path.dirname(output)}. Make it, or name another"  # noqa: PTH120
    assert (ran.code, ran.err) == (1, f"Error: {said}\n")
    assert (ran.document["code"], ran.document["message"]) == ("file_not_found_error", said)


@pytest.mark.parametrize(
    ("make", "kind"),
    [(Path.touch, "a file"), (lambda place: place.symlink_to(place), "a link that leads nowhere")],
)
def test_what_lies_where_the_data_folder_belongs_is_told(cli, configure, folder, make, kind) -> None:
    configure('[host]\nallow = []\ndata_dir = "data"\n')
    make(folder / "data")
    ran = cli("run", "--once")
    said = (
        f"{folder / 'data'} cannot be used: {kind} is where a folder belongs. Move it away, or name another"
    )
    assert (ran.code, ran.err) == (1, f"Error: {said}\n")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("PATH", "cannot be used: Is a directory"),
        ("SECRET_FILE", "cannot be read: No such file or directory"),
    ],
)
def test_what_the_fleet_cannot_use_is_told_without_the_number_of_the_error(
    cli, folder, monkeypatch, setting, said
) -> None:
    place = folder / "place"
    if setting == "PATH":
        place.mkdir()
    monkeypatch.setenv(f"PLUGHOST_PLUGINS__FLEET__CONFIG__{setting}", str(place))
    ran = cli("fleet", "disable", "lamp", "--now", "--json")
    assert ran.code == 1
    assert ran.document["message"].endswith(f"{place} {said}")
    assert ran.document["message"] in ran.err


@pytest.mark.parametrize("command", [("freeze", "-o"), ("disable",)])
def test_a_folder_that_may_not_be_written_to_is_named_rather_than_a_draft(folder, command) -> None:
    (folder / "plughost.toml").write_text("", encoding="utf-8")
    folder.chmod(0o555)
    try:
        ran = run_as_anybody(PROGRAM, "--json", *command, "cache", cwd=folder)
    finally:
        folder.chmod(0o755)
    assert ran.returncode == 1
    for said in (ran.stderr, json.loads(ran.stdout)["message"]):
        assert "nothing can be made in folder " in said
        assert "Permission denied. Let this user write there" in said
        assert "draft" not in said
        assert "Errno" not in said


@pytest.mark.parametrize("command", [("freeze", "-o", "pins.toml"), ("disable", "cache")])
def test_a_file_for_which_there_is_no_room_is_named_and_is_as_it_was(folder, command) -> None:
    file = folder / ("pins.toml" if command[0] == "freeze" else "plughost.toml")
    file.write_text("# as it was\n")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1, 1)); "
    ran = run(limit + PROGRAM, *command, cwd=folder)
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert f"{file.name} cannot be written: File too large. It is as it was; make room for it" in ran.stderr
    assert file.read_text() == "# as it was\n"
