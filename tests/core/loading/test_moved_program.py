"""A plugin that changes the working directory moves nobody's files, read or written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin
from plughost.contracts import PluginState, SessionManager
from plughost.plugins.database.plugin import DatabasePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin

from .package_files import sources, write_folder, zipped

pytestmark = pytest.mark.anyio

FILE = """
[host]
allow = ["boxed", "other"]
plugin_dir = "plugins"
data_dir = "data"
[plugins.other]
path = "other.zip"
[plugins.other.config]
word = {"$file" = "word"}
"""
TABLES: Mapping[str, Any] = {
    "host": {"allow": ["boxed", "other"], "plugin_dir": "plugins", "data_dir": "data"},
    "plugins": {"other": {"path": "other.zip", "config": {"word": {"$file": "word"}}}},
}


class Wanderer(Plugin):
    name = "wanderer"

    async def start(self, context: Any) -> None:
        os.chdir("elsewhere")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with plugins, and with another project in a folder of it."""
    write_folder(tmp_path / "plugins" / "boxed", sources(module=f"boxed_{tmp_path.name}"))
    (tmp_path / "other.zip").write_bytes(zipped(sources("other", f"other_{tmp_path.name}")))
    (tmp_path / "word").write_text("bird")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "plughost.toml").write_text('[host]\nname = "stranger"\ndisabled = ["boxed"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


DOORS = {
    "code": lambda: TABLES,
    "named file": lambda: "plughost.toml",
    "file in the working directory": lambda: None,
}


@pytest.mark.parametrize("door", DOORS)
async def test_a_reload_reads_and_finds_what_is_where_the_program_began(place: Path, door: str) -> None:
    if door != "code":
        (place / "plughost.toml").write_text(FILE)
    async with Host("acme", config=DOORS[door](), environ={}) as host:
        await host.load_plugin(Wanderer)
        (place / "word").write_text("word")
        report = await host.reload()
        assert (report.reloaded, report.stopped, report.failed) == (("other",), (), ())
        assert {name: host.plugins[name].state for name in ("boxed", "other")} == {
            "boxed": PluginState.READY,
            "other": PluginState.READY,
        }


async def test_a_host_without_a_file_takes_none_of_another_folder(place: Path) -> None:
    async with Host(environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        await host.load_plugin(Wanderer)
        await host.reload()
        assert host.loaded_config.path is None
        assert host.config.host.disabled == ()


async def test_what_is_switched_or_set_is_written_into_the_file_that_was_read(place: Path) -> None:
    (place / "plughost.toml").write_text(FILE)
    strange = (place / "elsewhere" / "plughost.toml").read_text()
    async with Host(config="plughost.toml", environ={}) as host:
        await host.load_plugin(Wanderer)
        assert host.remember_enabled("boxed", enabled=False) == place / "plughost.toml"
        change = await host.change_plugin_settings("boxed", {"depth": 3})
        assert change.file == host.plugin_settings("boxed").file == place / "plughost.toml"
    assert "enabled = false" in (place / "plughost.toml").read_text()
    assert "depth = 3" in (place / "plughost.toml").read_text()
    assert (place / "elsewhere" / "plughost.toml").read_text() == strange


async def test_sessions_are_those_of_before_when_their_plugin_is_reloaded(place: Path) -> None:
    (place / "secret").write_text("Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt\n")
    (place / "secret").chmod(0o600)
    config = {"path": "kept.db", "secret_file": "secret"}
    async with Host(environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        await host.load_plugin(SessionsPlugin, config, name="sessions")
        made = await host.use(SessionManager).create("7")
        await host.load_plugin(Wanderer)
        await host.reload_plugin("sessions")
        assert await host.use(SessionManager).get(made.session_id) is not None
    os.chdir(place)
    async with Host(environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        await host.load_plugin(SessionsPlugin, config | {"path": str(place / "kept.db")}, name="sessions")
        assert await host.use(SessionManager).get(made.session_id) is not None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_database_of_an_app_is_opened_saved_and_put_back_where_the_program_began(
    place: Path, anyio_backend: str
) -> None:
    apps = {"shop": {"url": "sqlite:///shop.db"}}
    config = {"host": {"data_dir": "data", "allow": []}, "apps": apps}
    async with Host(config=config, environ={}) as host:
        await host.load_plugin(DatabasePlugin, name="database")
        await host.load_plugin(Wanderer)
        await host.apps.register("shop", apps["shop"])
        with sqlite3.connect(place / "shop.db") as shop:
            shop.execute("create table lamp (watts)")
        shop.close()
        saved = await host.backups.run()
        await host.apps.unregister("shop")
        (place / "shop.db").unlink()
        await host.backups.restore(saved.plan.backup_id)
    assert (place / "shop.db").stat().st_size
    assert [path.name for path in (place / "elsewhere").iterdir()] == ["plughost.toml"]
