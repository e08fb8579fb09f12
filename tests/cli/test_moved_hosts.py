"""``plughost doctor`` and ``check`` for programs that moved from pluggy, and for plugins that know nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

APPLICATION = """
import pluggy
hookspec = pluggy.HookspecMarker({project!r})
hookimpl = pluggy.HookimplMarker({project!r})

class Specs:
    @hookspec(firstresult=True)
    def greeting(self, name):
        "Return how somebody is greeted."

    @hookspec(warn_on_impl=DeprecationWarning("use greeting"))
    def salute(self, name):
        "Greet in the old way."

    @hookspec
    def remark(self, name):
        "Return something to add."
"""
FILE = """
[host]
name = "{project}"
project = "{project}"
groups = ["{group}"]
hookspecs = ["{project}_words:Specs"]
catalogue = []
load_timeout = 20
"""
GOOD = """
from {project}_words import hookimpl
status = 200
def stop():
    raise AssertionError("not plughost's to call")

@hookimpl(tryfirst=True)
def greeting(name):
    return "Hello"

@hookimpl(hookwrapper=True)
def remark(name, loud=False):
    outcome = yield
"""


class Program:
    """A program on plughost with its file, and the installed command in its folder."""

    def __init__(self, folder: Path, make_plugin: Any, project: str, group: str) -> None:
        self.project, self.group = project, group
        self._make_plugin, self._folder = make_plugin, folder
        make_plugin.folder.mkdir(parents=True, exist_ok=True)
        (make_plugin.folder / f"{project}_words.py").write_text(APPLICATION.format(project=project))
        self.configure(FILE)

    def configure(self, text: str) -> None:
        """Write ``plughost.toml``."""
        filled = text.format(project=self.project, group=self.group)
        (self._folder / "plughost.toml").write_text(filled)

    def plugin(self, name: str, source: str) -> Any:
        """Install a plugin in the program's group."""
        filled = source.replace("{project}", self.project)
        return self._make_plugin(name, filled, group=self.group, attribute="")

    def run(self, *arguments: str) -> tuple[int, Any]:
        """Run the installed command; return its exit code and its document."""
        ran = subprocess.run(
            [Path(sys.executable).with_name("plughost"), *arguments, "--json"],
            cwd=self._folder, capture_output=True, text=True, check=False,
            env={k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
            | {"PYTHONPATH": str(self._make_plugin.folder), "XDG_DATA_HOME": str(self._folder / "data")},
        )  # fmt: skip
        assert ran.stdout, ran.stderr
        return ran.returncode, json.loads(ran.stdout)


@pytest.fixture(params=[("greet", "greet"), ("rows", "rows.extensions")], ids=lambda each: each[1])
def program(request, folder, make_plugin) -> Program:
    return Program(folder, make_plugin, *request.param)


def said(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """What each check says that is not fine."""
    return {
        row["id"]: (row["status"], " ".join(problem["message"] for problem in row["problems"]))
        for row in rows
        if row["status"] not in ("pass", "skipped")
    }


def test_doctor_finds_nothing_wrong_with_a_program_and_its_plugin(program):
    program.plugin("wordy", GOOD)
    code, document = program.run("doctor")
    assert (code, document["status"], said(document["checks"])) == (0, "pass", {})


def test_doctor_imports_no_plugin(program):
    program.plugin("wordy", "import sys\nsys.exit('imported')")
    assert program.run("doctor")[0] == 0


def test_doctor_says_that_what_the_program_declares_is_not_there(program):
    program.configure(FILE.replace(":Specs", ":Gone"))
    code, document = program.run("doctor")
    status, message = said(document["checks"])["configuration"]
    assert (code, status) == (3, "fail")
    assert f"'{program.project}_words:Gone'" in message


def test_doctor_says_whose_markers_are_not_read(program):
    program.configure(FILE.replace('project = "{project}"', 'project = "other"'))
    code, document = program.run("doctor")
    _, message = said(document["checks"])["configuration"]
    assert code == 3
    assert "declares no hooks of project 'other'" in message


def test_doctor_names_a_plugin_whose_code_is_gone(program):
    package = program.plugin("wordy", GOOD).file.parent
    package.rename(package.with_name("moved"))
    code, document = program.run("doctor")
    status, message = said(document["checks"])["modules"]
    assert (code, status) == (3, "fail")
    assert "wordy" in message


def test_check_finds_nothing_wrong_and_asks_for_nothing_of_plughost(program):
    program.plugin("wordy", GOOD)
    code, document = program.run("check", "wordy")
    assert code == 0
    (plugin,) = document["plugins"]
    assert said(plugin["checks"]).keys() <= {"distribution", "requirements"}  # of its packaging alone
    statuses = {row["id"]: row["status"] for row in plugin["checks"]}
    assert (statuses["hooks"], statuses["stop"], statuses["host-api"]) == ("pass", "pass", "skipped")


UNFIT = {
    "argument": ("@hookimpl\ndef remark(nmae): ...", "hooks", "unknown argument 'nmae'"),
    "wrapper": ("@hookimpl(hookwrapper=True)\ndef remark(name): ...", "hooks", "plain generator function"),
    "unknown": ("@hookimpl\ndef remrk(name): ...", "hooks", "Did you mean 'remark'?"),
    "old": ("@hookimpl\ndef salute(name): ...", "deprecated-hooks", "use greeting"),
    "waits": ("import time\n@hookimpl\nasync def remark(name):\n    time.sleep(9)", "blocking-calls", "time.sleep"),
    "raises": ("1 / 0", "import", "ZeroDivisionError"),
    "exits": ("import sys\nsys.exit(3)", "import", "sys.exit(3)"),
    "stranger": (
        "import pluggy\n@pluggy.HookimplMarker('other')\ndef remark(name): ...", "hooks", "are marked for other",
    ),
}  # fmt: skip


def test_check_says_of_each_plugin_of_the_program_what_is_wrong(program):
    program.plugin("good", GOOD)
    for name, (source, _, _) in UNFIT.items():
        program.plugin(name, f"from {program.project}_words import hookimpl\n{source}")
    code, document = program.run("check")
    assert code == 3
    found = {row["name"]: said(row["checks"]) for row in document["plugins"]}
    assert found.keys() == {"good", *UNFIT}
    for name, (_, check, message) in UNFIT.items():
        assert message in found[name][check][1]
        assert found[name].keys() <= {check, "distribution", "requirements"}
    assert not found["good"].keys() - {"distribution", "requirements"}
