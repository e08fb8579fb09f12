"""`plughost env`: real environments, made by venv and pip from a folder of wheels."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import anyio
import pytest

from plughost import Host
from plughost.cli.environments.making import named, unpinned
from plughost.cli.environments.place import EnvironmentNote, EnvironmentPlace
from wheelhouse import make_wheel, wheelhouse

ONE = {"one": "acme_one:P"}
CODE = """
import os
import textlib
from plughost import Plugin, hookimpl
from plughost.contracts import Device

class P(Plugin):
    async def start(self, context):
        self.text = context.config.get("text") or textlib.VERSION

    def status(self):
        return {"textlib": textlib.VERSION, "pid": os.getpid()}

    @hookimpl
    async def describe_device(self, user_agent):
        return Device(name=self.text) if user_agent == textlib.VERSION else None
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """plughost, what it needs, and two plugins that need versions of one library which exclude each other."""
    house = wheelhouse(tmp_path_factory.mktemp("wheels"))
    for version in ("1.0", "2.0"):
        make_wheel(house, "textlib", version, {"textlib.py": f"VERSION = {version!r}\n"})
    for name, text in (("one", "1.0"), ("two", "2.0")):
        modules = {f"acme_{name}/__init__.py": CODE, f"acme_{name}/plugin.toml": 'description = "d"\n'}
        requires = (f"textlib=={text}", "plughost")
        make_wheel(house, f"acme-{name}", "0.1", modules, requires=requires, plugins={name: f"acme_{name}:P"})
    return house


@pytest.fixture
def options(wheels: Path) -> list[str]:
    return ["--", "--no-index", "--find-links", str(wheels), "--no-compile"]


def test_an_environment_is_made_looked_at_and_removed(
    cli, folder: Path, configure, options: list[str]
) -> None:
    configure("# mine\n[host]\nname = 'acme'\n")
    made = cli("env", "create", "one", "--for", "acme-one", "--json", *options, "--no-deps")
    assert made.code == 0, made.err
    assert (made.document["version"], made.document["environment"]) == ("0.1", ".venvs/one")
    text = (folder / "plughost.toml").read_text()
    assert text.startswith("# mine\n[host]\nname = 'acme'\n")
    assert '[plugins.one]\nisolation = "process"\nenvironment = ".venvs/one"\n' in text

    (row,) = cli("env", "list", "--json").document["environments"]
    assert (row["distribution"], row["version"], row["problem"]) == ("acme-one", "0.1", "")
    assert row["plughost"] == cli("version", "--json").document["plughost"]
    listed = {one["name"]: one for one in cli("list", "--json").document["plugins"]}["one"]
    assert (listed["state"], listed["source"], listed["description"]) == ("discovered", "environment", "d")
    assert "`plughost env upgrade one`" not in cli("doctor").out
    checked = cli("check", "one")
    assert (checked.code, "-m plughost check one` checks it" in checked.err) == (0, True)
    assert "-m plughost info one` tells more" in cli("info", "one").err

    before = (folder / ".venvs" / "one").resolve()
    broken = cli("env", "upgrade", "one", "--for", "acme-nothing", *options, "--no-deps")
    assert (broken.code, "nothing was changed" in broken.err) == (1, True)
    assert ((folder / ".venvs" / "one").resolve(), before.is_dir()) == (before, True)
    removed = cli("env", "remove", "one", "--json")
    assert (removed.code, removed.document["deleted"]) == (0, True)
    assert list((folder / ".venvs").iterdir()) == []
    assert (folder / "plughost.toml").read_text().strip() == "# mine\n[host]\nname = 'acme'"


def test_two_plugins_whose_needs_exclude_each_other_run_in_one_host(
    cli, folder: Path, wheels: Path, options: list[str]
) -> None:
    assert cli("env", "create", "one", "--for", "acme-one==0.1", *options).code == 0
    assert cli("env", "create", "two", "--for", "acme-two", *options).code == 0

    with (folder / "plughost.toml").open("a") as file:
        file.write("[plugins.two.process.confine]\nbest_effort = true\n")

    async def run() -> None:
        async with Host("acme", config="plughost.toml") as host:
            records = [host.plugins[name] for name in ("one", "two")]
            assert [(one.state, one.reason) for one in records] == [("ready", "")] * 2
            assert [one.status["textlib"] for one in records] == ["1.0", "2.0"]
            assert [bool(one.process and one.process.confinement) for one in records] == [False, True]
            assert len({os.getpid(), *(one.status["pid"] for one in records)}) == 3
            assert (await host.hooks.describe_device(user_agent="2.0")).name == "2.0"
            assert "textlib" not in sys.modules

            make_wheel(
                wheels,
                "acme-one",
                "0.3",
                {"acme_one/__init__.py": CODE},
                requires=("textlib>=2",),
                plugins=ONE,
            )
            upgraded = cli("env", "upgrade", "one", "--json", *options).document
            assert (upgraded["before"], upgraded["version"]) == ("0.1", "0.3")
            assert await host.hooks.describe_device(user_agent="1.0") is not None  # it goes on as it was
            await host.reload_plugin("one")
            assert (host.plugins["one"].version, host.plugins["one"].status["textlib"]) == ("0.3", "2.0")

    anyio.run(run)


