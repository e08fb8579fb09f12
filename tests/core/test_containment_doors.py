"""The same exceptions by every door through which code comes in: found, reloaded, from threads, by commands."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.blocking import BlockingHost
from plughost.cli.entry import run_program
from plughost.contracts import PluginState
from plughost.exceptions import PluginError
from plughost.testing.distributions import make_distribution
from strange_errors import MuteError, NamelessError, PanicException

pytestmark = pytest.mark.matrix(one_in=4)

KINDS: dict[str, Callable[[], BaseException]] = {
    "OSError": lambda: OSError("disk full"),
    "SystemExit": lambda: SystemExit(3),
    "panic": lambda: PanicException("overflow"),
    "stray cancellation": asyncio.CancelledError,
    "no text": MuteError,
    "no name": NamelessError,
    "group of panics": lambda: BaseExceptionGroup("all", [PanicException("overflow"), SystemExit(5)]),
}

FINE = """
from plughost import Plugin, hookimpl
class P(Plugin):
    @hookimpl
    async def health_check(self):
        return {"fine": 1}
"""
HEAD = "import sys\nraises = lambda *_: sys.modules['_raising'].raises()\nfrom plughost import Plugin, hookimpl\n"
PLACES = {
    "import": "raises()",
    "attribute": "def __getattr__(name):\n    raises()",
    "make": "class P(Plugin):\n    def __init__(self):\n        raises()",
    "shape": "class P(Plugin):\n    version = property(raises)",
    "config": "import msgspec\nclass P(Plugin):\n    class Config(msgspec.Struct):\n        __post_init__ = raises",
    "check": "class P(Plugin):\n    async def check_config(self, config):\n        raises()",
    "start": "class P(Plugin):\n    async def start(self, context):\n        raises()",
    "jobs": "class P(Plugin):\n    @hookimpl\n    def register_jobs(self):\n        raises()",
}
"""Where the plugin raises -> its module. The last lines run when it starts, the first when somebody looks at it."""

_numbers = count()


@pytest.fixture(params=KINDS)
def raising(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let strange plugins raise an exception of one kind."""

    def raises() -> None:
        raise KINDS[request.param]()  # noqa: RSE102  a function that makes it

    module = ModuleType("_raising")
    module.raises = raises  # type: ignore[attr-defined]
    sys.modules["_raising"] = module
    yield
    del sys.modules["_raising"]


@pytest.fixture
def importable(tmp_path: Path) -> Iterator[Path]:
    """A folder on the path of imports."""
    folder = tmp_path / "site"
    folder.mkdir()
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def write(folder: Path, source: str) -> str:
    """Write a module; return its name, which no other has."""
    name = f"stranger_{next(_numbers)}"
    (folder / f"{name}.py").write_text(HEAD + source)
    return name


def settings(tmp_path: Path, name: str = "strange", **host: Any) -> dict[str, Any]:
    return {"host": {"allow": [name, "good"], "data_dir": str(tmp_path / "data"), **host}}


def by_entry_point(tmp_path: Path, site: Path, source: str) -> tuple[str, dict[str, Any]]:
    name = f"stranger_{next(_numbers)}"
    make_distribution(
        site, name, modules={name: HEAD + source}, entry_points={"plughost.plugins": {name: f"{name}:P"}}
    )
    return name, settings(tmp_path, name)


def by_module(tmp_path: Path, site: Path, source: str) -> tuple[str, dict[str, Any]]:
    module = write(site, source)
    return "strange", settings(tmp_path) | {"plugins": {"strange": {"module": f"{module}:P"}}}


def by_folder(tmp_path: Path, site: Path, source: str) -> tuple[str, dict[str, Any]]:
    project = tmp_path / "plugins" / "strange"
    project.mkdir(parents=True)
    module = write(project, source)
    (project / "pyproject.toml").write_text(
        '[project]\nname = "strange"\nversion = "1"\n'
        f'[project.entry-points."plughost.plugins"]\nstrange = "{module}:P"\n'
    )
    return "strange", settings(tmp_path, plugin_dir=str(tmp_path / "plugins"))


def by_single_file(tmp_path: Path, site: Path, source: str) -> tuple[str, dict[str, Any]]:
    (tmp_path / "plugins").mkdir()
    name = write(tmp_path / "plugins", source.replace("class P(", "class Plugin("))
    return name, settings(tmp_path, name, plugin_dir=str(tmp_path / "plugins"))


