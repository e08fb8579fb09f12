"""The edges of the program: logs, faults of commands, completion."""

from __future__ import annotations

import io
import json
import subprocess
import sys

from plughost.cli.logs import configure_logging
from plughost.contracts.logs import get_logger

from .plugin_sources import ENDING, GOOD


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def logged(stream, monkeypatch, environ, verbosity=0):
    monkeypatch.setattr(sys, "stderr", stream)
    configure_logging(environ, verbosity)
    log = get_logger("plughost.test", plugin="good")
    log.info("started")
    log.warning("slow", seconds=3)
    return stream.getvalue()


def test_logs_are_lines_of_json_where_nobody_looks(monkeypatch) -> None:
    (line,) = logged(io.StringIO(), monkeypatch, {}).splitlines()
    found = json.loads(line)
    assert {key: found[key] for key in ("level", "logger", "message", "plugin", "seconds")} == {
        "level": "warning", "logger": "plughost.test", "message": "slow", "plugin": "good", "seconds": 3,
    }  # fmt: skip


def test_logs_are_for_people_on_a_terminal(monkeypatch) -> None:
    text = logged(Terminal(), monkeypatch, {"NO_COLOR": "1"})
    assert "slow" in text
    assert "seconds=3" in text
    assert "\x1b[" not in text


def test_logs_are_coloured_on_a_terminal(monkeypatch) -> None:
    assert "\x1b[" in logged(Terminal(), monkeypatch, {})


def test_verbosity_shows_what_happens(monkeypatch) -> None:
    assert len(logged(io.StringIO(), monkeypatch, {}, verbosity=1).splitlines()) == 2


CRASHING = """
import click
from plughost import Plugin, hookimpl

@click.command("crash")
def crash():
    raise KeyError("lost")

class P(Plugin):
    async def start(self, context): ...

    @hookimpl
    def register_commands(self):
        return [crash]
"""


def test_a_command_that_crashes_shows_its_traceback_and_a_document(cli, install, only) -> None:
    only("crashing")
    install("crashing", CRASHING)
    ran = cli("--json", "crash")
    assert (ran.code, ran.document["code"]) == (1, "key_error")
    assert "Traceback" in ran.err
    assert cli("crash").out == ""


def test_what_is_no_command_is_refused_with_the_plugins_name(cli, install, only) -> None:
    only("odd")
    install("odd", CRASHING.replace("[crash]", "['crash']"))
    ran = cli("crash")
    assert ran.code == 2
    assert "'odd'" in ran.err
    assert "to return a list of click commands, but 'crash' is not" in ran.err


def test_completion_names_commands_and_imports_no_plugin(install, folder, monkeypatch, capsys) -> None:
    site = install("greeter", ENDING, card='commands = ["doctorate"]').folder
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("_PLUGHOST_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "plughost doc")
    monkeypatch.setenv("COMP_CWORD", "1")
    command = [sys.executable, "-m", "plughost"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    assert "doctor" in said
    assert "doctorate" in said


def test_a_reader_that_goes_away_is_no_fault(install, folder, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(install("good", GOOD).folder))
    command = f"{sys.executable} -m plughost hooks --json | head -c 1"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("{", "")
