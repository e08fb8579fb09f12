"""`plughost check`: each named check finds what it is for, and nothing in a good plugin."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from .plugin_sources import GOOD

PROJECT = """
[project]
name = "acme-{name}"
version = "1.0.0"
description = "Greets"
requires-python = ">=3.11"
license = "MIT"
dependencies = ["plughost", "msgspec"]

[project.entry-points."plughost.plugins"]
{name} = "{module}:P"
"""
CARD = 'host_api = ">=1,<2"\nhooks = ["after_auth"]\n'


@pytest.fixture
def project(folder, monkeypatch):
    """Write a plugin's folder; what a check of it puts on the path goes again."""
    monkeypatch.setattr(sys, "path", sys.path[:])

    def write(name, source=GOOD, *, card=CARD, manifest=PROJECT):
        root = folder / name
        module = f"{name}_checked_plugin"
        (root / module).mkdir(parents=True)
        (root / module / "__init__.py").write_text(source)
        (root / module / "plugin.toml").write_text(card)
        (root / "pyproject.toml").write_text(manifest.format(name=name, module=module))
        return str(root)

    yield write
    for name in [name for name in sys.modules if name.endswith("_checked_plugin")]:
        del sys.modules[name]


def statuses(ran):
    (plugin,) = ran.document["plugins"]
    return {row["id"]: row["status"] for row in plugin["checks"]}


def messages(ran, check):
    (plugin,) = ran.document["plugins"]
    (row,) = [row for row in plugin["checks"] if row["id"] == check]
    return " ".join(problem["message"] for problem in row["problems"])


def test_a_good_plugin_passes_every_check(cli, project) -> None:
    ran = cli("check", project("good"), "--json", "--strict")
    assert ran.code == 0
    assert set(statuses(ran).values()) <= {"pass", "skipped"}
    assert ran.document["status"] == "pass"


def test_an_installed_plugin_is_checked_by_its_name(cli, install) -> None:
    install("good", GOOD)
    ran = cli("check", "good", "--json")
    assert ran.code == 0
    assert statuses(ran)["distribution"] == "warn"


BAD_HOOKS = """
from plughost import Plugin, hookimpl

class P(Plugin):
    async def start(self, context): ...

    @hookimpl
    async def after_auth(self, *, attempt): ...

    @hookimpl
    def before_auth(self, atempt): ...

    @hookimpl
    def register_jobs(self): ...

    @hookimpl
    async def health_chek(self): ...
"""
LEAKS = """
import asyncio
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        with open(__file__) as mine:
            mine.read()
        self.task = asyncio.create_task(asyncio.sleep(3600))
"""
PRIVATE = "from plughost.core.events import EventBus\n" + GOOD
BAD_CONFIG = """
from plughost import Plugin

class P(Plugin):
    class Config: ...
    async def start(self, context): ...
"""


@pytest.mark.parametrize(
    ("name", "source", "card", "check", "status", "said"),
    [
        ("absent", "x = 1", "", "import", "fail", "names 'P', which is not there"),
        ("leaving", "import sys; sys.exit(1)", "", "import", "fail", "sys.exit"),
        ("nothing", "class P: ...", "", "import", "fail", "is not a plugin"),
        ("torn", GOOD, "hooks = [", "manifest", "fail", "cannot be read"),
        ("old", GOOD, 'host_api = "<1"', "host-api", "fail", "works with host API <1"),
        ("mute", GOOD.replace('host_api = ">=1,<2"', ""), "", "host-api", "warn", "does not say"),
        ("twofold", GOOD, 'host_api = ">=1,<3"', "card", "fail", "host_api"),
        ("inventive", GOOD, 'hooks = ["before_auth"]', "card", "fail", "not listed: after_auth; listed but not"),
        ("unfit", BAD_HOOKS, "", "hooks", "fail", "keyword-only"),
        ("misspelt", BAD_HOOKS, "", "hooks", "fail", "Did you mean 'attempt'?"),
        ("unknown", BAD_HOOKS, "", "hooks", "fail", "Did you mean 'health_check'?"),
        ("leaky", LEAKS, "", "stop", "warn", "create_task"),
        ("private", PRIVATE, "", "public-doors", "warn", "plughost.core.events"),
        ("shapeless", BAD_CONFIG, "", "config-class", "fail", "msgspec.Struct"),
        ("text", GOOD.replace("host_api =", 'requires = "cache"; host_api ='), "", "import", "fail", "tuple"),
        ("vague", GOOD.replace(">=1,<2", "one"), "", "host-api", "fail", "is not a version range"),
        ("future", GOOD.replace(">=1,<2", ">=9"), "", "host-api", "fail", "works with host API >=9"),
    ],
)  # fmt: skip
def test_a_fault_is_found_by_the_check_of_its_name(
    name, source, card, check, status, said, cli, project
) -> None:
    ran = cli("check", project(name, source, card=card), "--json")
    assert statuses(ran)[check] == status
    assert said in messages(ran, check)
    assert ran.code == (3 if "fail" in statuses(ran).values() else 0)


def test_a_file_that_is_closed_at_once_needs_no_stop(cli, project) -> None:
    ran = cli("check", project("leaky", LEAKS), "--json")
    assert "open" not in messages(ran, "stop")


def test_a_manifest_without_a_plugin_says_what_to_add(cli, project) -> None:
    ran = cli("check", project("empty", manifest='[project]\nname = "x"\n'), "--json")
    assert ran.code == 3
    assert "entry-points" in messages(ran, "manifest")


def test_the_present_configuration_is_part_of_it(cli, install, configure) -> None:
    configure("[plugins.good.config]\ngreeting = 3\n")
    install("good", GOOD)
    ran = cli("check", "good", "--json")
    assert statuses(ran)["configuration"] == "fail"
    assert "plugins.good.config.greeting" in messages(ran, "configuration")


