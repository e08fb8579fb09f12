"""Odd places on the path and in the plugin directory: the odd one is passed over and named, the rest is found."""

from __future__ import annotations

import os
import sys
import zipfile
from pathlib import Path

import pluggy
import pytest

from others import run_as_anybody
from plughost import Host, Plugin, PluginContext
from plughost.contracts import PluginState
from plughost.core.config import load_config
from plughost.core.config.files import read_toml
from plughost.core.finding.cards import read_card
from plughost.core.finding.discovery import discover
from plughost.core.finding.installed import entry_points
from plughost.core.finding.sources import from_directory
from plughost.core.finding.survey import survey
from plughost.testing.distributions import make_distribution

GROUP = "plughost.plugins"
BOM = "\ufeff"


def make(folder: Path, name: str, version: str = "1.0", **points: str) -> None:
    make_distribution(
        folder, name, version=version, modules={}, entry_points={GROUP: points or {name: "mod:P"}}
    )


def names(folder: Path) -> list[str]:
    return [f"{point.distribution} {point.version}" for point in entry_points([GROUP], [str(folder)])]


@pytest.mark.parametrize("leftover", ["acme_lamp-1.0.dist-info", "acme_lamp-3.0.dist-info"])
def test_an_empty_left_over_does_not_hide_the_whole_one_and_is_named(tmp_path: Path, leftover: str) -> None:
    make(tmp_path, "acme_lamp", "2.0")
    (tmp_path / leftover).mkdir()
    said: list[str] = []
    (point,) = entry_points([GROUP], [str(tmp_path)], said.append)
    assert point.version == "2.0"
    assert leftover in said[0]


def test_an_empty_left_over_earlier_on_the_path_does_not_hide_it_either(tmp_path: Path) -> None:
    make(tmp_path / "later", "acme_lamp", "2.0")
    (tmp_path / "earlier" / "acme_lamp-1.0.dist-info").mkdir(parents=True)
    found = entry_points([GROUP], [str(tmp_path / "earlier"), str(tmp_path / "later")])
    assert [point.version for point in found] == ["2.0"]


def test_metadata_without_a_record_yield_to_those_with_one_in_the_same_folder(tmp_path: Path) -> None:
    make(tmp_path, "acme_lamp", "1.0")
    make(tmp_path, "acme_lamp", "2.0")
    (tmp_path / "acme_lamp-1.0.dist-info" / "RECORD").unlink(missing_ok=True)
    (tmp_path / "acme_lamp-2.0.dist-info" / "RECORD").write_text("", "utf-8")
    assert names(tmp_path) == ["acme_lamp 2.0"]


def test_what_pip_left_behind_is_ignored_and_named(tmp_path: Path) -> None:
    make(tmp_path, "acme_lamp", "2.0")
    (tmp_path / "acme_lamp-2.0.dist-info").rename(tmp_path / "~cme_lamp-2.0.dist-info")
    make(tmp_path, "acme_lamp", "2.0")
    said: list[str] = []
    assert len(entry_points([GROUP], [str(tmp_path)], said.append)) == 1
    assert "~cme_lamp-2.0.dist-info" in said[0]


def test_two_distributions_whose_folders_have_dashes_in_their_names_are_two(tmp_path: Path) -> None:
    for name in ("acme_lamp", "acme_desk"):
        make(tmp_path, name, "1.0")
        (tmp_path / f"{name}-1.0.dist-info").rename(tmp_path / f"{name.replace('_', '-')}-1.0.dist-info")
    assert sorted(names(tmp_path)) == ["acme_desk 1.0", "acme_lamp 1.0"]


@pytest.mark.parametrize("metadata", [None, "Metadata-Version: 2.1\nVersion: 1.0\n"])
def test_a_nameless_distribution_in_a_zip_file_is_passed_over(tmp_path: Path, metadata: str | None) -> None:
    make(tmp_path / "made", "zipped")
    archive = tmp_path / "both.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("aaa-1.0.dist-info/entry_points.txt", f"[{GROUP}]\naaa = m:P\n")
        if metadata is not None:
            file.writestr("aaa-1.0.dist-info/METADATA", metadata)
        for path in (tmp_path / "made").rglob("*"):
            file.write(path, path.relative_to(tmp_path / "made"))
    said: list[str] = []
    found = entry_points([GROUP], [str(archive)], said.append)
    assert [point.name for point in found] == ["zipped"]
    assert said


def raising(context: object = None) -> object:
    raise LookupError("no index")


