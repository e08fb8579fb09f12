"""What keeps a plugin's process from being begun is told with what to do about it, and touches nobody else."""

from __future__ import annotations

import errno
import os
import resource
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import anyio
import pytest

from housed import Neighbour, configuration, housed, nowhere, until, write_plugin
from plughost import Host
from plughost.core.loading import housed as loading
from plughost.core.processes.hindrances import in_words
from plughost.core.processes.template import TemplateProcess
from plughost.core.wire.births import Ends, Request, scrubbed_environment
from plughost.core.wire.page import FlightReader, new_page

pytestmark = pytest.mark.anyio

GOOD = """
from plughost import Plugin, hookimpl

class Good(Plugin):
    @hookimpl
    async def misbehave(self, how):
        return how
"""


async def refusal_of(folder: Path, **process: Any) -> str:
    """Why a plugin that is fine cannot be begun; a neighbour goes on."""
    write_plugin(folder, GOOD, "good")
    async with housed(configuration(folder, "good", **process)) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        assert await is_answered(host)
        error = host.plugins["good"].error
        return "" if error is None else error.message


async def is_answered(host: Host) -> bool:
    """Whether a neighbour answers."""
    report = await host.hooks.describe_device.report(user_agent="x")
    return [one.plugin for one in report.outcomes] == ["neighbour"]


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("", "sys.executable is empty"),
        ("/nowhere/python", "No such file or directory: '/nowhere/python'. It has to be there"),
        ("/bin/false", "its exit status is 1. What it said of that is on the host's standard error stream"),
    ],
)
async def test_an_interpreter_that_does_not_start_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, said: str
) -> None:
    monkeypatch.setattr(sys, "executable", program)
    assert said in await refusal_of(tmp_path)


@pytest.mark.parametrize("function", ["memfd_create", "pidfd_open"])
async def test_what_a_sandbox_refuses_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(os, function, refuse)
    assert "It needs memfd_create, pidfd_open and fork" in await refusal_of(tmp_path)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.EAGAIN, "ulimit -u"),
        (errno.ENOMEM, "no memory"),
        (errno.EPERM, "sandbox"),
    ],
)
def test_each_limit_of_the_system_is_named(number: int, said: str) -> None:
    assert said in in_words(OSError(number, os.strerror(number)))


THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"


async def test_a_thread_that_something_begins_in_each_interpreter_is_told_of_and_a_way_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "everywhere").mkdir()
    (tmp_path / "everywhere" / "sitecustomize.py").write_text(THREAD)
    monkeypatch.syspath_prepend(tmp_path / "everywhere")
    said = await refusal_of(tmp_path)
    assert "has several threads" in said
    assert 'start = "fresh"' in said
    assert await refusal_of(tmp_path, start="fresh") == ""


async def test_a_template_that_may_open_no_more_files_says_so_and_lives_on(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        template = TemplateProcess(tasks)
        with Given() as given:
            first = await template.fork(request(tmp_path), given.ends)
            await until(first.ended.is_set)
            os.close(first.stands_for)
            assert template._process is not None
            pid = template._process.pid
            free = free_numbers(pid)
            limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            for spare in (2, 4):  # too few for what it is handed; for what stands for the process
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[spare], limits[1]))
                with pytest.raises(OSError, match="open files") as told:
                    await template.fork(request(tmp_path), given.ends)
                assert told.value.errno == errno.EMFILE
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            again = await template.fork(request(tmp_path), given.ends)
            await until(again.ended.is_set)
            os.close(again.stands_for)
            assert template._process.pid == pid
        template.close()


def free_numbers(pid: int) -> list[int]:
    """The numbers that the next files get which a process opens."""
    taken = {int(one.name) for one in Path(f"/proc/{pid}/fd").iterdir()}
    return sorted(set(range(len(taken) + 9)) - taken)


async def test_an_interpreter_of_its_own_that_is_gone_is_its_last_word(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        template = TemplateProcess(tasks)
        with Given() as given:
            child = await template.fork(request(tmp_path), given.ends)
            await until(child.ended.is_set)
            os.close(child.stands_for)
            assert given.reader.last_words().startswith(
                "/nowhere/python could not be started: FileNotFoundError:"
            )
        template.close()


class Given:
    """What a process is handed."""

    def __enter__(self) -> Self:
        self.ours, theirs = socket.socketpair()
        reading, self._kept = os.pipe()
        self._output, output = os.pipe()
        page = new_page("lost")
        self.reader = FlightReader(os.dup(page))
        self.ends = Ends(theirs.detach(), reading, output, page)
        return self

    def __exit__(self, *_: object) -> None:
        self.ours.close()
        self.reader.close()
        for number in (self._kept, self._output, *self.ends.all()):
            os.close(number)


def request(folder: Path) -> Request:
    """A plugin whose interpreter is nowhere."""
    return Request(nowhere(folder), interpreter="/nowhere/python")


@pytest.mark.parametrize(
    ("platform", "said"),
    [("win32", "on Linux only, not on Windows"), ("linux", "what this interpreter was built without")],
)
async def test_modules_that_a_system_or_an_interpreter_lacks_fail_that_plugin_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "plughost.core.processes.housing", None)
    monkeypatch.setattr(loading, "sys", SimpleNamespace(platform=platform))
    assert said in await refusal_of(tmp_path)


def test_what_some_interpreters_do_not_start_without_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LD_LIBRARY_PATH", "PYTHONHOME", "ACME_TOKEN"):
        monkeypatch.setenv(name, "/opt/python")
    assert {"LD_LIBRARY_PATH", "PYTHONHOME"} <= scrubbed_environment().keys()
    assert "ACME_TOKEN" not in scrubbed_environment()
