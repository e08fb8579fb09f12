"""Runs contract suites over parts with planted faults, all in one process of their own, and says what failed."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

GOOD = "Good"
"""Name of the case without a fault: all tests of the suite are run for it."""

Faults = Mapping[str, tuple[str, str]]
"""Name of a case -> the test that must find it, and the source of what is wrong."""


def failures(folder: Path, text: str, faults: Faults, suffix: str = "") -> dict[str, set[str]]:
    """Return name of each case -> the tests that failed for it.

    Args:
        folder: Where the file is written.
        text: The file: a class ``TestNAME`` for each case.
        faults: The cases; for each the one test is run that must find it.
        suffix: What a test's name ends in, such as ``[asyncio]``, to run it on one event loop.
    """
    (folder / "test_cases.py").write_text(text, encoding="utf-8")
    report = folder / "report.xml"
    chosen = [f"test_cases.py::Test{name}::{test}{suffix}" for name, (test, _) in faults.items()]
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder),
        f"--junitxml={report}", f"test_cases.py::Test{GOOD}", *chosen,
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=115)
    assert ran.returncode == 1, ran.stdout + ran.stderr
    found: dict[str, set[str]] = {name: set() for name in (GOOD, *faults)}
    for case, test in _failed(report):
        found[case].add(test)
    return found


def _failed(report: Path) -> Iterator[tuple[str, str]]:
    for case in _cases(report):
        if case.find("failure") is not None or case.find("error") is not None:
            name = case.get("classname", "").rpartition(".")[2].removeprefix("Test")
            yield name, case.get("name", "").partition("[")[0]


def _cases(report: Path) -> Iterable[ET.Element]:
    return ET.parse(report).iter("testcase")  # noqa: S314  written by the run above
