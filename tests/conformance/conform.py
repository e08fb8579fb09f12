"""Runs the tests of other projects on plughost and prints what passed: ``python tests/conformance/conform.py``.

``--write`` puts the table into the documentation; names of suites run these alone. The exit status is 1 when a test
fails that is not accepted, or when an accepted difference is none any more.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from peers import SUITES, PeerSuite
from sdists import sdist

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "explanation" / "conformance.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"


@dataclass(slots=True)
class Outcome:
    """What a suite did.

    Attributes:
        suite: The suite.
        passed: How many tests passed.
        differences: Failed tests that are accepted, by the entry of the list.
        wrong: What must not be: failures nobody accepted, and accepted differences that are none.
    """

    suite: PeerSuite
    passed: int = 0
    differences: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def tests(self) -> int:
        """How many tests were run."""
        return self.passed + sum(self.differences.values()) + len(self.wrong)

    def accepts(self, name: str) -> str | None:
        """Return the entry of the list by which a test may fail."""
        return next((part for part in self.suite.accepted if part in f"{name}$"), None)

    def take(self, name: str, failed: bool) -> None:
        """Count one test."""
        if not failed:
            self.passed += 1
        elif (reason := self.accepts(name)) is not None:
            self.differences[reason] = self.differences.get(reason, 0) + 1
        else:
            self.wrong.append(f"{name} failed")

    def close(self) -> Outcome:
        """Look for accepted differences that did not show."""
        self.wrong += [
            f"{part}: accepted, and passes" for part in self.suite.accepted if part not in self.differences
        ]
        return self


def run(suite: PeerSuite, folder: Path) -> Outcome:
    """Run a suite under each of its hash seeds.

    Many tests of others sleep for milliseconds. What failed and may not is run again on its own; it counts when it
    fails again.
    """
    source = sdist(suite.distribution, suite.version, folder) if suite.distribution else folder
    outcome = Outcome(suite)
    for seed in suite.seeds:
        cases = _pytest(suite, source, folder, seed)
        if any(failed and not outcome.accepts(name) for name, failed in cases.items()):
            again = _pytest(suite, source, folder, seed)
            cases = {name: failed and again.get(name, True) for name, failed in cases.items()}
        for name, failed in cases.items():
            outcome.take(name, failed)
        if not cases:
            outcome.wrong.append("no test ran")
    return outcome.close()


def _pytest(suite: PeerSuite, source: Path, folder: Path, seed: int) -> dict[str, bool]:
    """Return each test of the suite and whether it failed."""
    report = folder / f"{suite.adapter}-{seed}.xml"
    report.unlink(missing_ok=True)
    path = [str(source / part) for part in suite.paths] if suite.distribution else []
    environ = os.environ | {
        "PYTHONPATH": os.pathsep.join([*path, str(HERE)]), "PYTHONHASHSEED": str(seed),
    }  # fmt: skip
    command = [
        sys.executable, "-m", "pytest", "-q", "--tb=short", "-c", os.devnull, "--rootdir", str(folder),
        "--noconftest", "-p", "no:cacheprovider", "-p", "no:plughost", "-p", "no:warnings",
        "--import-mode=importlib", "-o", "junit_family=xunit1", f"--junitxml={report}",
        str(HERE / "adapters" / suite.adapter),
    ]  # fmt: skip
    ran = subprocess.run(
        command, cwd=source, env=environ, capture_output=True, text=True, check=False, timeout=900
    )
    cases = dict(_cases(report)) if report.is_file() else {}
    if os.environ.get("CONFORM_VERBOSE") or not cases:
        print(ran.stdout[-20_000:], ran.stderr[-2000:])
    return cases


def _cases(report: Path) -> Iterator[tuple[str, bool]]:
    """Yield each test and whether it failed; what was skipped says nothing of us."""
    for case in ET.parse(report).iter("testcase"):  # noqa: S314  written by the run above
        if case.find("skipped") is None:
            name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name', '')}"
            yield name, case.find("failure") is not None or case.find("error") is not None


def table(outcomes: Iterable[Outcome]) -> str:
    """Return the table, and below it each difference and its reason."""
    rows = ["| suite | of | stands in | tests | passed | accepted differences |", "|---|---|---|---|---|---|"]
    reasons: list[str] = []
    for outcome in outcomes:
        suite = outcome.suite
        of = f"{suite.distribution} {suite.version}" if suite.distribution else "our own tests"
        figures = (outcome.tests, outcome.passed, sum(outcome.differences.values()))
        rows.append(f"| {suite.name} | {of} | {suite.part} | {' | '.join(map(str, figures))} |")
        if suite.accepted or suite.note:
            reasons += ["", f"**{suite.name}**" + (f": {suite.note}" if suite.note else ""), ""]
            reasons += [
                f"- `{part}` ({outcome.differences.get(part, 0)}): {why}"
                for part, why in suite.accepted.items()
            ]
    return "\n".join([*rows, *reasons])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="suites, by a part of their name")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    parser.add_argument("--sources", type=Path, help="where sources are kept; a temporary folder by default")
    asked = parser.parse_args(arguments)
    folder = asked.sources or Path(tempfile.mkdtemp(prefix="conformance-"))
    folder.mkdir(parents=True, exist_ok=True)
    chosen = [one for one in SUITES if not asked.names or any(name in one.name for name in asked.names)]
    outcomes = [run(suite, folder) for suite in chosen]
    text = table(outcomes)
    print(text)
    for outcome in outcomes:
        for line in outcome.wrong:
            print(f"WRONG {outcome.suite.name}: {line}", file=sys.stderr)
    if asked.write and len(chosen) == len(SUITES):
        before, rest = PAGE.read_text("utf-8").split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")
    return int(any(outcome.wrong for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
