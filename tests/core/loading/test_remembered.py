"""What a host remembers belongs to its project and its environment, and is told once."""

from __future__ import annotations

from pathlib import Path

import pytest

from plughost import Host
from plughost.contracts.files import replace_file
from plughost.core.config import LoadedConfig, load_config
from plughost.core.finding.discovery import discover
from plughost.core.finding.sources import Finding
from plughost.core.loading.remembered import HostMemory

from .package_files import sources, write_folder


def found(name: str, source: str = "entry point", origin: str = "here") -> Finding:
    return Finding(
        name=name,
        reference="m:P",
        source=source,  # type: ignore[arg-type]
        origin=origin,
        distribution=f"acme-{name}",
        version="1.0",
    )


def judged(*names: str):
    return discover([found(name) for name in names], {})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def place(tmp_path: Path, name: str) -> Path:
    (tmp_path / name).mkdir(exist_ok=True)
    return tmp_path / name


@pytest.mark.parametrize("which", ["project", "environment"])
def test_what_another_project_or_environment_has_is_not_missed_in_this_one(
    tmp_path: Path, data: Path, which: str
) -> None:
    here = {"project": place(tmp_path, "p"), "environment": place(tmp_path, "e")}
    mine = HostMemory(data, **here)
    other = HostMemory(data, **(here | {which: place(tmp_path, "other")}))
    other.note_start(judged("lamp", "desk"), {"lamp": 0.5})
    assert mine.lost(judged("desk")) == []
    assert mine.note_start(judged("desk"), {"desk": 0.1}) == []
    assert mine.seconds() == {"desk": 0.1}
    assert [seen.name for seen in other.lost(judged("desk"))] == ["lamp"]
    assert other.seconds() == {"lamp": 0.5}


def test_a_lost_plugin_is_told_at_one_start_and_again_when_it_was_lost_again(
    tmp_path: Path, data: Path
) -> None:
    memory = HostMemory(data, place(tmp_path, "p"), place(tmp_path, "e"))
    memory.note_start(judged("lamp"), {})
    assert [seen.name for seen in memory.note_start([], {})] == ["lamp"]
    assert memory.note_start([], {}) == []
    assert [seen.name for seen in memory.lost([])] == ["lamp"]
    memory.note_start(judged("Lamp"), {})
    assert [seen.name for seen in memory.note_start([], {})] == ["Lamp"]
    memory.forget("lamp")
    assert memory.lost([]) == []


def test_a_deleted_project_or_environment_is_forgotten(tmp_path: Path, data: Path) -> None:
    gone = place(tmp_path, "gone")
    HostMemory(data, gone, place(tmp_path, "e")).note_start(judged("lamp"), {})
    gone.rmdir()
    HostMemory(data, place(tmp_path, "p"), place(tmp_path, "e")).note_start(judged("desk"), {})
    assert "lamp" not in (data / "state.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("source", "advice"),
    [("entry point", "pip install acme-lamp==1.0"), ("directory", "bring /plugins/lamp back")],
)
def test_the_advice_fits_where_the_plugin_was(tmp_path: Path, data: Path, source: str, advice: str) -> None:
    memory = HostMemory(data, place(tmp_path, "p"), place(tmp_path, "e"))
    memory.note_start(discover([found("lamp", source, "/plugins/lamp")], {}), {})
    (seen,) = memory.lost([])
    assert advice in str(seen)


def test_a_memory_that_cannot_be_read_is_an_empty_one(tmp_path: Path, data: Path) -> None:
    (data / "state.json").write_text("{", "utf-8")
    memory = HostMemory(data, place(tmp_path, "p"), place(tmp_path, "e"))
    assert memory.seconds() == {}
    memory.note_start(judged("lamp"), {"lamp": 1.0})
    assert memory.seconds() == {"lamp": 1.0}


def configured(project: Path, data: Path, plugins: Path) -> LoadedConfig:
    (project / "plughost.toml").write_text(
        f'[host]\ndata_dir = "{data}"\nplugin_dir = "{plugins}"\nallow = ["boxed"]\n', "utf-8"
    )
    return load_config(project / "plughost.toml", environ={})


@pytest.mark.anyio
async def test_two_projects_with_one_data_folder_do_not_miss_each_others_plugins(
    tmp_path: Path, data: Path
) -> None:
    first = configured(place(tmp_path, "first"), data, place(tmp_path, "plugins"))
    second = configured(place(tmp_path, "second"), data, place(tmp_path, "none"))
    write_folder(tmp_path / "plugins" / "boxed", sources(module=f"code_{tmp_path.name}"))
    async with Host(config=first.path, environ={}) as host:
        assert "boxed" in host.report.loaded
    async with Host(config=second.path, environ={}):
        pass
    assert "boxed" not in [seen.name for seen in HostMemory.of(second).lost([])]
    assert "boxed" in [seen.name for seen in HostMemory.of(first).lost([])]


def test_a_file_is_replaced_in_one_step_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "notes"
    replace_file(file, b"one")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"one", 0o600)
    file.chmod(0o640)
    opened = file.open("rb")
    replace_file(file, b"two", durable=True)
    with opened:
        assert opened.read() == b"one"
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"two", 0o640)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        replace_file(tmp_path / "folder", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