def test_own_hooks_of_a_plugin_are_no_fault(cli, project) -> None:
    source = GOOD + (
        "\nfrom plughost import hookspec\n"
        "class Specs:\n"
        "    @hookspec\n"
        "    def colour(self): 'Called for colours.'\n"
        "colour = Specs.colour\n"
        "P.colour = hookimpl(lambda self: None)\n"
    )
    ran = cli("check", project("own", source, card=""), "--json")
    assert statuses(ran)["hooks"] == "pass"


def test_nothing_is_said_against_what_comes_with_plughost() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "plughost", "check", "--strict", "--json"], capture_output=True, timeout=60
    )
    said = {plugin["name"]: plugin["status"] for plugin in json.loads(ran.stdout)["plugins"]}
    assert said.keys() >= {"admin", "cache", "database", "diskcache", "fleet", "sessions"}
    assert set(said.values()) == {"pass"}
    assert ran.returncode == 0


def test_warnings_count_when_asked(cli, project) -> None:
    root = project("leaky", LEAKS, card="")
    assert cli("check", root).code == 0
    assert cli("check", root, "--strict").code == 3


def test_one_check_can_be_made_alone(cli, project) -> None:
    assert list(statuses(cli("check", project("good"), "--only", "hooks", "--json"))) == ["hooks"]


def test_all_that_would_be_loaded_is_checked_when_nothing_is_named(cli, install, only) -> None:
    only("good", "broken")
    install("good", GOOD)
    install("broken", "raise RuntimeError('no licence')")
    ran = cli("check", "--json")
    assert ran.code == 3
    found = {row["name"]: row["status"] for row in ran.document["plugins"]}
    assert found["broken"] == "fail"
    assert found["good"] != "fail"


def test_the_list_of_checks_says_what_each_is_for(cli) -> None:
    checks = cli("check", "--list", "--json").document["checks"]
    assert len({row["id"] for row in checks}) == len(checks) > 10
    assert all(row["meaning"] for row in checks)


def test_a_folder_without_a_manifest_is_no_plugin(cli, folder) -> None:
    (folder / "bare").mkdir()
    ran = cli("check", "bare")
    assert ran.code == 1
    assert "pyproject.toml" in ran.err


HOST = """
[host]
name = "{project}"
project = "{project}"
groups = ["{project}"]
hookspecs = ["{project}_application"]
catalogue = []
"""
SPECS = """
import pluggy
spec = pluggy.HookspecMarker("{project}")

@spec
def register_routes(program):
    "A name that plughost's catalogue has, too."
"""
OF_THEIRS = """
import pluggy
impl = pluggy.HookimplMarker("{project}")
status, Config, requires = 200, {{"a": 1}}, lambda: None

@impl
def register_routes({argument}):
    return []
"""
OF_BOTH = """
from plughost import Plugin, hookimpl

class P(Plugin):
    host_api = ">=1,<2"

    @hookimpl
    def register_routes(self, {argument}):
        return []
"""


@pytest.fixture(params=["greet", "rows"])
def application(request, folder, project):
    """An application on bare pluggy, and a way to write plugins for it."""
    name = request.param
    (folder / f"{name}_application.py").write_text(SPECS.format(project=name))
    sys.path.insert(0, str(folder))

    def write(source, argument):
        manifest = PROJECT.replace("plughost.plugins", name).replace(
            '"plughost", "msgspec"', '"plughost", "pluggy"'
        )
        if "class P" not in source:
            manifest = manifest.replace(":P", "")
        root = project(name, source.format(project=name, argument=argument), card="", manifest=manifest)
        (folder / name / "plughost.toml").write_text(HOST.format(project=name))
        return root

    yield write
    sys.modules.pop(f"{name}_application", None)


def test_a_plugin_of_an_application_on_bare_pluggy_is_asked_for_nothing_of_plughost_s(
    cli, application
) -> None:
    ran = cli("check", application(OF_THEIRS, "program"), "--json", "--strict")
    assert ran.code == 0, ran.out
    assert statuses(ran)["host-api"] == "skipped"
    assert statuses(ran)["hooks"] == "pass"
    assert ran.document["plugins"][0]["missing"] == ["it has no tests that can be seen (tests/test_*.py)"]


def test_it_is_checked_against_what_its_application_declares(cli, application) -> None:
    ran = cli("check", application(OF_THEIRS, "program, nonsense"), "--json")
    assert ran.code == 3
    assert "nonsense" in messages(ran, "hooks")


@pytest.mark.parametrize(("argument", "code"), [("context", 0), ("program", 3)])
def test_plughost_s_marker_means_plughost_s_hook_there(cli, application, argument, code) -> None:
    assert cli("check", application(OF_BOTH, argument), "--only", "hooks").code == code


@pytest.mark.parametrize("installed", ["acme-lantern", "somebody-elses"])
def test_a_folder_that_is_installed_as_a_copy_too_is_told_from_one_whose_names_clash(
    cli, project, tmp_path, monkeypatch, installed
) -> None:
    path = project("lantern")
    site = tmp_path / "site"
    shutil.copytree(f"{path}/lantern_checked_plugin", site / "lantern_checked_plugin")
    info = site / f"{installed.replace('-', '_')}-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {installed}\nVersion: 1.0.0\n")
    (info / "RECORD").write_text("lantern_checked_plugin/__init__.py,,\n")
    monkeypatch.syspath_prepend(site)
    told = messages(cli("check", path, "--json"), "import")
    assert str(site / "lantern_checked_plugin" / "__init__.py") in told
    assert ("pip install -e" in told) == (installed == "acme-lantern")
    assert ("rename" in told) == (installed != "acme-lantern")
