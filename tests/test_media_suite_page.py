"""What the page about the media suite says of its tests and its size is so."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "media-suite.md").read_text("utf-8")
PLACES = (ROOT / "example_plugins", ROOT / "tests")


def rows_of(heading: str) -> list[list[str]]:
    """Return the cells of the tables that have this heading."""
    tables = re.findall(rf"^{re.escape(heading)}\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [line.strip("| ").split(" | ") for table in tables for line in table.splitlines()]


@cache
def found_in(named: str) -> set[str]:
    """Return the tests of the files that are called so from one of the places, by their whole path or its end."""
    files = [path for place in PLACES for path in place.rglob(named)]
    return {name for path in files for name in re.findall(r"def (test_\w+)\(", path.read_text("utf-8"))}


@pytest.mark.parametrize("row", rows_of("| row | proved by |"), ids=lambda row: row[0])
def test_each_row_of_the_guides_names_tests_that_are_in_their_files(row: list[str]) -> None:
    _, proof = row
    files = re.split(r"`([\w/-]+\.py)`", proof)
    assert files[0] == "", "a row begins with the file that its tests are in"
    for named, text in zip(files[1::2], files[2::2], strict=True):
        tests = set(re.findall(r"`(test_\w+)`", text))
        assert tests, f"no test of {named} is named"
        assert tests <= found_in(named), named


def test_both_guides_are_there() -> None:
    assert len(rows_of("| row | proved by |")) > 60


def test_each_door_that_plughost_was_asked_for_has_a_test_of_its_own() -> None:
    homes = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "src/plughost/testing/suites").glob("*.py")]
    known = set(re.findall(r"def (test_\w+)\(", "\n".join(path.read_text("utf-8") for path in homes)))
    rows = rows_of("| what the suite could not do | the door | its test |")
    assert len(rows) > 5
    for wanted, _, proof in rows:
        tests = set(re.findall(r"`(test_\w+)`", proof))
        assert tests, wanted
        assert tests <= known, wanted


def test_its_distributions_are_about_as_long_as_it_says() -> None:
    told = rows_of("| distribution | code | tests |")
    assert len(told) == 7
    for name, code, tests in told:
        home = ROOT / "example_plugins" / name
        for lines, paths in ((code, home.glob("src/**/*.py")), (tests, home.glob("tests/*.py"))):
            counted = sum(len(path.read_text("utf-8").splitlines()) for path in paths)
            assert abs(counted - int(lines)) <= counted / 10, (name, counted)
