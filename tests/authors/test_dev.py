"""`plughost run --dev`: a plugin is loaded from its folder, and again whenever a file of it is saved."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import anyio
import click
import pytest

from plughost import Host
from plughost.cli.dev import reloading, watching
from plughost.cli.dev.folders import dev_folders, plugins_in
from plughost.contracts import PluginState

pytestmark = pytest.mark.anyio

SOURCE = """
from plughost import Plugin

class P(Plugin):
    def status(self):
        return {{"version": {version!r}}}
"""
MANIFEST = """
[project]
name = "acme-{name}"
version = "1.0.0"

[project.entry-points."plughost.plugins"]
{name} = "{name}_dev_code:P"
"""

moments = count(2_000_000_000)
"""Times of modification for saved files: each later than the one before, however quick the test is."""


def save(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    moment = next(moments)
    os.utime(file, (moment, moment))


def write(folder: Path, name: str = "fresh", version: str = "one") -> Path:
    """Write a plugin; return the file with its code."""
    save(folder / "pyproject.toml", MANIFEST.format(name=name))
    code = folder / f"{name}_dev_code" / "__init__.py"
    save(code, SOURCE.format(version=version))
    return code


@pytest.fixture(autouse=True)
def clean_interpreter() -> Iterator[None]:
    path, writes = sys.path[:], sys.dont_write_bytecode
    yield
    sys.path[:], sys.dont_write_bytecode = path, writes
    for name in [name for name in sys.modules if "_dev_code" in name]:
        del sys.modules[name]


@pytest.fixture(params=["told by the system", "looked for"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways of seeing changes."""
    if request.param == "looked for":
        monkeypatch.setattr(watching, "find_spec", lambda name: None)
        monkeypatch.setattr(watching, "_INTERVAL", 0.02)
    return str(request.param)