@pytest.mark.parametrize("answer", [raising, lambda context=None: None])
def test_a_finder_that_fails_or_answers_nothing_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer
) -> None:
    make(tmp_path, "acme_lamp")
    monkeypatch.syspath_prepend(str(tmp_path))

    class Finder:
        find_distributions = staticmethod(answer)

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            return None

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    said: list[str] = []
    assert "acme_lamp" in {point.name for point in entry_points([GROUP], tell=said.append)}
    assert any("no index" in one for one in said) is (answer is raising)


MANIFEST = '[project]\nname = "acme-x"\n[project.entry-points."plughost.plugins"]\n{line}\n'


def folder(place: Path, line: str = 'lamp = "lamp_code:P"', code: str = "lamp_code", **files: str) -> Path:
    for name, text in {
        "pyproject.toml": MANIFEST.format(line=line),
        f"{code}/__init__.py": "",
        **files,
    }.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text, "utf-8")
    return place


CLOSED = """
import sys
from pathlib import Path
from plughost.core.finding.discovery import Limits, discover
from plughost.core.finding.sources import from_directory

limits = Limits(allow=None if sys.argv[2] == "all" else frozenset(["lamp"]))
for one in discover(from_directory(Path(sys.argv[1]), ["plughost.plugins"]), {}, limits):
    print(one.name, one.verdict.value, one.reason)
"""


@pytest.mark.parametrize("allowed", ["all", "some"])
def test_a_folder_that_may_not_be_read_is_skipped_and_named(tmp_path: Path, allowed: str) -> None:
    folder(tmp_path / "lamp")
    (tmp_path / "lost+found").mkdir(mode=0o700)
    (tmp_path / "lost+found").chmod(0)
    try:
        ran = run_as_anybody(CLOSED, str(tmp_path), allowed)
    finally:
        (tmp_path / "lost+found").chmod(0o700)
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("lamp discovered")
    assert lines[1].startswith("lost+found skipped")
    assert "cannot be read (Permission denied)" in lines[1]


@pytest.mark.parametrize("allowed", ["all", "some"])
def test_a_plugin_directory_that_may_not_be_read_is_named(tmp_path: Path, allowed: str) -> None:
    folder(tmp_path / "plugins" / "lamp")
    (tmp_path / "plugins").chmod(0)
    try:
        ran = run_as_anybody(CLOSED, str(tmp_path / "plugins"), allowed)
    finally:
        (tmp_path / "plugins").chmod(0o700)
    assert ran.stdout.startswith("plugins skipped"), ran
    assert "cannot be read (Permission denied)" in ran.stdout


INSTALLED = """
import sys
from plughost.core.finding.installed import entry_points

for one in entry_points(["plughost.plugins"], [sys.argv[1]], tell=print):
    print(one.name)
"""


@pytest.mark.parametrize(
    "closed", [".", "acme_lamp-1.0.dist-info", "acme_lamp-1.0.dist-info/entry_points.txt"]
)
def test_an_installation_that_may_not_be_read_is_named_and_the_rest_is_found(
    tmp_path: Path, closed: str
) -> None:
    make(tmp_path / "site", "acme_lamp")
    make(tmp_path / "site", "acme_desk")
    place = tmp_path / "site" / closed
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        ran = run_as_anybody(INSTALLED, str(tmp_path / "site"))
    finally:
        place.chmod(mode)
    lines = ran.stdout.splitlines()
    assert any(str(place) in line and "cannot be read (Permission denied)" in line for line in lines), ran
    assert ("acme_desk" in lines) is (closed != ".")


def test_an_unrelated_folder_src_beside_a_flat_layout_is_left_alone(tmp_path: Path) -> None:
    folder(tmp_path / "flat", **{"src/main.c": "int main;"})
    folder(tmp_path / "nested", 'desk = "desk_code:P"', code="src/desk_code")
    homes = {finding.name: finding.folder for finding in from_directory(tmp_path, [GROUP])}
    assert homes == {"lamp": tmp_path / "flat", "desk": tmp_path / "nested" / "src"}


def test_spaces_around_the_colon_of_an_entry_point_are_allowed(tmp_path: Path) -> None:
    make(tmp_path / "site", "lamp", lamp="acme_lamp : Lamp [extra]")
    assert entry_points([GROUP], [str(tmp_path / "site")])[0].reference == "acme_lamp:Lamp"
    folder(tmp_path / "dir" / "lamp", 'lamp = "lamp_code : P"')
    (finding,) = from_directory(tmp_path / "dir", [GROUP])
    assert finding.reference == "lamp_code:P"


