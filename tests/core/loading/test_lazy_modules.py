"""What stands in ``sys.modules`` may import, or raise, as soon as it is asked for anything: nobody asks."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from plughost import Host

pytestmark = pytest.mark.anyio

SOURCE = """
import {lazy}
from plughost import Plugin

class Lamp(Plugin):
    word = {word!r}
    def status(self):
        return {{"word": self.word}}
"""


class Module(ModuleType):
    """A module that is imported when it is first used, of something that is not installed."""

    def __getattribute__(self, name: str) -> object:
        if name in {"__class__", "__dict__", "__spec__", "__loader__"}:  # what Python itself asks for
            return super().__getattribute__(name)
        raise ModuleNotFoundError(f"asked for {name}")


class Stranger:
    """Something that is not a module at all."""

    __slots__ = ()
    __spec__ = None  # Python itself asks for it, and since 3.13 it passes on what that raises

    def __getattr__(self, name: str) -> object:
        raise SystemExit(f"asked for {name}")


@pytest.mark.parametrize("kind", [Module, Stranger])
@pytest.mark.parametrize("beside", [True, False], ids=["in the plugin's own package", "elsewhere"])
async def test_a_plugin_is_loaded_and_read_again_beside_modules_that_bear_no_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type, beside: bool
) -> None:
    package = f"lazy_lamp_{kind.__name__.lower()}_{beside}".lower()
    lazy = f"{package}.later" if beside else f"elsewhere_{package}"
    home = tmp_path / "plugins" / "lamp"
    (home / package).mkdir(parents=True)
    (home / "pyproject.toml").write_text(
        f'[project]\nname = "lamp"\nversion = "1"\n[project.entry-points."plughost.plugins"]\nlamp = "{package}:Lamp"\n'
    )
    code = home / package / "__init__.py"
    code.write_text(SOURCE.format(lazy="sys" if beside else lazy, word="first"))
    monkeypatch.setitem(sys.modules, lazy, kind("lazy") if kind is Module else kind())
    monkeypatch.setattr(sys, "path", sys.path[:])
    config = {
        "host": {
            "plugin_dir": str(tmp_path / "plugins"),
            "allow": ["lamp"],
            "data_dir": str(tmp_path / "data"),
        }
    }
    try:
        async with Host(config=config, environ={}) as host:
            assert host.plugins["lamp"].status == {"word": "first"}, host.plugins["lamp"].reason
            code.write_text(SOURCE.format(lazy="sys" if beside else lazy, word="second"))
            await host.reload_plugin("lamp")
            assert host.plugins["lamp"].status == {"word": "second"}
    finally:
        sys.modules.pop(package, None)
