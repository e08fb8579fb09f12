"""Each example is a distribution: it installs, passes its own tests, and a host loads it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from conftest import EXAMPLES_BEYOND_A_LAPTOP

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted(manifest.parent for manifest in (ROOT / "example_plugins").glob("*/pyproject.toml"))
NEEDED = {"plughost-hello", "plughost-monitoring"}


@dataclass(frozen=True, slots=True)
class Installed:
    """An example in a folder of its own on the import path."""

    source: Path
    site: Path
    paths: tuple[Path, ...] = ()

    def run(self, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a Python module beside it, with an environment that says nothing of plughost."""
        environ = {key: value for key, value in os.environ.items() if not key.startswith("PLUGHOST_")}
        environ |= {
            "PYTHONPATH": os.pathsep.join(map(str, (self.site, *self.paths))),
            "XDG_DATA_HOME": str(folder / "data"),
        }
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=400,
        )  # fmt: skip


def manifest_of(source: Path) -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]
    return project


def plugins_of(source: Path) -> set[str]:
    points = manifest_of(source).get("entry-points", {})
    assert isinstance(points, dict)
    return set(points.get("plughost.plugins", ()))


def siblings_in(requirements: object) -> list[Path]:
    """Return the examples that are among requirements."""
    assert isinstance(requirements, list)
    names = {re.split(r"[^A-Za-z0-9_-]", requirement)[0] for requirement in requirements}
    return [example for example in EXAMPLES if example.name in names]


def with_siblings(source: Path) -> list[Path]:
    """Return an example and those of the others that it depends on."""
    siblings = siblings_in(manifest_of(source).get("dependencies", []))
    return list(dict.fromkeys([source, *(path for sibling in siblings for path in with_siblings(sibling))]))


def for_tests_of(source: Path) -> list[Path]:
    """Return those of the others that only its tests need, with all that these depend on."""
    extras = manifest_of(source).get("optional-dependencies", {})
    assert isinstance(extras, dict)
    needed = [path for sibling in siblings_in(extras.get("test", [])) for path in with_siblings(sibling)]
    return [path for path in dict.fromkeys(needed) if path not in with_siblings(source)]


def install(sources: list[Path], site: Path) -> None:
    """Install without a network: what they need beyond plughost and one another is in the test extra."""
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
        *("--no-build-isolation", "--no-index", "--target", str(site), *map(str, sources)),
    ]
    installed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert installed.returncode == 0, installed.stderr


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda source: source.name)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install it with the siblings that it depends on."""
    site = tmp_path_factory.mktemp("site")
    install(with_siblings(request.param), site)
    return Installed(request.param, site)


def test_there_are_examples() -> None:
    assert {source.name for source in EXAMPLES} >= NEEDED


@pytest.mark.parametrize("source", EXAMPLES, ids=lambda source: source.name)
def test_whoever_installs_its_test_extra_can_run_its_tests_on_both_event_loops(source: Path) -> None:
    extras = manifest_of(source)["optional-dependencies"]
    assert isinstance(extras, dict)
    assert {re.split(r"\W", one)[0] for one in extras["test"]} >= {"pytest", "trio"}


@pytest.mark.timeout(420)  # those of the media suite take half a minute each on a machine of their own
def test_its_own_tests_pass(example: Installed, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    beyond = EXAMPLES_BEYOND_A_LAPTOP if request.config.getoption("--laptop") else ()
    left_out = [f"--ignore={ROOT / 'example_plugins' / file}" for file in beyond]
    run_own_tests(example, tmp_path, *left_out)


@pytest.mark.soak
def test_its_own_long_tests_pass(example: Installed, tmp_path: Path) -> None:
    if "soak" in (example.source / "pyproject.toml").read_text("utf-8"):
        run_own_tests(example, tmp_path, "-m", "soak")


def run_own_tests(example: Installed, tmp_path: Path, *options: str) -> None:
    others = for_tests_of(example.source)
    if others:
        install(others, tmp_path / "others")
    ran = replace(example, paths=(tmp_path / "others",)).run(
        *("pytest", "-q", "-p", "no:asyncio", "-p", "no:cacheprovider", "--rootdir", str(example.source)),
        *("-c", str(example.source / "pyproject.toml"), str(example.source / "tests"), *options),
        folder=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


def test_a_host_finds_it_and_it_becomes_ready(example: Installed, tmp_path: Path) -> None:
    ran = example.run("plughost", "run", "--once", "--json", folder=tmp_path)
    report = json.loads(ran.stdout)
    states = {row["name"]: (row["state"], row["reason"]) for row in report["plugins"]}
    wanted = plugins_of(example.source)
    assert wanted <= set(report["loaded"]), {name: states.get(name) for name in wanted}
    versions = {row["name"]: row["version"] for row in report["plugins"]}
    assert all(versions[name] == manifest_of(example.source)["version"] for name in wanted)


def test_it_passes_the_checks_for_authors(example: Installed, tmp_path: Path) -> None:
    for name in plugins_of(example.source):
        ran = example.run("plughost", "check", name, "--strict", folder=tmp_path)
        assert ran.returncode == 0, ran.stdout


def test_their_types_hold(tmp_path: Path) -> None:
    """All in one run: the time goes into reading plughost. What one of them imports undeclared, the checks find."""
    ran = Installed(ROOT, tmp_path).run(
        *("mypy", "--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'examples'}"),
        *(str(example / "src") for example in EXAMPLES),
        folder=tmp_path,
    )
    assert ran.returncode == 0, ran.stdout


def test_it_is_a_well_formed_distribution(example: Installed) -> None:
    project = manifest_of(example.source)
    assert project["license"] == "MIT"
    assert str(project["requires-python"]) == ">=3.11"
    assert (example.source / "README.md").is_file()
    assert bool(list(example.site.rglob("plugin.toml"))) == bool(plugins_of(example.source))
