"""A file that is put in the place of another, and what writers leave who do not live to do that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plughost.contracts.files import _new_draft, replace_file

KILLED = """
import resource, signal, sys
from pathlib import Path
from plughost.contracts.files import replace_file
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
replace_file(Path(sys.argv[1]), b"x" * 1000)
"""


@pytest.mark.parametrize("name", ["shop.json", "a name.toml", "no-ending"])
def test_what_a_killed_writer_had_begun_is_removed_by_the_next_that_writes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"as it was")
    for _ in range(2):
        died = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
        assert died.returncode == -signal.SIGXFSZ
    assert path.read_bytes() == b"as it was"
    assert len(list(tmp_path.iterdir())) == 3
    replace_file(path, b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {name: b"new"}


def test_what_somebody_writes_now_is_left_to_him(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    descriptor, draft = _new_draft(path)
    replace_file(path, b"mine")
    assert draft.exists()
    os.close(descriptor)
    replace_file(path, b"mine")
    assert [file.name for file in tmp_path.iterdir()] == ["shop.json"]


def test_files_of_others_beside_it_stay(tmp_path: Path) -> None:
    others = {".shop.json.swp", ".shop.json.draft", ".shop.json.a.b.draft", ".mail.json.abcdefgh.draft"}
    for other in others:
        (tmp_path / other).touch()
    replace_file(tmp_path / "shop.json", b"new")
    assert {file.name for file in tmp_path.iterdir()} == others | {"shop.json"}
