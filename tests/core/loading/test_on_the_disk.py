"""What lies on the disk decides, before any code of a plugin runs and when it is read again."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin
from plughost.contracts import PluginState
from plughost.core.finding.cards import find_card
from plughost.exceptions import (
    PluginConfigError,
    PluginDependencyError,
    PluginError,
    PluginImportError,
    PluginIncompatibleError,
)

pytestmark = pytest.mark.anyio

SOURCE = """
import builtins
from plughost import Plugin, hookimpl
builtins.imported_plugins.append(__name__)
class One(Plugin):
    @hookimpl
    async def describe_metrics(self):
        return [{word!r}]
"""


@pytest.fixture(autouse=True)
def imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The modules of plugins that were imported, in order; nothing of them stays."""
    names: list[str] = []
    before, path = set(sys.modules), list(sys.path)
    monkeypatch.setattr("builtins.imported_plugins", names, raising=False)
    yield names
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith(("corp", "word", "boxed_again")) or name.endswith("_code"):
            del sys.modules[name]


def folder_of(place: Path, name: str, version: str = "1", card: str = "", source: str = SOURCE) -> Path:
    """Write a plugin folder; its module has the plugin's name and ``_code``."""
    home = place / name
    (home / f"{name}_code").mkdir(parents=True, exist_ok=True)
    group = f'[project.entry-points."plughost.plugins"]\n{name} = "{name}_code:One"\n'
    (home / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "{version}"\n{group}')
    (home / f"{name}_code" / "__init__.py").write_text(source.replace("{word!r}", repr(name)))
    (home / f"{name}_code" / "plugin.toml").write_text(card)
    return home


def config(tmp_path: Path, *allowed: str, **plugins: Any) -> dict[str, Any]:
    section = {
        "plugin_dir": str(tmp_path / "plugins"),
        "allow": list(allowed),
        "data_dir": str(tmp_path / "d"),
    }
    return {"host": section, "plugins": plugins}


# what a plugin requires

USER = "requires = ['base>=1,<2']\n"


@pytest.mark.parametrize(("version", "runs"), [("1.5", True), ("2.0", False)])
async def test_at_the_start_versions_are_checked_before_any_code_of_the_plugin_runs(
    tmp_path, imported, version, runs
) -> None:
    folder_of(tmp_path / "plugins", "base", version)
    folder_of(tmp_path / "plugins", "user", card=USER)
    async with Host(config=config(tmp_path, "base", "user"), environ={}) as host:
        record = host.plugins["user"]
        assert record.requires == ("base",)
        assert (record.state is PluginState.READY) is runs
        assert ("user_code" in imported) is runs
        if not runs:
            assert "requires base>=1,<2, but version 2.0 is loaded" in record.reason


@pytest.mark.parametrize("door", ["load_plugin", "enable_plugin"])
async def test_a_plugin_that_is_started_later_is_not_imported_when_versions_do_not_fit(
    tmp_path, imported, door
) -> None:
    folder_of(tmp_path / "plugins", "base", "2.0")
    folder_of(tmp_path / "plugins", "user", card=USER if door == "enable_plugin" else "requires = ['base']\n")
    switches = {"user": {"enabled": False}} if door == "enable_plugin" else {}
    async with Host(config=config(tmp_path, "base", "user", **switches), environ={}) as host:
        if door == "load_plugin":
            await host.unload_plugin("user")
            imported.clear()
            (tmp_path / "plugins" / "user" / "user_code" / "plugin.toml").write_text(USER)
        with pytest.raises(PluginDependencyError, match="requires base>=1,<2"):
            await getattr(host, door)("user")
        assert "user_code" not in imported
        assert host.plugins["user"].state is PluginState.FAILED
        assert "requires base>=1,<2" in host.plugins["user"].reason


async def test_a_reload_imports_nothing_when_versions_do_not_fit(tmp_path, imported) -> None:
    folder_of(tmp_path / "plugins", "base", "2.0")
    home = folder_of(tmp_path / "plugins", "user")
    async with Host(config=config(tmp_path, "base", "user"), environ={}) as host:
        imported.clear()
        folder_of(tmp_path / "plugins", "user", "2", USER, SOURCE + "VERSION = 2\n")
        with pytest.raises(PluginDependencyError, match="requires base>=1,<2"):
            await host.reload_plugin("user")
        assert imported == []
        assert host.plugins["user"].state is PluginState.READY
        assert host.plugins["user"].version == "1"
        (home / "user_code" / "plugin.toml").write_text("requires = ['base>=2']\n")
        assert (await host.reload_plugin("user")).requires == ("base",)


async def test_a_range_that_a_class_states_is_not_part_of_the_names_in_the_record() -> None:
    base = type("Base", (Plugin,), {"name": "base", "version": "1.5"})
    user = type("User", (Plugin,), {"name": "user", "requires": ("Base >= 1, < 2",)})
    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(base)
        assert (await host.load_plugin(user)).requires == ("base",)
        assert await host.unload_plugin("base")
        assert host.plugins["user"].state is PluginState.STOPPED


# host_api


@pytest.mark.parametrize("door", ["start", "load_plugin", "enable_plugin", "reload_plugin"])
async def test_a_plugin_for_another_host_is_imported_by_no_door(tmp_path, imported, door) -> None:
    disabled = {"lamp": {"enabled": False}} if door == "enable_plugin" else {}
    foreign = 'host_api = ">=2"\n'
    folder_of(tmp_path / "plugins", "lamp", card="" if door == "reload_plugin" else foreign)
    async with Host(config=config(tmp_path, "lamp", **disabled), environ={}) as host:
        before = list(imported)
        if door == "reload_plugin":
            folder_of(tmp_path / "plugins", "lamp", "2", foreign, SOURCE + "VERSION = 2\n")
        if door != "start":
            with pytest.raises(PluginIncompatibleError, match="host API >=2"):
                await getattr(host, door)("lamp")
        assert imported == before
        goes_on = PluginState.READY if door == "reload_plugin" else PluginState.INCOMPATIBLE
        assert host.plugins["lamp"].state is goes_on


async def test_a_disabled_plugin_for_another_host_stays_out_by_its_switch_first(tmp_path, imported) -> None:
    folder_of(tmp_path / "plugins", "lamp", card='host_api = ">=2"\n')
    async with Host(config=config(tmp_path, "lamp", lamp={"enabled": False}), environ={}) as host:
        with pytest.raises(PluginError, match="disabled in the configuration"):
            await host.load_plugin("lamp")
        assert host.plugins["lamp"].state is PluginState.DISABLED
        assert imported == []


# what was tried and did not go well


async def test_the_record_says_why_a_plugin_that_was_loaded_by_name_could_not_be_imported(tmp_path) -> None:
    home = folder_of(tmp_path / "plugins", "lamp")
    async with Host(config=config(tmp_path, "lamp"), environ={}) as host:
        await host.unload_plugin("lamp")
        (home / "lamp_code" / "__init__.py").write_text("import nowhere_to_be_found\n")
        with pytest.raises(PluginImportError):
            await host.load_plugin("lamp")
        assert host.plugins["lamp"].state is PluginState.FAILED
        assert "nowhere_to_be_found" in host.plugins["lamp"].reason


async def test_a_configuration_that_was_refused_is_not_used_by_the_next_reload() -> None:
    import msgspec

    class Lamp(Plugin):
        name = "lamp"

        class Config(msgspec.Struct):
            watts: int = 5

    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(Lamp)
        with pytest.raises(PluginConfigError):
            await host.reload_plugin("lamp", {"watts": "many"})
        assert (await host.reload_plugin("lamp")).state is PluginState.READY
        await host.reload_plugin("lamp", {"watts": 9})
        assert (await host.reload_plugin("lamp")).config == {"watts": 9}


# cards and modules of a package that several distributions share


def portion(place: Path, name: str, files: dict[str, str]) -> Path:
    for file, text in files.items():
        (place / name / file).parent.mkdir(parents=True, exist_ok=True)
        (place / name / file).write_text(text)
    return place / name


@pytest.mark.parametrize("second_first", [True, False])
def test_a_card_at_the_root_of_a_shared_package_counts_for_the_modules_beside_it_only(
    tmp_path, monkeypatch, second_first
) -> None:
    first = portion(tmp_path, "one", {"corpcard/a.py": "", "corpcard/plugin.toml": ""})
    second = portion(tmp_path, "two", {"corpcard/b/__init__.py": "", "corpcard/c.py": ""})
    for place in (first, second) if second_first else (second, first):
        monkeypatch.syspath_prepend(str(place))
    assert find_card("corpcard.a:P") == first / "corpcard" / "plugin.toml"
    assert find_card("corpcard.b:P") is None
    assert find_card("corpcard.c:P") is None
    (second / "corpcard" / "b" / "plugin.toml").touch()
    assert find_card("corpcard.b:P") == second / "corpcard" / "b" / "plugin.toml"
    assert find_card("corpcard.gone:P") is None


async def test_a_card_in_the_second_part_of_a_shared_package_is_read(
    tmp_path, monkeypatch, imported, anyio_backend_name
) -> None:
    corp = f"corp_{anyio_backend_name}"
    source = SOURCE.replace("{word!r}", "'lamp'")
    for place in (
        portion(
            tmp_path,
            "two",
            {f"{corp}/lamp/__init__.py": source, f"{corp}/lamp/plugin.toml": 'host_api = ">=2"\n'},
        ),
        portion(tmp_path, "one", {f"{corp}/other.py": ""}),
    ):
        monkeypatch.syspath_prepend(str(place))
    table = {"lamp": {"module": f"{corp}.lamp:One"}}
    async with Host(config=config(tmp_path, "lamp", **table), environ={}) as host:
        assert host.plugins["lamp"].state is PluginState.INCOMPATIBLE
        assert imported == []


async def test_a_reload_leaves_the_modules_of_another_distribution_in_the_same_package_alone(
    tmp_path, monkeypatch, anyio_backend_name
) -> None:
    corp = f"corpmods_{anyio_backend_name}"
    source = SOURCE.replace("{word!r}", "__name__")
    places = [
        portion(tmp_path, name, {f"{corp}/{name}/__init__.py": source, f"{corp}/{name}/more.py": "N = 1\n"})
        for name in ("a", "b")
    ]
    for place in places:
        monkeypatch.syspath_prepend(str(place))
    tables = {name: {"module": f"{corp}.{name}:One"} for name in ("a", "b")}
    async with Host(config=config(tmp_path, "a", "b", **tables), environ={}) as host:
        before = {name: sys.modules[f"{corp}.{name}"] for name in ("a", "b")}
        (places[0] / corp / "a" / "__init__.py").write_text(source + "VERSION = 2\n")
        await host.reload_plugin("a")
        assert sys.modules[f"{corp}.a"] is not before["a"]
        assert sys.modules[f"{corp}.b"] is before["b"]


# what belongs to a plugin, and saves that a clock does not tell apart


def rewrite(file: Path, text: str, mtime: int | None = None) -> None:
    """Write a file until the system's coarse clock says that this was after now; ``mtime`` is what it says itself."""
    now = time.time_ns()
    while True:
        file.write_text(text)
        if mtime is not None:
            os.utime(file, ns=(mtime, mtime))
        if file.stat().st_ctime_ns > now:
            return


PARTED = """
from plughost import Plugin, hookimpl
from {words} import WORD
class One(Plugin):
    @hookimpl
    async def describe_metrics(self):
        import {late}
        return [WORD, {late}.WORD]
"""


def installed(site: Path, name: str, files: dict[str, str], **noted: str) -> None:
    info = site / f"acme_{name}-1.0.dist-info"
    noted |= {
        "METADATA": f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n",
        "RECORD": "".join(f"{file},,\n" for file in [*files, "../bin/it.py", "acme_it.so"]),
    }
    for file, text in files.items() | {(f"{info.name}/{file}", text) for file, text in noted.items()}:
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).write_text(text)


