"""What an embedding application and ``plughost info`` learn of plugins that failed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin
from plughost.contracts import PluginState
from plughost.exceptions import PluginStartError

pytestmark = pytest.mark.anyio


class Broken(Plugin):
    name = "broken"

    async def start(self, context: Any) -> None:
        raise OSError("no lamp oil")


async def test_an_embedded_host_logs_one_error_for_each_failed_plugin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "dim_lamp.py").write_text("raise OSError('no lamp oil')")
    (tmp_path / "dark_lamp.py").write_text("raise KeyError('wick')")
    sys.path.insert(0, str(tmp_path))
    tables = {name: {"module": f"{name}_lamp"} for name in ("dim", "dark")}
    try:
        with caplog.at_level(logging.ERROR, "plughost"):
            async with Host(config={"host": {"allow": ["dim", "dark"]}, "plugins": tables}, environ={}):
                pass
    finally:
        sys.path.remove(str(tmp_path))
    told = [record.getMessage() for record in caplog.records if " failed (" in record.getMessage()]
    assert len(told) == 2
    for name, cause in (("dim", "no lamp oil"), ("dark", "wick")):
        (line,) = (line for line in told if f"'{name}'" in line)
        assert cause in line
        assert "import" in line


async def test_one_that_fails_when_loaded_by_hand_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "plughost"):
        async with Host(config={"host": {"allow": []}}, environ={}) as host:
            with pytest.raises(Exception, match="no lamp oil"):
                await host.load_plugin(Broken)
    assert sum("plugin 'broken' failed (start)" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("deep", range(6))
async def test_the_last_lines_of_a_long_traceback_begin_with_a_frame(deep: int) -> None:
    class Deep(Plugin):
        name = "deep"

        async def start(self, context: Any) -> None:
            self.fall(deep)

        def fall(self, further: int) -> None:
            if further:
                self.fall(further - 1)
            raise OSError("no\nlamp\noil")

    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        with pytest.raises(PluginStartError):
            await host.load_plugin(Deep)
        (failed,) = (record for record in host.plugins.values() if record.name == "deep")
        assert failed.error is not None
        assert failed.error.traceback.startswith("  File ")
        assert failed.error.traceback.endswith("oil\n")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def plughost(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
    return subprocess.run(
        [sys.executable, "-m", "plughost", *arguments],
        cwd=folder, env={**environ, "PYTHONPATH": str(folder)}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_the_traceback_of_the_last_failure_is_where_the_message_says(tmp_path: Path) -> None:
    (tmp_path / "lamp.py").write_text(
        "from plughost import Plugin\nclass Lamp(Plugin):\n    async def start(self, context):\n        fill()\n"
        "def fill():\n    raise OSError('no lamp oil')\n"
    )
    (tmp_path / "plughost.toml").write_text(
        '[host]\nallow = ["lamp"]\ndata_dir = "data"\n[plugins.lamp]\nmodule = "lamp:Lamp"\n'
    )
    run = partial(plughost, tmp_path)
    assert "plughost info lamp" in run("run", "--once").stdout
    shown = run("info", "lamp").stdout
    assert "last failure (start" in shown
    assert "in fill" in shown
    (tmp_path / "lamp.py").write_text("from plughost import Plugin\nclass Lamp(Plugin):\n    pass\n")
    run("run", "--once")
    assert "last failure" not in run("info", "lamp").stdout


async def test_so_is_that_of_a_reload_that_failed_while_the_old_start_goes_on(tmp_path: Path) -> None:
    code, file = "def start(context):\n    {}\n", tmp_path / "plughost.toml"
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "lamp.py").write_text(code.format("pass"))
    file.write_text('[host]\nallow = ["lamp"]\ndata_dir = "data"\nplugin_dir = "plugins"\n')
    async with Host(config=file, environ={}) as host:
        (tmp_path / "plugins" / "lamp.py").write_text(code.format("raise OSError('no lamp oil')"))
        with pytest.raises(PluginStartError, match="plughost info lamp"):
            await host.reload_plugin("lamp")
        assert host.plugins["lamp"].state is PluginState.READY
    shown = plughost(tmp_path, "info", "lamp").stdout
    assert "last failure (start" in shown
    assert "OSError: no lamp oil" in shown


def test_so_is_that_of_a_plugin_that_was_loaded_from_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "lamp"
    folder.mkdir(parents=True)
    (folder / "lamp.py").write_text("def start(context):\n    raise OSError('no lamp oil')\n")
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "lamp"\nversion = "1"\n[project.entry-points."plughost.plugins"]\nlamp = "lamp"\n'
    )
    (tmp_path / "plughost.toml").write_text('[host]\nallow = ["lamp"]\ndata_dir = "data"\n')
    assert "no lamp oil" in plughost(tmp_path, "run", "--once", "--dev", "work/lamp").stdout
    for asked in ("lamp", "work/lamp"):
        shown = plughost(tmp_path, "info", asked).stdout
        assert "OSError: no lamp oil" in shown, asked
    assert plughost(tmp_path, "info", "candle").returncode == 1
