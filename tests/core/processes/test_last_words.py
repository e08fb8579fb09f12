"""Why a plugin's process ended, or its code failed, is named, also where ``except Exception`` would let it pass."""

from __future__ import annotations

import logging
import os
import re
import signal
from functools import partial
from pathlib import Path

import anyio
import pytest

from housed import configuration, housed, is_alive, process_of, until, write_plugin
from plughost.core.processes.figures import catches
from plughost.core.processes.outside_look import stacks_of
from plughost.core.processes.template import import_path
from plughost.core.wire.faults import as_fault
from plughost.core.wire.page import FlightReader, leave_word, new_page
from plughost.exceptions import PluginCrashedError, StrayError

pytestmark = pytest.mark.anyio

STRAY = """
import sys
import anyio
from plughost import Plugin, hookimpl
from plughost.contracts import Job
from plughost.http import PUBLIC, Route

PHASE = __name__

def raise_it(*_):
    raise {error}

async def raise_later(*_):
    await anyio.sleep(0)
    raise_it()

if PHASE == "imports":
    raise_it()

class Stray(Plugin):
    async def start(self, context):
        context.on_stop(raise_it)
        if PHASE == "starts":
            raise_it()

    async def stop(self):
        raise_it()

    @hookimpl
    async def misbehave(self, how):
        await raise_later()

    @hookimpl
    def register_jobs(self):
        return [Job(name="job", function=raise_later, cron="0 0 1 1 *")]
"""