# Where the plugin lies, what it imports at once, and what it imports late.
PARTS = {
    "two modules": ("corp{n}.py", "words{n}.py", "words{n}l.py"),
    "two packages": ("corp{n}/code.py", "words{n}/here.py", "words{n}/late.py"),
    "parts of a shared package": ("corp{n}/a.py", "corp{n}/b.py", "corp{n}/c.py"),
}


WAYS = [(how, parts) for how in ("installed", "worked on", "named") for parts in PARTS]
WAYS.remove(("named", "two packages"))  # whose package is the application's as well as the plugin's


@pytest.fixture(params=WAYS, ids=" as ".join)
def parted(request, tmp_path, monkeypatch, anyio_backend_name) -> tuple[dict[str, Any], list[Path]]:
    """A plugin in parts: a configuration that finds it, and its files."""
    how, parts = request.param
    number = f"_{how[0]}{parts[-2:]}_{anyio_backend_name}"
    places = [place.format(n=number) for place in PARTS[parts]]
    modules = [place.removesuffix(".py").replace("/", ".") for place in places]
    words = dict.fromkeys(places, "WORD = 'old'\n")
    files = words | {places[0]: PARTED.format(words=modules[1], late=modules[2])}
    if parts == "two packages":
        files |= {f"{place.partition('/')[0]}/__init__.py": "" for place in places}
    site, code = tmp_path / "site", tmp_path / "site"
    noted = {"entry_points.txt": f"[plughost.plugins]\nlamp = {modules[0]}:One\n"}
    if how == "worked on":
        code = tmp_path / "project" / "src"
        url = f'{{"url": "{code.parent.as_uri()}", "dir_info": {{"editable": true}}}}'
        installed(site, "lamp", {}, **noted, **{"direct_url.json": url})
        monkeypatch.syspath_prepend(str(site))
    elif how == "installed":
        installed(site, "lamp", files, **noted)
    for file, text in files.items():
        (code / file).parent.mkdir(parents=True, exist_ok=True)
        (code / file).write_text(text)
    monkeypatch.syspath_prepend(str(code))
    table = {"lamp": {"module": f"{modules[0]}:One"}} if how == "named" else {}
    return config(tmp_path, "lamp", **table), [code / place for place in places]


