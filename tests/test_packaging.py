"""The wheel holds what it should, and a base install of it works with its declared dependencies alone."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network: the backend is in the test extra."""
    target = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(target)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert built.returncode == 0, built.stderr
    (found,) = target.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def read(wheel: Path, ending: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(ending)]
        return archive.read(name).decode()


def test_the_wheel_holds_every_source_file_and_nothing_else(names: set[str]) -> None:
    source = ROOT / "src"
    files = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "plughost/py.typed" in files
    assert {name for name in names if ".dist-info/" not in name} == files


def test_the_metadata_say_licence_python_and_commands(wheel: Path) -> None:
    metadata = HeaderParser().parsestr(read(wheel, ".dist-info/METADATA"))
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "plughost = plughost.cli:main" in read(wheel, ".dist-info/entry_points.txt")


OURS = {
    name: tomllib.loads(
        (ROOT / "src" / reference.partition(":")[0].replace(".", "/") / "plugin.toml").read_text("utf-8")
    )
    for name, reference in PROJECT["entry-points"]["plughost.plugins"].items()
}
"""First-party plugins with their cards."""


def test_every_plugin_of_ours_has_a_card_that_names_its_extras() -> None:
    for name, card in OURS.items():
        assert card["description"], name
        assert set(card.get("extras", {})) <= set(PROJECT["optional-dependencies"]), name


def test_the_test_extra_is_the_test_group() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]
    assert groups["test"] == ["plughost[test-all]"]


class BaseInstall:
    """plughost and its declared dependencies, and nothing else that is installed here."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        zipfile.ZipFile(wheel).extractall(self.site)
        for distribution in closure(PROJECT["dependencies"]):
            link(distribution, self.site)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command line without the site packages of this environment."""
        code = f"import sys; sys.path.append({str(self.site)!r}); from plughost.cli import main; main()"
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}
        environ["XDG_DATA_HOME"] = str(self.folder / "data")
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", code, *arguments],
            cwd=self.folder, env=environ, capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip


def closure(requirements: list[str]) -> Iterator[importlib.metadata.Distribution]:
    """The distributions that pip would install, each once."""
    waiting, seen = list(requirements), set()
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.name in seen or not (
            requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        ):
            continue
        seen.add(requirement.name)
        distribution = importlib.metadata.distribution(requirement.name)
        waiting += distribution.requires or []
        yield distribution


def link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    tops = {file.parts[0] for file in distribution.files or [] if file.parts[0] not in {"..", "__pycache__"}}
    for top in tops:
        target = Path(str(distribution.locate_file(top)))
        if not (site / top).exists():
            (site / top).symlink_to(target)


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> BaseInstall:
    return BaseInstall(wheel, tmp_path_factory.mktemp("base"))


def test_a_base_install_starts_a_host_and_skips_what_needs_more(base: BaseInstall) -> None:
    ran = base.run("run", "--once", "--json")
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["ready"] is True
    skipped = {row["name"]: row["reason"] for row in report["skipped"]}
    need_more = {name for name, card in OURS.items() if card.get("extras")}
    assert set(skipped) == need_more
    assert set(report["loaded"]) == OURS.keys() - need_more
    assert all("pip install 'plughost[" in skipped[name] for name in need_more), skipped


@pytest.mark.parametrize(
    "command",
    [
        *[("list",), ("hooks",), ("check",), ("doctor",), ("profile",), ("version",), ("--help",)],
        *[("config", "show"), ("config", "schema"), ("config", "check"), ("info", "database")],
    ],
    ids=" ".join,
)
def test_a_command_works_in_a_base_install(command: tuple[str, ...], base: BaseInstall) -> None:
    ran = base.run(*command)
    assert ran.returncode == 0, ran.stdout + ran.stderr