def by_path(tmp_path: Path, site: Path, source: str) -> tuple[str, dict[str, Any]]:
    _, config = by_folder(tmp_path, site, source)
    del config["host"]["plugin_dir"]
    return "strange", config | {"plugins": {"strange": {"path": str(tmp_path / "plugins" / "strange")}}}


DOORS = [by_entry_point, by_module, by_folder, by_single_file, by_path]


class Good(Plugin):
    name = "good"

    @hookimpl
    async def health_check(self) -> dict[str, int]:
        return {"fine": 1}


def assert_told(host: Any, name: str) -> None:
    record = host.plugins[name]
    assert record.state is PluginState.FAILED, record
    assert record.error.message
    assert record.error.phase
    assert name in repr(host.report.failed)


@pytest.mark.anyio
@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("door", DOORS)
async def test_a_found_plugin_fails_alone(
    door: Callable[..., tuple[str, dict[str, Any]]], place: str, tmp_path: Path, importable: Path
) -> None:
    if door is by_single_file and place in ("import", "attribute"):
        source = "class P(Plugin): ...\n" + PLACES[place]  # what makes the file a plugin
    else:
        source = PLACES[place]
    name, config = door(tmp_path, importable, source)
    with anyio.fail_after(60):
        async with Host(config=config, environ={}) as host:
            await host.load_plugin(Good)
            if not (door is by_single_file and place == "attribute"):  # a file has no name to look up in vain
                assert_told(host, name)
            assert host.ready
            assert (await host.hooks.health_check(app_name=None, health_status=None))[-1] == {"fine": 1}


@pytest.mark.anyio
@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize("place", PLACES)
async def test_a_reload_that_fails_leaves_the_old_one_in_service(
    place: str, tmp_path: Path, importable: Path
) -> None:
    name, config = by_module(tmp_path, importable, FINE)
    module = importable / f"{config['plugins'][name]['module'].partition(':')[0]}.py"
    with anyio.fail_after(60):
        async with Host(config=config, environ={}) as host:
            assert host.plugins[name].state is PluginState.READY
            module.write_text(HEAD + PLACES[place] + "\n# longer, so that it is seen to be another\n")
            with pytest.raises(PluginError):
                await host.reload_plugin(name)
            assert host.plugins[name].state is PluginState.READY
            assert await host.hooks.health_check(app_name=None, health_status=None) == [{"fine": 1}]


@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize("place", PLACES)
def test_a_thread_that_holds_the_host_sees_the_same(place: str, tmp_path: Path, importable: Path) -> None:
    name, config = by_module(tmp_path, importable, PLACES[place])
    with BlockingHost(config=config, environ={}) as host:
        assert_told(host, name)
        host.load_plugin(Good)
        with pytest.raises(PluginError):
            host.load_plugin(name)
        assert host.hooks.health_check(app_name=None, health_status=None) == [{"fine": 1}]


COMMANDS = [
    "run --once",
    "profile",
    "check",
    "info strange",
    "list",
    "doctor",
    "hooks",
    "config check",
    "freeze",
]
READING = {"list", "hooks", "doctor", "config check", "freeze"}
"""These read metadata, or say nothing of a plugin that has not been started."""


@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_command_ends_with_a_document_and_an_exit_code(
    command: str,
    place: str,
    tmp_path: Path,
    importable: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    strange, good = write(importable, PLACES[place]), write(importable, FINE)
    (tmp_path / "plughost.toml").write_text(
        f'[host]\nallow = ["strange", "good"]\ndata_dir = "data"\n'
        f'[plugins.strange]\nmodule = "{strange}:P"\n[plugins.good]\nmodule = "{good}:P"\n'
    )
    code = run_program([*command.split(), "--json"])
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert code in (0, 1, 3)
    assert (
        "Traceback" not in err.replace("Traceback (most recent call last)", "", 1)
        or command == "info strange"
    )
    if command in ("run --once", "list", "profile"):
        assert {"strange", "good"} <= {row["name"] for row in document["plugins"]}
    if command == "run --once":
        states = {row["name"]: row["state"] for row in document["plugins"]}
        assert (states["strange"], states["good"]) == ("failed", "ready")