async def said(host: Host) -> list[str]:
    return [word for words in await host.hooks.describe_metrics() for word in words]


@pytest.mark.parametrize("changed", [1, 2], ids=["imported at once", "imported late"])
async def test_a_reload_reads_again_every_module_that_came_with_the_plugin(parted, changed) -> None:
    settings, files = parted
    async with Host(config=settings, environ={}) as host:
        assert host.plugins["lamp"].state is PluginState.READY, host.plugins["lamp"].reason
        assert await said(host) == ["old", "old"]
        rewrite(files[changed], "WORD = 'new'\n", files[changed].stat().st_mtime_ns)
        await host.reload_plugin("lamp")
        assert (await said(host))[changed - 1] == "new"


async def test_a_reload_that_fails_puts_every_module_that_came_with_the_plugin_back(parted) -> None:
    settings, files = parted
    source = files[0].read_text()
    async with Host(config=settings, environ={}) as host:
        assert await said(host) == ["old", "old"]
        rewrite(files[1], "WORD = 'bad'\n")
        rewrite(files[0], f"{source}raise OSError('no light')\n")
        with pytest.raises(PluginImportError, match="no light"):
            await host.reload_plugin("lamp")
        assert await said(host) == ["old", "old"]
        rewrite(files[1], "WORD = 'new'\n", files[1].stat().st_mtime_ns)
        rewrite(files[0], source)
        await host.reload_plugin("lamp")
        assert await said(host) == ["new", "old"]