def test_an_entry_point_that_names_nothing_says_so(tmp_path: Path) -> None:
    folder(tmp_path / "lamp", 'lamp = ""')
    (candidate,) = discover(from_directory(tmp_path, [GROUP]), {})
    assert candidate.verdict is PluginState.FAILED
    assert "lamp = module:Class" in candidate.reason


def test_a_byte_order_mark_before_toml_is_read_over(tmp_path: Path) -> None:
    folder(tmp_path / "lamp", **{"plugin.toml": f'{BOM}description = "x"'})
    manifest = tmp_path / "lamp" / "pyproject.toml"
    manifest.write_text(BOM + manifest.read_text("utf-8"), "utf-8")
    (finding,) = from_directory(tmp_path, [GROUP])
    assert finding.problem == ""
    assert read_card("lamp", tmp_path / "lamp" / "plugin.toml").description == "x"
    (tmp_path / "plughost.toml").write_text(f'{BOM}[host]\nname = "acme"\n', "utf-8")
    assert read_toml(tmp_path / "plughost.toml") == {"host": {"name": "acme"}}


@pytest.mark.anyio
async def test_a_plugin_that_changes_the_working_directory_moves_nobodys_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)

    class Later(Plugin):
        name = "later"

        async def start(self, context: PluginContext) -> None:
            os.chdir("elsewhere")
            self.data = context.data_dir

    plugin = Later()
    async with Host(config={"host": {"allow": [], "data_dir": "data"}}, environ={}) as host:
        await host.load_plugin(plugin)
        assert plugin.data == tmp_path / "data" / "later"
        assert host.data_dir == tmp_path / "data"
        assert host.loaded_config.located("x") == tmp_path / "x"


SINGLE = """
from plughost import {what}

{code}
"""
SEVERAL = """
import plughost
from plughost import Plugin

class Base(Plugin): ...
class Lamp(Base): ...
"""
CLASS = SINGLE.format(
    what="Plugin", code='class Lamp(Plugin):\n    def status(self):\n        return {"lit": True}\n'
)
MODULE = SINGLE.format(
    what="hookimpl", code="@hookimpl\nasync def after_auth(attempt, principal):\n    pass\n"
)


@pytest.mark.anyio
@pytest.mark.parametrize("source", [CLASS, MODULE])
async def test_a_single_file_in_the_plugin_directory_is_a_plugin(tmp_path: Path, source: str) -> None:
    name = f"single_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(source, "utf-8")
    (tmp_path / "helper.py").write_text("import nowhere_at_all\n", "utf-8")
    config = {
        "host": {"plugin_dir": str(tmp_path), "allow": [name, "helper"], "data_dir": str(tmp_path / "d")}
    }
    async with Host(config=config, environ={}) as host:
        assert host.plugin(name).state is PluginState.READY
        assert host.plugin("helper") is None


@pytest.mark.anyio
@pytest.mark.parametrize("place", [r"a\0b", r"\ud800", "around"])
async def test_a_module_that_says_it_lies_where_no_file_can_be_shakes_nobody(
    tmp_path: Path, place: str
) -> None:
    odd, good = (f"{kind}_{tmp_path.name}" for kind in ("odd", "good"))
    (tmp_path / "around").symlink_to(tmp_path / "around")
    where = str(tmp_path / "around") if place == "around" else place
    (tmp_path / f"{odd}.py").write_text(f'__file__ = "{where}"\n{CLASS}', "utf-8")
    (tmp_path / f"{good}.py").write_text(CLASS, "utf-8")
    config = {"host": {"plugin_dir": str(tmp_path), "allow": [odd, good], "data_dir": str(tmp_path / "d")}}
    try:
        async with Host(config=config, environ={}) as host:
            assert host.plugin(good).state is PluginState.READY
            record = host.plugin(odd)
            # Up to Python 3.12 a link that leads to itself cannot be followed, and the plugin is refused for it.
            told = f"looking for the code of plugin {odd!r}"
            assert record.state is PluginState.READY or told in record.reason
            await host.reload()
            assert host.plugin(good).state is PluginState.READY
    finally:
        sys.modules.pop(odd, None)  # others look at all modules too, and are not prepared for it


