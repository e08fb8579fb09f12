"""Plugins that are odd and mean no harm: what works inside a host, or fails one call there, does so elsewhere too."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import anyio
import pytest

from housed import configuration, housed, process_of, until, write_plugin
from plughost.core.processes import guest
from plughost.exceptions import PluginCrashedError

pytestmark = pytest.mark.anyio

ODD = """
import os, sys
from plughost import Plugin, hookimpl

class Odd(Plugin):
    def status(self):
        return {"pid": os.getpid(), "kind": object, "file": os.fsdecode(b"\\xff")}

    @hookimpl
    async def misbehave(self, how):
        if how == "fork and return":
            pid = os.fork()
            return pid and os.waitpid(pid, 0)[0]  # it would not end, and go on as this one
        if how == "forget modules":
            sys.modules.clear()
        if how == "odd text":
            print("to people:", os.fsdecode(b"\\xff"), file=sys.stderr)
            raise ValueError(os.fsdecode(b"no file \\xff"))
        return how
"""


async def test_a_forked_process_that_returns_does_not_go_on_with_the_plugins_calls(tmp_path: Path) -> None:
    write_plugin(tmp_path, ODD, "odd")
    async with housed(configuration(tmp_path, "odd")) as host:
        pid = process_of(host, "odd").pid
        assert await host.hooks.misbehave(how="fork and return") > 0
        assert await host.hooks.misbehave(how="on") == "on"
        assert process_of(host, "odd").pid == pid


async def test_the_call_after_one_that_forgot_all_modules_waits_for_no_limit(tmp_path: Path) -> None:
    write_plugin(tmp_path, ODD, "odd")
    async with housed(configuration(tmp_path, "odd")) as host:
        pid = process_of(host, "odd").pid
        assert await host.hooks.misbehave(how="forget modules") == "forget modules"
        (outcome,) = (await host.hooks.misbehave.report(how="on")).outcomes
        if outcome.error is not None:  # trio cannot wait for anything any more: its process has ended
            assert isinstance(outcome.error, PluginCrashedError)
            await until(lambda: process_of(host, "odd").pid != pid)
            assert await host.hooks.misbehave(how="on") == "on"


async def test_what_utf_8_cannot_write_is_told_by_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_plugin(tmp_path, ODD, "odd")
    with caplog.at_level(logging.INFO):
        async with housed(configuration(tmp_path, "odd")) as host:
            report = await host.hooks.misbehave.report(how="odd text")
            assert str(report.outcomes[0].error) == "ValueError: no file \\udcff"
            told = host.plugins["odd"].status
            assert (told["kind"], told["file"]) == ("<class 'object'>", "'\\udcff'")
    lines = [getattr(record, "line", "") for record in caplog.records]
    assert "to people: \\udcff" in lines


UNTIDY = """
import atexit, threading
from pathlib import Path
from plughost import Plugin

class Untidy(Plugin):
    async def start(self, context):
        self.itself = self  # a circle: only the collector of an interpreter would end it
        self.file = (context.data_dir / "written").open("w")
        self.file.write("to the end")
        self.bytes = (context.data_dir / "bytes").open("wb")
        self.bytes.write(b"to the end")
        atexit.register((context.data_dir / "left").touch)
        atexit.register(lambda: 1 / 0)
        threading.Thread(target=self.go_on, args=[context.data_dir]).start()

    def go_on(self, folder):
        threading.main_thread().join()  # which comes to its end before the interpreter does
        (folder / "gone on").touch()
"""


async def test_its_process_ends_as_an_interpreter_does_and_loses_no_words(tmp_path: Path) -> None:
    write_plugin(tmp_path, UNTIDY, "untidy")
    async with housed(configuration(tmp_path, "untidy")) as host:
        folder = host.data_dir / "untidy"
    assert (folder / "written").read_text() == "to the end"
    assert (folder / "bytes").read_bytes() == b"to the end"
    assert (folder / "left").exists()
    assert (folder / "gone on").exists()


SLOW = """
import time
{slow_import}
import anyio
from plughost import Plugin

class Slow(Plugin):
    async def start(self, context):
        try:
            {slow_start}
        finally:
            (context.data_dir / "ended").touch()
"""


@pytest.mark.parametrize("phase", ["import", "start"])
async def test_one_that_never_begins_is_not_waited_for_when_its_host_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    monkeypatch.setattr(guest, "_FAREWELL", 600.0)
    begun = tmp_path / "begun"
    touch = f"open({str(begun)!r}, 'w').close()"
    slow_import = f"{touch}; time.sleep(600)" if phase == "import" else ""
    slow_start = f"{touch}; await anyio.sleep(600)" if phase == "start" else "pass"
    write_plugin(tmp_path, SLOW.format(slow_import=slow_import, slow_start=slow_start), "slow")
    config = configuration(tmp_path, "slow")
    config["host"]["load_timeout"] = 600
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:

            async def live() -> None:
                async with housed(config):
                    raise AssertionError("it was started")

            tasks.start_soon(live)
            await until(begun.exists)
            tasks.cancel_scope.cancel()
    assert (tmp_path / "data" / "slow" / "ended").exists() == (phase == "start")


WHERE = """
import os
from plughost import Plugin

class Where(Plugin):
    def status(self):
        return {"folder": os.getcwd()}
"""


@pytest.mark.parametrize("is_gone", [False, True])
async def test_its_relative_paths_begin_where_those_of_its_host_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_gone: bool
) -> None:
    begun, now = tmp_path / "begun", tmp_path / "now"
    begun.mkdir()
    now.mkdir()
    monkeypatch.chdir(begun)
    write_plugin(tmp_path, WHERE, "where")
    config = configuration(tmp_path, "where")
    config["plugins"]["where"]["enabled"] = False
    async with housed(config) as host:
        os.chdir(now)  # as a plugin inside may
        if is_gone:
            begun.rmdir()
        await host.enable_plugin("where")
        assert host.plugins["where"].status == {"folder": str(now if is_gone else begun)}