def test_what_does_not_work_out_leaves_nothing_behind(cli, folder: Path, options: list[str]) -> None:
    other = cli("env", "create", "three", "--for", "acme-two", *options, "--no-deps")
    assert other.code == 1
    assert "declares no plugin of that name, but 'two'" in other.err
    assert not (folder / "plughost.toml").exists()
    assert list((folder / ".venvs").iterdir()) == []


def test_an_environment_somebody_else_made_is_used_and_left_alone(cli, folder: Path, configure) -> None:
    configure('[plugins.x]\nisolation = "process"\nenvironment = "mine"\n[plugins.x.config]\na = 1\n')
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "mine")], check=True)
    listed = cli("env", "list", "--json")
    assert (listed.code, "has no plughost in it" in listed.document["environments"][0]["problem"]) == (
        3,
        True,
    )
    assert "has no plughost in it" in cli("doctor").out
    assert "was not made by `plughost env create`" in cli("env", "upgrade", "x").err
    removed = cli("env", "remove", "x", "--json")
    assert (removed.document["deleted"], (folder / "mine" / "pyvenv.cfg").is_file()) == (False, True)
    left = tomllib.loads((folder / "plughost.toml").read_text())
    assert left == {"plugins": {"x": {"config": {"a": 1}}}}


@pytest.mark.parametrize("command", [("create", "x", "--for", "y"), ("upgrade", "y"), ("remove", "y")])
def test_what_is_there_or_is_not_there_is_said_before_anything_is_done(
    command: tuple[str, ...], cli, folder
) -> None:
    (folder / ".venvs" / "x").mkdir(parents=True)
    ran = cli("env", *command)
    assert ran.code == 1
    assert ("is there already" if "create" in command else "no plugin 'y' has an environment") in ran.err


def test_the_link_turns_in_one_step_and_only_the_last_folder_is_kept_beside_the_current(
    tmp_path: Path,
) -> None:
    place = EnvironmentPlace(tmp_path / "envs" / "x")
    seen = []
    for _ in range(4):
        with place.new_folder(EnvironmentNote(plugin="x", requirement="acme-x")) as folder:
            assert place.current == (seen[-1] if seen else None)
        place.point_to(folder)
        seen.append(folder)
        assert place.current == folder
        assert [one.is_dir() for one in seen] == [*[False] * (len(seen) - 2), *[True] * min(len(seen), 2)]
    assert place.note() == EnvironmentNote(plugin="x", requirement="acme-x")


def test_a_folder_that_could_not_be_filled_is_gone_and_the_link_where_it_was(tmp_path: Path) -> None:
    place = EnvironmentPlace(tmp_path / "x")
    with pytest.raises(FileNotFoundError), place.new_folder(EnvironmentNote(plugin="x")) as folder:
        (folder / "half" / "full").mkdir()
    assert list(tmp_path.iterdir()) == []


def test_a_link_that_points_elsewhere_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "x").symlink_to("elsewhere")
    assert EnvironmentPlace(tmp_path / "x").current is None


@pytest.mark.parametrize(
    ("given", "noted", "next_time"),
    [
        ("acme-x", "acme-x", "acme-x"),
        ("acme-x==1.2", "acme-x==1.2", "acme-x"),
        ("acme_x[text] >=1,<2", "acme_x[text]<2,>=1", "acme_x[text]<2,>=1"),
        ("acme-x==1.*", "acme-x==1.*", "acme-x==1.*"),
        ("acme-x @ https://u:secret@example.org/x.whl", "", ""),
        ("./acme_x-1-py3-none-any.whl", "", ""),
    ],
)
def test_what_was_asked_for_is_noted_without_secrets_and_asked_for_again_without_the_pin(
    given: str, noted: str, next_time: str
) -> None:
    assert named(given) == noted
    assert (unpinned(noted) if noted else "") == next_time
