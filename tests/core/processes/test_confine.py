"""A confined process reaches what it was given and no more; where the kernel cannot keep that, it does not start."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import attempts
from plughost.contracts import Confinement
from plughost.core.processes import landlock
from plughost.core.processes.confine import lacking

NEWER = "make a call that is newer than plughost"


class Confined:
    """Makes attempts in confined children of one small process."""

    def __init__(self, folder: Path, port: int, parent: subprocess.Popen[str]) -> None:
        self.folder = folder
        self.port = port
        self.parent = parent

    def run(self, names: Iterable[str] = (), *, before: str = "nothing", **table: Any) -> dict[str, Any]:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        print(
            json.dumps([str(self.folder), self.port, table, [*names], before]),
            file=self.parent.stdin,
            flush=True,
        )
        found: dict[str, Any] = json.loads(self.parent.stdout.readline())
        return found


@pytest.fixture(scope="module")
def confined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Confined]:
    folder = tmp_path_factory.mktemp("ground")
    (folder / "outside").mkdir()
    (folder / "outside" / "secret.txt").write_text("secret")
    parent = subprocess.Popen(
        [sys.executable, attempts.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with contextlib.ExitStack() as stack:
        stack.enter_context(parent)
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        local = stack.enter_context(socket.socket(socket.AF_UNIX))
        local.bind(str(folder / "outside" / "local.sock"))
        local.listen()
        yield Confined(folder, server.getsockname()[1], parent)


@pytest.fixture(scope="module")
def everything(confined: Confined) -> dict[str, Any]:
    """All attempts of a process that may nothing but the implied; or the refusal, where the kernel cannot keep that."""
    return confined.run(attempts.ALL)


def refused_by_kernel(outcome: dict[str, Any], wanted: Confinement) -> bool:
    """Whether this kernel cannot keep it; then the outcome must be the refusal that says so, part by part."""
    missing = lacking(wanted)
    if missing:
        assert "was not started, because it cannot be confined here" in outcome["refusal"]
        assert all(part in outcome["refusal"] for part in missing)
    else:
        assert "refusal" not in outcome
    return bool(missing)


@pytest.mark.parametrize("name", attempts.REFUSED)
def test_a_confined_process_is_refused_to(name: str, everything: dict[str, Any]) -> None:
    if refused_by_kernel(everything, Confinement()):
        return
    answer = everything["tried"][name]
    assert isinstance(answer, dict), f"it could {name}: {answer}"
    unknown = {errno.ENOSYS} if name in {NEWER, "ask by a second numbering"} else set()
    assert answer["error"] in {errno.EPERM, errno.EACCES, errno.EXDEV, *unknown}, answer


@pytest.mark.parametrize("name", attempts.POSSIBLE)
def test_a_confined_process_may_still(name: str, everything: dict[str, Any]) -> None:
    if refused_by_kernel(everything, Confinement()):
        return
    answer = everything["tried"][name]
    assert not isinstance(answer, dict), answer
    assert answer is not False


def test_nothing_outside_was_changed_by_what_was_tried(
    everything: dict[str, Any], confined: Confined
) -> None:
    assert everything
    assert sorted(path.name for path in (confined.folder / "outside").iterdir()) == [
        "local.sock",
        "secret.txt",
    ]
    assert (confined.folder / "outside" / "secret.txt").read_text() == "secret"


def test_the_same_attempts_succeed_without_confinement(confined: Confined) -> None:
    """Else the refusals would prove nothing. Only those that change nothing, and need no privilege, are tried."""
    ground = attempts.Ground(confined.folder, os.getpid(), confined.port)
    ground.data_dir.mkdir(parents=True, exist_ok=True)
    names = [
        *(
            "read a file outside",
            "list a folder outside",
            "list the root",
            "read outside through a link of its own",
        ),
        *("read the users of the machine", "shorten a file outside", "change the mode of a file outside"),
        *(
            "change the times of a file outside",
            "begin a file outside",
            "open a TCP connection",
            "send a datagram",
        ),
        *("connect to a local socket", "listen", "run a program", "signal the host by a file"),
    ]
    answers = attempts.tried(names, ground)
    ground.secret.write_text("secret")
    ground.secret.chmod(0o644)
    (ground.outside / "new").unlink()
    assert {name: answer for name, answer in answers.items() if isinstance(answer, dict)} == {}


def test_further_folders_may_be_read_and_not_written(confined: Confined) -> None:
    names = ["read a file outside", "list a folder outside", "write a file outside", "begin a file outside"]
    outcome = confined.run(names, read=[str(confined.folder / "outside")])
    if not refused_by_kernel(outcome, Confinement()):
        told = outcome["tried"]
        assert (told["read a file outside"], "secret.txt" in told["list a folder outside"]) == (
            "secret",
            True,
        )
        assert told["write a file outside"]["error"] == told["begin a file outside"]["error"] == 13


def test_a_single_file_may_be_read_without_its_folder(confined: Confined) -> None:
    names = ["read a file outside", "list a folder outside"]
    outcome = confined.run(names, read=[str(confined.folder / "outside" / "secret.txt")])
    if not refused_by_kernel(outcome, Confinement()):
        assert outcome["tried"]["read a file outside"] == "secret"
        assert outcome["tried"]["list a folder outside"]["error"] == 13


def test_further_folders_may_be_written(confined: Confined) -> None:
    outcome = confined.run(
        ["begin a file outside", "list the root"], write=[str(confined.folder / "outside")]
    )
    if not refused_by_kernel(outcome, Confinement()):
        (confined.folder / "outside" / "new").unlink()
        assert outcome["tried"]["begin a file outside"] == 3
        assert outcome["tried"]["list the root"]["error"] == 13


def test_the_network_may_be_allowed_and_nothing_else_comes_with_it(confined: Confined) -> None:
    names = [
        "open a TCP connection",
        "listen",
        "send a datagram",
        "see raw packets",
        "read a file outside",
        "fork",
    ]
    outcome = confined.run(names, network=True)
    if not refused_by_kernel(outcome, Confinement(network=True)):
        told = outcome["tried"]
        assert [isinstance(told[name], dict) for name in names] == [False, False, False, True, True, True]
        assert "no network" not in outcome["kept"]


def test_programs_may_be_allowed_and_are_confined_like_the_plugin(confined: Confined) -> None:
    names = [
        "run a program",
        "fork",
        "signal the host",
        "signal the host by a handle",
        "make a user namespace",
    ]
    outcome = confined.run([*names, "read a file outside", "open a TCP connection"], programs=True)
    if not refused_by_kernel(outcome, Confinement(programs=True)):
        told = outcome["tried"]
        assert (told["run a program"], told["fork"]) == ("CompletedProcess", 0)
        others = [answer for name, answer in told.items() if name not in {"run a program", "fork"}]
        assert all(answer["error"] in {1, 13} for answer in others)


def test_another_user_needs_a_host_that_runs_as_root_and_code_that_user_may_read(confined: Confined) -> None:
    outcome = confined.run(["write and read its data", "give away a file outside"], user="nobody")
    if os.geteuid() != 0:
        assert (
            "user nobody: only a host that runs as root can give a plugin another user" in outcome["refusal"]
        )
    elif "who may not read" in outcome.get("refusal", ""):
        assert f"cannot run as user 'nobody', who may not read {unreadable_to_others()}" in outcome["refusal"]
    elif not refused_by_kernel(outcome, Confinement(user="nobody")):
        assert (outcome["kept"][0], outcome["tried"]["write and read its data"]) == ("user nobody", "mine")
        assert outcome["tried"]["give away a file outside"]["error"] == errno.EPERM


def unreadable_to_others() -> str:
    """The first of the places with the interpreter or what is installed that not everybody can reach."""
    for place in (sys.prefix, sys.base_prefix):
        path = Path(place)
        if not all(one.stat().st_mode & 0o005 == 0o005 for one in (path, *path.parents)):
            return place
    return str(Path(__file__).parent)


def test_a_user_that_is_not_there_keeps_the_plugin_from_starting(confined: Confined) -> None:
    assert "nobody-of-that-name" in confined.run(user="nobody-of-that-name")["refusal"]


@pytest.mark.parametrize("key", ["read", "write"])
def test_a_place_that_is_not_there_is_named(key: str, confined: Confined) -> None:
    outcome = confined.run(**{key: [str(confined.folder / "nowhere")]})
    named = "nowhere, which is not there: create it" in outcome["refusal"]
    assert named or refused_by_kernel(outcome, Confinement())


@pytest.mark.parametrize(
    ("before", "part"),
    [
        ("no landlock", "files: Landlock is not to be had, because this kernel was built without it"),
        ("landlock off", "files: Landlock is not to be had, because this kernel has it switched off"),
        (
            "no filters",
            "network, programs and other processes: this kernel lets this process have no seccomp filter",
        ),
        ("a thread", "1 thread that was there before"),
    ],
)
def test_a_missing_part_keeps_the_plugin_from_starting_and_best_effort_records_it(
    before: str, part: str, confined: Confined
) -> None:
    if refused_by_kernel(confined.run(), Confinement()):
        return  # it lacks something by itself
    refusal = confined.run(before=before)["refusal"]
    assert part in refusal
    assert "set best_effort = true" in refusal
    outcome = confined.run(["read a file outside", "fork"], before=before, best_effort=True)
    assert [line for line in outcome["kept"] if line.startswith(f"not kept: {part}")]
    held = {name: isinstance(answer, dict) for name, answer in outcome["tried"].items()}
    assert held == {"read a file outside": "landlock" not in before, "fork": before != "no filters"}


def test_threads_of_the_import_are_told_to_be_confined_before_it(confined: Confined) -> None:
    assert "strict = true confines before the import" in confined.run(before="a thread")["refusal"]
    assert "strict = true confines" not in confined.run(before="a thread", strict=True)["refusal"]


@pytest.mark.parametrize(
    ("platform", "name"), [("darwin", "macOS"), ("win32", "Windows"), ("sunos5", "sunos5")]
)
def test_systems_without_these_means_are_named(platform: str, name: str) -> None:
    (part,) = lacking(Confinement(), platform=platform)
    assert part.endswith(f"of the Linux kernel, which {name} does not have")


@pytest.mark.parametrize(
    ("abi", "programs", "missing"), [(1, False, 1), (2, True, 2), (3, False, 0), (5, True, 1), (6, True, 0)]
)
def test_what_older_kernels_cannot_keep_is_told_apart(
    abi: int, programs: bool, missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landlock, "abi_of_kernel", lambda: abi)
    parts = [part for part in lacking(Confinement(programs=programs), platform="linux") if "Landlock" in part]
    assert len(parts) == missing
    assert all(f"this kernel has {abi}" in part for part in parts)