@pytest.mark.parametrize("door", ["entry point", "configuration"])
async def test_a_reload_leaves_what_another_distribution_put_beside_the_plugin_alone(
    tmp_path, monkeypatch, anyio_backend_name, door
) -> None:
    number = f"_{door[:2]}_{anyio_backend_name}"
    lamp, other = f"corp_lamp{number}", f"corp_other{number}"
    source = f"from plughost import Plugin\nimport {other}\nclass One(Plugin): pass\n"
    entry = {"entry_points.txt": f"[plughost.plugins]\nlamp = {lamp}:One\n"}
    installed(tmp_path / "site", "lamp", {f"{lamp}.py": source}, **(entry if door == "entry point" else {}))
    installed(tmp_path / "site", "other", {f"{other}.py": ""})
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    table = {"lamp": {"module": f"{lamp}:One"}} if door == "configuration" else {}
    async with Host(config=config(tmp_path, "lamp", **table), environ={}) as host:
        before = sys.modules[lamp], sys.modules[other]
        rewrite(tmp_path / "site" / f"{lamp}.py", f"{source}# changed\n")
        await host.reload_plugin("lamp")
        assert sys.modules[lamp] is not before[0]
        assert sys.modules[other] is before[1]


async def test_a_file_is_read_again_though_time_and_size_are_those_of_before(tmp_path) -> None:
    home = folder_of(tmp_path / "plugins", "lamp")
    file = home / "lamp_code" / "__init__.py"
    async with Host(config=config(tmp_path, "lamp"), environ={}) as host:
        status = file.stat()
        file.write_text(file.read_text().replace("'lamp'", "'lump'"))
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
        await host.reload_plugin("lamp")
        assert await host.hooks.describe_metrics() == [["lump"]]


