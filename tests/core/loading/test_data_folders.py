"""What lies in the data folder leads nowhere else: a link in the place of a folder of the host's is not followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plughost import Host, Plugin
from plughost.contracts import PluginState
from plughost.contracts.files import folder_named, own_folder
from plughost.core.packages.unpacking import unpack
from plughost.flows.journal import Journal, Unfinished
from plughost.flows.staging import PREFIX, staging_folder
from plughost.plugins.diskcache.shelf import Shelf

from .package_files import sources, zipped


class Keeper(Plugin):
    name = "keeper"

    async def start(self, context: Any) -> None:
        (context.data_dir / "notes").write_text("mine")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


@pytest.mark.anyio
@pytest.mark.parametrize("there", [True, False], ids=["leads somewhere", "leads nowhere"])
@pytest.mark.parametrize("name", ["keeper", "Desk.Lamp"])
async def test_a_link_in_the_place_of_a_plugins_folder_fails_that_plugin_alone(
    tmp_path: Path, elsewhere: Path, there: bool, name: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).symlink_to(elsewhere if there else tmp_path / "nothing")
    async with Host(config={"host": {"data_dir": str(tmp_path / "data"), "allow": []}}, environ={}) as host:
        with pytest.raises(Exception, match="symbolic link"):
            await host.load_plugin(Keeper, name=name)
        assert host.plugin(name).state is PluginState.FAILED
        assert (await host.load_plugin(Keeper, name="neighbour")).state is PluginState.READY
    assert not (elsewhere / "notes").exists()
    assert not (tmp_path / "nothing").exists()


@pytest.mark.anyio
async def test_the_data_folder_itself_may_be_a_link(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "data").symlink_to(elsewhere)
    async with Host(config={"host": {"data_dir": str(tmp_path / "data"), "allow": []}}, environ={}) as host:
        assert (await host.load_plugin(Keeper)).state is PluginState.READY
    assert (elsewhere / "keeper" / "notes").read_text() == "mine"


@given(st.lists(st.text(), unique=True, max_size=6))
@example(["..", ".", "", "../../elsewhere", "/elsewhere", "a/b", "a%2Fb", "%2E%2E", "a\\b", "%", "\0"])
@example(["apps", "%apps", "%25apps"])
def test_a_name_of_any_kind_has_a_folder_of_its_own_right_in_the_data_folder(names: list[str]) -> None:
    folders = [folder_named(Path("data"), name) for name in names]
    assert len(set(folders)) == len(folders)
    assert {folder.parent for folder in map(normal, folders)} <= {Path("data")}


def normal(path: Path) -> Path:
    return Path(os.path.normpath(path))


@pytest.mark.anyio
async def test_a_plugin_whose_name_leads_elsewhere_writes_into_the_data_folder(tmp_path: Path) -> None:
    data = tmp_path / "host" / "data"
    async with Host(config={"host": {"data_dir": str(data), "allow": []}}, environ={}) as host:
        await host.load_plugin(Keeper, name="../../elsewhere")
    assert [notes.parent.parent for notes in written_below(tmp_path)] == [data]


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["apps", "Backups", ".packages"])
async def test_a_plugin_with_the_name_of_a_folder_of_the_host_writes_beside_it(
    tmp_path: Path, name: str
) -> None:
    async with Host(config={"host": {"data_dir": str(tmp_path), "allow": []}}, environ={}) as host:
        assert (await host.load_plugin(Keeper, name=name)).running
    assert [notes.parent.name for notes in written_below(tmp_path)] == [f"%{name}"]


def written_below(folder: Path) -> list[Path]:
    return [*folder.rglob("notes")]


def stage(folder: Path) -> None:
    (folder.parent / f"{PREFIX}one").symlink_to(folder)
    with staging_folder(folder.parent, "one"):
        pass


def note(folder: Path) -> None:
    Journal(folder).note(Unfinished(app_name="shop", operation="register", step="run_seeds", started_at=1.0))


def unpacked(folder: Path) -> None:
    (folder.parent / "boxed.zip").write_bytes(zipped(sources()))
    unpack("boxed", folder.parent / "boxed.zip", folder / "code")


DOORS: dict[str, Callable[[Path], object]] = {
    "journal of apps": note,
    "copies of a backup": stage,
    "disk cache": lambda folder: Shelf(folder).open(),
    "unpacked packages": unpacked,
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_link_in_the_place_of_any_other_folder_is_not_followed(
    tmp_path: Path, elsewhere: Path, door: Callable[[Path], object]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "folder").symlink_to(elsewhere)
    with pytest.raises(Exception, match="symbolic link"):
        door(tmp_path / "data" / "folder")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o750])
def test_a_folder_that_everybody_may_write_to_is_closed_to_them(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "keeper"
    folder.mkdir()
    folder.chmod(mode)
    own_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == mode & ~0o002