@pytest.mark.parametrize(
    "also", ["", "class Helper: ...", "class Plugin(plughost.Plugin): ...", "class Lamp(Base): ..."]
)
def test_of_the_classes_in_a_single_file_the_one_that_is_no_base_is_the_plugin(
    tmp_path: Path, also: str
) -> None:
    source = also if "plughost.Plugin" in also else SEVERAL + also
    (tmp_path / "lamp.py").write_text(source, "utf-8")
    (finding,) = from_directory(tmp_path, [GROUP])
    assert finding.problem == ""
    assert finding.reference == ("lamp:Plugin" if "plughost.Plugin" in also else "lamp:Lamp")


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("lamp", "class Lamp(Plugin", "it cannot be read as Python"),
        ("a-lamp", CLASS, "its name is not one of a module"),
        ("lamp", f"{SEVERAL}class Fan(Base): ...", "it holds several plugins, Lamp, Fan, and a file is one"),
        (
            "lamp",
            f"{SEVERAL}class Fan(Plugin): ...",
            "it holds several plugins, Lamp, Fan, and a file is one",
        ),
    ],
)
def test_a_single_file_that_cannot_be_a_plugin_says_why(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    (tmp_path / f"{name}.py").write_text(text, "utf-8")
    loaded = load_config({"host": {"plugin_dir": str(tmp_path)}}, environ={})
    candidate = {one.name: one for one in survey(loaded)}[name]
    assert candidate.verdict is PluginState.FAILED
    assert f"{name}.py" in candidate.reason
    assert why in candidate.reason


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["greeter", "Night-Lamp"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda name: {"host": {"required": [name], "allow": [name]}},
        lambda name: {"host": {"allow": [name]}, "plugins": {name: {}}},
        lambda name: {"host": {"allow": [name]}},
        lambda name: {"hooks": {"order": {"after_auth": [name]}}},
        lambda name: {"hooks": {"timeouts": {f"{name}.after_auth": 2}}},
    ],
    ids=["required", "table", "allow", "order", "timeouts"],
)
async def test_a_file_that_is_asked_for_and_holds_no_plugin_is_told_with_its_path(
    tmp_path, caplog, ask, name
):
    file = tmp_path / "plugins" / f"{name.replace('-', '_').lower()}.py"
    file.parent.mkdir()
    file.write_text("class Greeter:\n    def start(self): ...\n", "utf-8")
    config = ask(name)
    host = {"allow": [], "plugin_dir": str(file.parent), "data_dir": str(tmp_path / "d")} | config.get(
        "host", {}
    )
    async with Host(config={**config, "host": host}, environ={}) as running:
        failures = [row.error.message for row in running.report.failed]
        told = [*failures, *(getattr(record, "reason", "") for record in caplog.records)]
    assert any(str(file) in text and "it holds no plugin. Give it a class" in text for text in told)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("made", "mark"),
    [
        ('impl = pluggy.HookimplMarker("acme")', "impl"),
        ('impl: object = pluggy.HookimplMarker("acme")', "impl(tryfirst=True)"),
        ('from pluggy import HookimplMarker as Marker\nhere = Marker("acme")', "here"),
        ('acme = pluggy.HookimplMarker("acme")', "acme"),
        ("from acme_marks import hook_impl", "hook_impl"),
        ("from acme_marks import hook_impl as acme", "acme()"),
        ("import acme_marks", "acme_marks.hook_impl"),
    ],
)
async def test_a_file_of_a_program_whose_marker_has_another_name_is_a_plugin(
    tmp_path, monkeypatch, made, mark
):
    (tmp_path / "acme_marks.py").write_text('import pluggy\nhook_impl = pluggy.HookimplMarker("acme")\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "plugins" / f"{tmp_path.name}.py"  # each has a module of its own
    file.parent.mkdir()
    file.write_text(f"import pluggy\n{made}\n\n@{mark}\ndef shout(text):\n    return text.upper()\n")

    class Specs:
        @pluggy.HookspecMarker("acme")
        def shout(self, text): ...

    host = {"plugin_dir": str(file.parent), "data_dir": str(tmp_path / "d"), "allow": [file.stem]}
    async with Host.for_pluggy("acme", Specs, config={"host": host}, environ={}) as running:
        assert running.sync_hooks.shout(text="a") == ["A"]


@pytest.mark.anyio
async def test_a_file_that_others_import_is_no_news(tmp_path, caplog):
    (tmp_path / "helper.py").write_text("WORD = 1\n", "utf-8")
    config = {"host": {"plugin_dir": str(tmp_path), "data_dir": str(tmp_path / "d")}}
    async with Host(config=config, environ={"PLUGHOST_SAFE_MODE": "0"}) as host:
        assert "helper" not in host.plugins
    assert "helper" not in caplog.text
