"""`plughost freeze` and `plughost restore`, and the notice when an environment lost a plugin."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from plughost.cli.entry import run_program
from plughost.cli.freezing.differences import differences, pip_command
from plughost.cli.freezing.snapshot import FrozenHost, FrozenPlugin, read_snapshot
from plughost.exceptions import ConfigError

from .rendered_plugins import environment, install, make

SOURCE = "from plughost import Plugin\n\nclass P(Plugin):\n    pass\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "work"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data-home"))
    return home


@pytest.fixture
def cli(here: Path, capsys: pytest.CaptureFixture[str]):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run_program(arguments)
        return code, *capsys.readouterr()

    yield call
    root.handlers[:], root.level = handlers, level


def frozen(cli, here: Path) -> dict[str, dict[str, Any]]:
    assert cli("freeze", "-o", "plugins.lock")[0] == 0
    found = tomllib.loads((here / "plugins.lock").read_text("utf-8"))
    return {one["name"]: one for one in found.get("plugins", [])}


def test_what_is_written_down(cli, here: Path, make_plugin) -> None:
    make_plugin("greeter", SOURCE, version="1.2.3")
    make_plugin("quiet", SOURCE)
    folder = here / "plugins" / "local"
    (folder / "local_code").mkdir(parents=True)
    (folder / "local_code" / "__init__.py").write_text(SOURCE)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "acme-local"\nversion = "0.3"\n'
        '[project.entry-points."plughost.plugins"]\nlocal = "local_code:P"\n'
    )
    (here / "plughost.toml").write_text('[host]\nplugin_dir = "plugins"\n[plugins.quiet]\nenabled = false\n')
    found = frozen(cli, here)
    assert (found["greeter"]["distribution"], found["greeter"]["version"]) == ("acme-greeter", "1.2.3")
    assert found["greeter"]["sha256"]
    assert found["quiet"]["enabled"] is False
    assert (found["local"]["path"], found["local"]["version"]) == (str(Path("plugins/local")), "0.3")
    assert "database" not in found  # it comes with plughost


def test_nothing_is_imported_for_it(cli, here: Path, make_plugin) -> None:
    make_plugin("ending", "import os\nos._exit(77)")
    assert "ending" in frozen(cli, here)


def test_it_goes_to_standard_output_and_to_json(cli, make_plugin) -> None:
    make_plugin("greeter", SOURCE)
    _, text, _ = cli("freeze")
    _, document, _ = cli("freeze", "--json")
    assert tomllib.loads(text)["plugins"] == json.loads(document)["plugins"]


def test_nothing_to_do_is_said(cli, here: Path, make_plugin) -> None:
    make_plugin("greeter", SOURCE)
    frozen(cli, here)
    code, out, _ = cli("restore", "plugins.lock")
    assert (code, out) == (0, "All plugins are as they were.\n")


def test_a_lost_plugin_comes_with_the_command_that_brings_it_back(cli, here: Path, make_plugin) -> None:
    made = make_plugin("greeter", SOURCE, version="1.2.3")
    frozen(cli, here)
    shutil.rmtree(made.folder / "acme_greeter-1.2.3.dist-info")
    code, out, _ = cli("restore", "plugins.lock")
    assert code == 3
    assert "greeter: is gone" in out
    assert "pip install acme-greeter==1.2.3" in out


def test_a_switched_plugin_is_switched_back(cli, here: Path, make_plugin) -> None:
    make_plugin("greeter", SOURCE)
    config = here / "plughost.toml"
    config.write_text("[plugins.greeter]\nenabled = true\n")
    frozen(cli, here)
    config.write_text("[plugins.greeter]\nenabled = false # for now\n")
    code, out, _ = cli("restore", "plugins.lock")
    assert (code, "plughost enable greeter" in out) == (3, True)
    assert cli("restore", "plugins.lock", "--yes")[0] == 0
    assert config.read_text() == "[plugins.greeter]\nenabled = true # for now\n"


def test_changed_files_of_the_same_version_are_seen(cli, here: Path, make_plugin) -> None:
    made = make_plugin("greeter", SOURCE)
    record = made.folder / "acme_greeter-1.0.0.dist-info" / "RECORD"
    record.write_text("greeter_plugin/__init__.py,,\n")
    frozen(cli, here)
    made.file.write_text(SOURCE + "# changed\n")
    _, out, _ = cli("restore", "plugins.lock", "--json")
    (difference,) = json.loads(out)["differences"]
    assert "other files than it had" in difference["message"]


@pytest.mark.parametrize(
    "text", ["", "format = 1", "not toml [", "format = 99\nhost = 'a'\nplughost = '9'\n"]
)
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"plughost freeze|newer plughost"):
        read_snapshot(file)


def snapshot(**about: Any) -> FrozenHost:
    return FrozenHost(host="h", plughost="1", plugins=(FrozenPlugin(name="a", **about),))


def test_another_version_is_brought_back_by_pip() -> None:
    then = snapshot(distribution="d", version="1", sha256="x")
    found = differences(then, snapshot(distribution="d", version="2", sha256="y"))
    assert [one.message for one in found] == ["was 1, is 2"]
    assert pip_command(found) == ["install", "d==1"]


def test_what_pip_cannot_bring_back_is_said_to_be_a_person_s_work() -> None:
    for about in ({"distribution": "d", "editable": True}, {"path": "folder", "sha256": "x"}):
        (found,) = differences(snapshot(**about), FrozenHost(host="h", plughost="1"))
        assert (found.kind, pip_command([found])) == ("by hand", [])


def test_plugins_that_came_since_are_left_alone() -> None:
    assert differences(FrozenHost(host="h", plughost="1"), snapshot(distribution="d", version="1")) == []


def test_a_lost_distribution_is_really_brought_back(tmp_path: Path) -> None:
    """With pip, from a folder of wheels, into an environment of its own."""
    wheels, site = tmp_path / "wheels", tmp_path / "site"
    folder = make(tmp_path, ("hooks",))
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index",
         "--disable-pip-version-check", "-w", str(wheels), str(folder)],
        check=True, timeout=100,
    )  # fmt: skip
    install([folder], site)

    def plughost(*arguments: str) -> subprocess.CompletedProcess[str]:
        pip = {
            "PIP_TARGET": str(site), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_DEPS": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1", "XDG_DATA_HOME": str(tmp_path),
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "plughost", *arguments], cwd=tmp_path, env=environment(site) | pip,
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    assert plughost("freeze", "-o", "lock").returncode == 0
    shutil.rmtree(site)
    assert plughost("restore", "lock").returncode == 3
    restored = plughost("restore", "lock", "--yes")
    assert restored.returncode == 0, restored.stderr
    assert "with-hooks" in plughost("list").stdout


# the notice


def started(here: Path) -> None:
    (here / "data").mkdir(exist_ok=True)
    (here / "plughost.toml").write_text('[host]\ndata_dir = "data"\nallow = ["greeter"]\n')
    assert run_program(["run", "--once"]) == 0


def test_a_plugin_that_was_there_at_the_last_start_is_missed(cli, here: Path, make_plugin) -> None:
    made = make_plugin("greeter", SOURCE, version="1.2.3")
    started(here)
    assert "Gone" not in cli("list")[2]
    shutil.rmtree(made.folder / "acme_greeter-1.2.3.dist-info")
    wanted = "pip install acme-greeter==1.2.3"
    assert wanted in cli("list")[2]
    assert wanted in cli("doctor")[1]
    assert wanted in cli("run", "--once")[2]
    assert wanted in cli("list")[2]  # a start without it is no reason to forget it
    assert cli("doctor", "--fix")[0] == 0
    assert "Gone" not in cli("list")[2]


def test_a_disabled_plugin_is_not_missed(cli, here: Path, make_plugin) -> None:
    made = make_plugin("greeter", SOURCE)
    started(here)
    shutil.rmtree(made.folder / "acme_greeter-1.0.0.dist-info")
    with (here / "plughost.toml").open("a") as file:
        file.write("[plugins.greeter]\nenabled = false\n")
    assert "Gone" not in cli("list")[2]