def boxed(tmp_path: Path, word: str, module: str, broken: bool = False) -> None:
    """Write the same zip file anew, with a module that lies beside the plugin's and another that is imported late."""
    from tests.core.loading.package_files import MANIFEST, zipped

    helper, late = f"word_{module}", f"word_late_{module}"
    source = f"""
from plughost import Plugin, hookimpl
from {helper} import WORD
class P(Plugin):
    @hookimpl
    async def describe_metrics(self):
        import {late}
        return [WORD, {late}.WORD]
"""
    files = {
        "pyproject.toml": MANIFEST.format(name="boxed", module=module),
        f"{module}.py": source + ("raise OSError('broken')\n" if broken else ""),
        f"{helper}.py": f"WORD = {word!r}\n",
        f"{late}.py": f"WORD = {word!r}\n",
    }
    (tmp_path / "boxed.zip").write_bytes(zipped(files))


async def test_a_package_that_was_changed_is_read_anew_and_leaves_no_folder_behind(
    tmp_path, anyio_backend_name
) -> None:
    module = f"boxed_again_{anyio_backend_name}"
    boxed(tmp_path, "old", module)
    table = {"boxed": {"path": str(tmp_path / "boxed.zip")}}

    def folders() -> list[str]:
        return [place for place in sys.path if str(tmp_path / "d") in place]

    async with Host(config=config(tmp_path, "boxed", **table), environ={}) as host:
        assert host.plugins["boxed"].state is PluginState.READY, host.plugins["boxed"].reason
        assert await host.hooks.describe_metrics() == [["old", "old"]]
        first = folders()
        boxed(tmp_path, "bad", module, broken=True)
        with pytest.raises(PluginImportError, match="broken"):
            await host.reload_plugin("boxed")
        assert folders() == first
        assert await host.hooks.describe_metrics() == [["old", "old"]]
        boxed(tmp_path, "new", module)
        await host.reload_plugin("boxed")
        assert await host.hooks.describe_metrics() == [["new", "new"]]
        assert len(folders()) == 1
        assert folders() != first


NEWS = """
from dataclasses import dataclass
from plughost import Plugin, hookspec

@dataclass
class Piece:
    text: str

class Short(Piece):
    pass

@hookspec(mode="collect")
async def read_piece(piece: Short) -> Piece | None:
    ...

class One(Plugin):
    name = {word!r}
    async def start(self, context):
        import sys
        context.register_hookspecs(sys.modules[__name__])
"""
READER = """
from plughost import Plugin, hookimpl
from word_news_code import Piece

class One(Plugin):
    name = {word!r}
    after = ("word_news",)

    @hookimpl(optionalhook=True)
    async def read_piece(self, piece: Piece) -> Piece | None:
        return piece
"""


async def test_who_implements_a_hook_with_classes_of_a_plugin_does_so_when_that_is_loaded_with_new_code(
    tmp_path: Path,
) -> None:
    folder_of(tmp_path, "word_news", source=NEWS)
    folder_of(tmp_path, "word_reader", source=READER)
    config = {"host": {"plugin_dir": str(tmp_path), "allow": ["word_news", "word_reader"]}}
    async with Host("acme", config=config) as host:
        old = sys.modules["word_news_code"].Short
        for unloaded_before in (False, True):
            folder_of(tmp_path, "word_news", source=f"{NEWS}changed = {unloaded_before}\n")
            if unloaded_before:
                await host.unload_plugin("word_news")
            await host.reload_plugin("word_news")
            assert host.plugins["word_news"].state == PluginState.READY
            new = sys.modules["word_news_code"].Short
            assert new is not old
            assert await host.hooks.read_piece(piece=new("a line")) == [new("a line")]


async def test_classes_of_a_plugin_stay_the_same_when_it_imported_something_late_and_nothing_changed(
    tmp_path: Path,
) -> None:
    home = folder_of(tmp_path, "word_news", source=NEWS)
    (home / "word_news_code" / "late.py").write_text("")
    config = {"host": {"plugin_dir": str(tmp_path), "allow": ["word_news"]}}
    async with Host("acme", config=config) as host:
        old = sys.modules["word_news_code"].Piece
        importlib.import_module("word_news_code.late")
        await host.reload_plugin("word_news")
        assert sys.modules["word_news_code"].Piece is old
        rewrite(home / "word_news_code" / "late.py", "changed = True")
        await host.reload_plugin("word_news")
        assert importlib.import_module("word_news_code.late").changed
        assert sys.modules["word_news_code"].Piece is not old
