"""The examples as one set: one layout, small, and what a good plugin is."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from .rendered_plugins import run

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted(manifest.parent for manifest in (ROOT / "example_plugins").glob("*/pyproject.toml"))
PROMISED = {"access-control", "accounts", "audit", "backup", "hello", "monitoring", "query-cache"}
MOST_LINES = 300

SUITE = {"dashboard", "images", "media", "plex", "tmdb", "upstream", "vault"}
"""Parts of the media suite, which is a product and no example to read at one go: there each file is small."""

PLUGINS = [
    example for example in EXAMPLES if "plughost.plugins" in (example / "pyproject.toml").read_text("utf-8")
]
"""Those that are plugins; a distribution with a store has none."""

each_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


def package_of(example: Path) -> Path:
    (package,) = (folder for folder in (example / "src").iterdir() if (folder / "__init__.py").is_file())
    return package


def test_all_that_were_promised_are_there() -> None:
    assert {example.name.removeprefix("plughost-") for example in EXAMPLES} >= PROMISED


@each_example
def test_an_example_has_the_layout_of_all(example: Path) -> None:
    package = package_of(example)
    assert package.name == example.name.replace("-", "_")
    assert {"py.typed", "__init__.py"} <= {path.name for path in package.iterdir()}
    assert (package / "plugin.toml").is_file() is (example in PLUGINS)
    parts = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "src", "tests"}
    found = {path.name for path in example.iterdir() if not path.name.startswith(".")}
    assert found - {"compose.yaml"} == parts
    assert {path.name for path in (example / "tests").glob("test_*.py")} >= {"test_contract.py"}


@each_example
def test_an_example_is_small(example: Path) -> None:
    lines = [lines_of_code(file) for file in package_of(example).rglob("*.py")]
    of_suite = example.name.removeprefix("plughost-") in SUITE
    assert (max(lines) if of_suite else sum(lines)) < MOST_LINES


def lines_of_code(file: Path) -> int:
    """Lines that are neither blank, nor comments, nor docstrings."""
    text = file.read_text("utf-8")
    told = {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(text.splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.strip().startswith("#") and number not in told
        for number, line in lines
    )


@pytest.mark.parametrize("example", PLUGINS, ids=lambda example: example.name)
def test_an_example_is_gold(example: Path, tmp_path: Path) -> None:
    others = [str(other / "src") for other in EXAMPLES if other.name.removeprefix("plughost-") in SUITE]
    site = Path(os.pathsep.join(others))  # the parts of the suite import one another's protocols
    ran = run("plughost", "check", str(example), "--strict", "--json", folder=tmp_path, site=site)
    for plugin in json.loads(ran.stdout)["plugins"]:
        assert (plugin["grade"], plugin["missing"]) == ("gold", [])


@each_example
def test_an_example_is_in_the_gallery(example: Path) -> None:
    gallery = (ROOT / "docs" / "gallery.md").read_text("utf-8")
    assert f"## {example.name}\n" in gallery
