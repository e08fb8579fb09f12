"""Which hosts are said to run on a data folder."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from plughost.blocking import BlockingHost
from plughost.core.running import marked_as_running, running_host, running_hosts


def test_a_host_that_begins_hides_nothing_that_another_one_tells(tmp_path: Path) -> None:
    with marked_as_running(tmp_path) as first:
        first.tell(admin="http://127.0.0.1:8000/admin", reload=17)
        with marked_as_running(tmp_path):
            told = running_host(tmp_path)
            assert told is not None
            assert (told.admin, told.reload) == ("http://127.0.0.1:8000/admin", 17)
            assert len(running_hosts(tmp_path)) == 2


def test_a_host_that_ends_takes_nothing_along_of_what_another_one_tells(tmp_path: Path) -> None:
    with marked_as_running(tmp_path) as first:
        with marked_as_running(tmp_path, admin="http://127.0.0.1:8001/admin"):
            pass
        first.tell(reload=17)
        assert [host.reload for host in running_hosts(tmp_path)] == [17]
    assert running_hosts(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_host_whose_disk_is_full_starts_and_is_seen_and_goes_on_when_it_has_more_to_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("plughost.core.running.replace_file", full)
    with marked_as_running(tmp_path) as mark:
        mark.tell(answer="The configuration was read again.")
        assert [host.pid for host in running_hosts(tmp_path)] == [os.getpid()]
        monkeypatch.undo()
        mark.tell(reload=17)
        told = running_host(tmp_path)
        assert told is not None
        assert (told.answer, told.reload) == ("The configuration was read again.", 17)


def test_a_command_beside_a_running_host_leaves_what_is_told_of_it(tmp_path: Path) -> None:
    with marked_as_running(tmp_path, admin="http://127.0.0.1:8000/admin"):
        with BlockingHost(config={"host": {"data_dir": str(tmp_path)}}, environ={}):
            pass
        told = running_host(tmp_path)
        assert told is not None
        assert told.admin == "http://127.0.0.1:8000/admin"


def test_a_host_that_was_killed_is_not_taken_for_one_that_runs(tmp_path: Path) -> None:
    code = "import sys, pathlib, plughost.core.running as r\nwith r.marked_as_running(pathlib.Path(sys.argv[1])):\n"
    killed = subprocess.Popen(
        [sys.executable, "-c", f"{code}    print(flush=True); input()", tmp_path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        assert [host.pid for host in running_hosts(tmp_path)] == [killed.pid]
        killed.kill()
    assert running_hosts(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_what_a_host_tells_before_it_starts_is_told_while_it_starts(tmp_path: Path) -> None:
    with marked_as_running(tmp_path, reload=17):
        told = running_host(tmp_path)
    assert told is not None
    assert told.reload == 17


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', b"\xff"])
def test_a_mark_that_cannot_be_read_still_is_one(tmp_path: Path, content: bytes) -> None:
    with marked_as_running(tmp_path):
        next(tmp_path.glob("running.*.json")).write_bytes(content)
        told = running_host(tmp_path)
        assert told is not None
        assert told.pid > 0


def test_a_link_in_the_place_of_a_mark_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "running.1.x.lock").symlink_to(tmp_path / "precious")
    assert running_host(tmp_path) is None
    with marked_as_running(tmp_path):
        assert running_host(tmp_path) is not None
    assert (tmp_path / "precious").read_text() == "precious"
