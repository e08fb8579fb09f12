"""What the page about the media suite says of its tests and its size is so."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "explanation" / "media-suite.md").read_text("utf-8")


def test_every_test_that_proves_a_row_exists() -> None:
    tests = [
        *(ROOT / "example_plugins").glob("plughost-*/tests/test_*.py"),
        *(ROOT / "tests").rglob("test_*.py"),
    ]
    known = set(re.findall(r"def (test_\w+)\(", "\n".join(path.read_text("utf-8") for path in tests)))
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(named) > 30
    assert named - known == set()


def test_its_distributions_are_about_as_long_as_it_says() -> None:
    told = re.findall(r"^\| (plughost-\w+) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert len(told) == 7
    for name, code, tests in told:
        home = ROOT / "example_plugins" / name
        for lines, paths in ((code, home.glob("src/**/*.py")), (tests, home.glob("tests/*.py"))):
            counted = sum(len(path.read_text("utf-8").splitlines()) for path in paths)
            assert abs(counted - int(lines)) <= counted / 5, (name, counted)