class Told:
    """Lines for people, and a way to wait for the next one that says something."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._news = anyio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self._news.set()

    async def until(self, words: str) -> str:
        with anyio.fail_after(30):
            while True:
                found = next((line for line in self.lines if words in line), None)
                if found is not None:
                    self.lines.remove(found)
                    return found
                self._news = anyio.Event()
                await self._news.wait()


Develop = Callable[[Path], object]


@asynccontextmanager
async def developing(
    make_host, *paths: Path, allow: tuple[str, ...] = ("fresh",)
) -> AsyncIterator[tuple[Host, Told]]:
    """A host that watches these folders."""
    host, told = make_host(*allow), Told()
    folders = dev_folders(paths)
    for folder in folders:
        host.add_plugin_folder(folder)
    reloading.expect_changes()
    async with host, anyio.create_task_group() as tasks:
        tasks.start_soon(reloading.reload_on_save, host, folders, told)
        await anyio.sleep(0.3)  # until the watcher has looked for the first time; it does not say when
        yield host, told
        tasks.cancel_scope.cancel()


async def test_a_folder_is_loaded_without_being_installed(tmp_path: Path, make_host) -> None:
    write(tmp_path / "fresh")
    async with developing(make_host, tmp_path / "fresh") as (host, _):
        record = host.plugins["fresh"]
        assert (record.state, record.status) == (PluginState.READY, {"version": "one"})


async def test_a_saved_file_is_seen_at_once(tmp_path: Path, make_host, way: str) -> None:
    code = write(tmp_path / "fresh")
    async with developing(make_host, tmp_path / "fresh") as (host, told):
        for version in ("two", "six"):  # of one length: compiled code of the first would pass for the second
            save(code, SOURCE.format(version=version))
            await told.until("fresh: reloaded")
            assert host.plugins["fresh"].status == {"version": version}


async def test_a_broken_file_leaves_the_old_plugin_running_until_it_is_mended(
    tmp_path: Path, make_host
) -> None:
    code = write(tmp_path / "fresh")
    async with developing(make_host, tmp_path / "fresh") as (host, told):
        save(code, "def broken(:")
        assert "goes on as it was" in await told.until("not reloaded")
        assert host.plugins["fresh"].status == {"version": "one"}
        save(code, SOURCE.format(version="two"))
        await told.until("fresh: reloaded")
        assert host.plugins["fresh"].status == {"version": "two"}


async def test_a_plugin_that_never_started_is_loaded_once_it_can_be(tmp_path: Path, make_host) -> None:
    folder = tmp_path / "fresh"
    code = write(folder)
    save(code, "from fresh_dev_code.part import VERSION\n" + SOURCE.format(version="one"))
    save(folder / "fresh_dev_code" / "part.py", "VERSION = 1 / 0")
    async with developing(make_host, folder) as (host, told):
        assert host.plugins["fresh"].state is PluginState.FAILED
        save(folder / "fresh_dev_code" / "part.py", "VERSION = 1")
        await told.until("fresh: loaded")
        assert host.plugins["fresh"].state is PluginState.READY


async def test_several_plugins_in_one_folder_are_told_apart(tmp_path: Path, make_host) -> None:
    first, second = write(tmp_path / "a", "first"), write(tmp_path / "b", "second")
    async with developing(make_host, tmp_path, allow=("first", "second")) as (host, told):
        save(second, SOURCE.format(version="two"))
        await told.until("second: reloaded")
        assert [host.plugins[name].generation for name in ("first", "second")] == [1, 2]
        assert first.exists()


async def test_a_folder_comes_before_an_installed_plugin_of_its_name(
    tmp_path: Path, make_host, make_plugin
) -> None:
    make_plugin("fresh", "raise RuntimeError('the installed one')")
    write(tmp_path / "fresh")
    async with developing(make_host, tmp_path / "fresh") as (host, _):
        assert host.plugins["fresh"].status == {"version": "one"}


async def test_other_plugins_in_the_manifest_need_a_new_start(tmp_path: Path, make_host) -> None:
    write(tmp_path / "fresh")
    async with developing(make_host, tmp_path / "fresh") as (_, told):
        manifest = tmp_path / "fresh" / "pyproject.toml"
        save(manifest, MANIFEST.format(name="fresh") + 'more = "fresh_dev_code:P"\n')
        await told.until("stop and start again")


def test_what_tools_leave_is_no_change(tmp_path: Path) -> None:
    code = write(tmp_path)
    before = watching._state([tmp_path])
    save(tmp_path / "__pycache__" / "x.pyc", "")
    save(tmp_path / ".git" / "index", "")
    assert watching._state([tmp_path]) == before
    save(code, "")
    assert {file for file, _ in watching._state([tmp_path]).items() ^ before.items()} == {code}


def test_a_folder_that_holds_no_plugin_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="plughost new NAME"):
        dev_folders([tmp_path])


def test_a_folder_says_which_plugins_it_holds(tmp_path: Path) -> None:
    write(tmp_path / "a", "first")
    names = [plugin.name for plugin in plugins_in(dev_folders([tmp_path]), ("plughost.plugins",))]
    assert names == ["first"]


@pytest.mark.parametrize("named", ["fresh_dev_code.py", "."])
async def test_a_single_file_is_a_plugin_that_is_loaded_again_when_it_is_saved(
    make_host, tmp_path, way, named
):
    code = tmp_path / "work" / "fresh_dev_code.py"
    save(code, SOURCE.format(version="one"))
    save(code.with_name("notes.py"), "TEXT = 1\n")
    async with developing(make_host, code.parent / named, allow=("fresh_dev_code",)) as (host, told):
        assert host.plugin("fresh_dev_code").status == {"version": "one"}
        save(code.with_suffix(".new"), SOURCE.format(version="two"))
        code.with_suffix(".new").replace(code)  # as many editors save
        assert await told.until("Saved") == "Saved: fresh_dev_code.py"
        await told.until("reloaded in")
        assert host.plugin("fresh_dev_code").status == {"version": "two"}
        save(code, "def (")
        await told.until("goes on as it was")
        assert host.plugin("fresh_dev_code").status == {"version": "two"}


def test_a_file_that_is_no_plugin_is_refused_with_what_makes_it_one(tmp_path):
    save(tmp_path / "notes.py", "TEXT = 1\n")
    with pytest.raises(click.UsageError, match="it holds no plugin"):
        dev_folders([tmp_path / "notes.py"])