@pytest.mark.parametrize("error", ["KeyboardInterrupt('now')", "SystemExit('now')", "SystemExit(['now'])"])
async def test_what_is_no_exception_is_named_in_every_phase(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: str
) -> None:
    for name in ("imports", "starts", "stops"):
        write_plugin(tmp_path, STRAY.format(error=error), name)
    config = configuration(tmp_path, "stops")
    config["host"]["allow"] = ["imports", "starts", "stops"]
    config["plugins"] = {name: {"isolation": "process"} for name in config["host"]["allow"]}
    async with housed(config) as host:
        for name in ("imports", "starts"):
            failure = host.plugins[name].error
            assert failure is not None
            assert failure.kind != "PluginCrashedError"
            assert "now" in failure.message
        (outcome,) = (await host.hooks.misbehave.report(how="")).outcomes
        assert "now" in str(outcome.error)
        job = await host.jobs.run_now("job")
        assert "now" in (job.last_error or "")
        assert process_of(host, "stops").restarts == 0
        caplog.clear()
    told = [str(vars(record)) for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([one for one in told if "now" in one]) == 2  # of stop, and of what was to be done after it


LOOSE = """
import asyncio
from plughost import Plugin, hookimpl

class Loose(Plugin):
    @hookimpl
    async def misbehave(self, how):
        def raise_it():
            raise {error}

        asyncio.get_running_loop().call_soon(raise_it)
        await asyncio.sleep(600)
"""


STOPPING = """
import asyncio, os
from plughost import Plugin, hookimpl

class Stopping(Plugin):
    @hookimpl
    async def misbehave(self, how):
        if how == "close":
            os.closerange(3, 1000)
        else:
            asyncio.get_running_loop().stop()
        await asyncio.sleep(600)
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("how", "said"),
    [("stop", "Event loop stopped before"), ("close", "Bad file descriptor|closed its end of the channel")],
)
async def test_who_takes_the_event_loop_away_is_told_by_that(tmp_path: Path, how: str, said: str) -> None:
    write_plugin(tmp_path, STOPPING, "stopping")
    async with housed(configuration(tmp_path, "stopping")) as host:
        (outcome,) = (await host.hooks.misbehave.report(how=how)).outcomes
        assert isinstance(outcome.error, PluginCrashedError)
        assert re.search(said, str(outcome.error))
        assert ".." not in str(outcome.error)


ENDING = """
import atexit, ctypes, os
from plughost import Plugin, hookimpl

class Ending(Plugin):
    async def start(self, context):
        atexit.register({what})

    @hookimpl
    async def misbehave(self, how):
        breakpoint()
"""


@pytest.mark.parametrize(
    ("what", "said"), [("ctypes.string_at, 0", "SIGSEGV ended it"), ("os._exit, 7", "with status 7")]
)
async def test_one_that_crashes_at_its_very_end_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, what: str, said: str
) -> None:
    write_plugin(tmp_path, ENDING.format(what=what), "ending")
    async with housed(configuration(tmp_path, "ending")) as host:
        (outcome,) = (await host.hooks.misbehave.report(how="")).outcomes
        assert "PLUGHOST_IN_PROCESS=ending" in str(outcome.error)
        caplog.clear()
    (told,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert told.getMessage() == "process of plugin did not end cleanly"
    assert said in vars(told)["reason"]


ANOTHER = """
import os
from plughost import Plugin, hookimpl

class Another(Plugin):
    @hookimpl
    async def misbehave(self, how):
        os.execv("/bin/sleep", ["sleep", "600"])
"""


async def test_a_program_that_it_became_is_told_as_what_held_it_and_can_be_asked_where_it_stands(
    tmp_path: Path,
) -> None:
    write_plugin(tmp_path, ANOTHER, "another")
    async with housed(configuration(tmp_path, "another"), timeouts={"misbehave": 1.0}) as host:
        pid = process_of(host, "another").pid or 0
        async with anyio.create_task_group() as calling:
            calling.start_soon(partial(host.hooks.misbehave.report, how=""))
            await until(lambda: not catches(pid, signal.SIGUSR1))
            assert [one.text for one in stacks_of(os.getpid(), "another")] == [""]
            assert is_alive(pid)
        await until(lambda: process_of(host, "another").restarts == 1)
        last = process_of(host, "another").last_exit
        assert last is not None
        assert last.reason.startswith("misbehave held its event loop beyond its limit; it did not even write")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("error", ["KeyboardInterrupt('it is\\n\\x1b[31mlate')", "SystemExit('it is late')"])
async def test_what_ends_the_event_loop_from_outside_a_call_is_why_the_process_ended(
    tmp_path: Path, error: str
) -> None:
    write_plugin(tmp_path, LOOSE.format(error=error), "loose")
    async with housed(configuration(tmp_path, "loose")) as host:
        (outcome,) = (await host.hooks.misbehave.report(how="")).outcomes
        assert "with status 1" in str(outcome.error)
        assert error.partition("(")[0] in str(outcome.error)
        await until(lambda: process_of(host, "loose").restarts == 1)
        last = process_of(host, "loose").last_exit
        assert last is not None
        assert "late" in last.reason
        assert last.reason.isprintable()


async def test_who_interrupts_a_plugins_process_ends_it_and_is_told_as_that(tmp_path: Path) -> None:
    write_plugin(tmp_path, LOOSE, "loose")
    async with housed(configuration(tmp_path, "loose")) as host:
        os.kill(process_of(host, "loose").pid or 0, signal.SIGINT)
        await until(lambda: process_of(host, "loose").restarts == 1)
        last = process_of(host, "loose").last_exit
        assert last is not None
        assert last.reason == "SIGINT ended it"


def test_last_words_are_bounded_and_hold_nothing_that_a_terminal_obeys() -> None:
    page = new_page("talker")
    reader = FlightReader(os.dup(page))
    assert reader.last_words() == ""
    leave_word(page, "a\nb \x1b[31m \udcff " + "\N{SNOWMAN}" * 10_000)
    os.close(page)
    assert reader.last_words().isprintable()
    assert reader.last_words().startswith("a b")
    assert len(reader.last_words()) <= 1_000
    reader.close()


def test_a_text_of_a_kind_of_its_own_crosses_as_plain_text() -> None:
    from plughost.core.containment import Point

    assert type(as_fault(StrayError("late", point=Point.HOOK)).attributes["point"]) is str


def test_a_relative_import_path_is_kept_only_while_there_is_a_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.path", ["", "/somewhere"])
    assert import_path() == (str(folder), "/somewhere")
    folder.rmdir()
    assert import_path() == ("/somewhere",)
