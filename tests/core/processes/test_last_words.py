"""Why a plugin's process ended, or its code failed, is named, also where ``except Exception`` would let it pass."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest

from housed import configuration, housed, process_of, until, write_plugin
from plughost.core.processes.template import import_path
from plughost.core.wire.faults import as_fault
from plughost.core.wire.page import FlightReader, leave_word, new_page
from plughost.exceptions import StrayError

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
