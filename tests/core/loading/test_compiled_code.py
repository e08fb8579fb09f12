"""What Python compiled of an earlier save is not run in the place of what is saved now, by whichever door it comes.

Python takes compiled code for current by whole seconds and size; the saves here share both.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from plughost import Host
from plughost.exceptions import PluginError

pytestmark = pytest.mark.anyio

MANIFEST = '[project]\nname = "{name}"\nversion = "1"\n[project.entry-points."plughost.plugins"]\n'

PLUGIN = """
from plughost import Plugin
{first}
class One(Plugin):
    def status(self):
        return {{{word!r}: 1}}
"""


@pytest.fixture(autouse=True)
def compiled_code_is_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Python keeps compiled code, as it does unless somebody forbids it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if name.startswith("saved_"):
            del sys.modules[name]


@pytest.fixture(params=["file", "folder", "package", "module", "module of a package"])
def door(request, tmp_path: Path, monkeypatch, anyio_backend_name: str) -> tuple[dict[str, Any], Path]:
    """A host's configuration with one plugin by each door, and the file that it is written in."""
    kind, place = request.param, tmp_path / "plugins"
    module = f"saved_{kind.replace(' ', '_')}_{anyio_backend_name}"
    host: dict[str, Any] = {"allow": ["one"], "data_dir": str(tmp_path / "data")}
    inner = f"{module}/__init__.py" if "package" in kind else f"{module}.py"
    if kind == "file":
        return {"host": host | {"allow": [module], "plugin_dir": str(place)}}, place / inner
    if "module" in kind:
        monkeypatch.syspath_prepend(str(place))
        return {"host": host, "plugins": {"one": {"module": f"{module}:One"}}}, place / inner
    save(place / "one" / "pyproject.toml", MANIFEST.format(name="one") + f'one = "{module}:One"\n')
    return {"host": host | {"plugin_dir": str(place)}}, place / "one" / inner


def save(file: Path, text: str) -> None:
    """Save within the second of all other saves here."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    os.utime(file, (1_800_000_000, 1_800_000_000))


def beside(file: Path, name: str) -> tuple[Path, str]:
    """A helper beside a plugin's file, and the line that imports it."""
    if file.name == "__init__.py":
        return file.parent / f"{name}.py", f"from {file.parent.name} import {name}"
    return file.parent / f"{name}.py", f"import {name}"


def words(host: Host) -> list[str]:
    return [word for name in host.config.host.allow for word in host.plugins[name].status]


async def test_a_plugin_that_failed_is_read_anew_when_it_is_loaded_again(door) -> None:
    configuration, file = door
    save(file, PLUGIN.format(first="1 / 0", word="old"))
    async with Host(config=configuration, environ={}) as host:
        (name,) = host.config.host.allow
        assert host.plugins[name].state == "failed"
        save(file, PLUGIN.format(first="1 / 1", word="new"))
        await host.load_plugin(name)
        assert words(host) == ["new"]


async def test_what_a_failed_reload_imported_is_read_anew_by_the_next(door, anyio_backend_name: str) -> None:
    configuration, file = door
    helper, line = beside(file, f"saved_helper_{file.parent.name}_{file.stem}_{anyio_backend_name}")
    save(file, PLUGIN.format(first="", word="old"))
    async with Host(config=configuration, environ={}) as host:
        (name,) = host.config.host.allow
        save(helper, "1 / 0")
        save(file, PLUGIN.format(first=line, word="new"))
        with pytest.raises(PluginError, match="division by zero"):
            await host.reload_plugin(name)
        assert words(host) == ["old"]
        save(helper, "1 / 1")
        await host.reload_plugin(name)
        assert words(host) == ["new"]


@pytest.mark.parametrize("again", [Host.reload_plugin, None], ids=["reloaded", "unloaded and loaded"])
async def test_a_plugin_in_a_process_of_its_own_is_read_anew(
    tmp_path: Path, anyio_backend_name: str, again: Callable[[Host, str], Any] | None
) -> None:
    module = f"saved_elsewhere_{anyio_backend_name}"
    folder = tmp_path / "plugins" / "one"
    save(folder / "pyproject.toml", MANIFEST.format(name="one") + f'one = "{module}:One"\n')
    save(folder / f"{module}.py", PLUGIN.format(first="", word="old"))
    section = {"allow": ["one"], "plugin_dir": str(folder.parent), "data_dir": str(tmp_path / "data")}
    async with Host(
        config={"host": section, "plugins": {"one": {"isolation": "process"}}}, environ={}
    ) as host:
        assert words(host) == ["old"], host.plugins["one"].error
        save(folder / f"{module}.py", PLUGIN.format(first="", word="new"))
        if again is not None:
            await again(host, "one")
        else:
            await host.unload_plugin("one")
            await host.load_plugin("one")
        assert words(host) == ["new"]
