"""The written list of what tests of other projects may fail; the tests themselves run by ``tox -e conformance``."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.peers import SUITES, PeerSuite

HERE = Path(__file__).parent
PAGE = (HERE.parent.parent / "docs" / "explanation" / "conformance.md").read_text("utf-8")
PINNED = (HERE / "requirements.txt").read_text("utf-8").splitlines()

each_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)


@each_suite
def test_a_suite_has_an_adapter_and_a_pinned_version(suite: PeerSuite) -> None:
    assert (HERE / "adapters" / suite.adapter).is_file()
    if suite.distribution:
        assert f"{suite.distribution}=={suite.version}" in PINNED


@each_suite
def test_the_published_table_has_the_suite_and_each_difference_with_its_reason(suite: PeerSuite) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {suite.name} |"))
    tests, passed, differences = (int(cell) for cell in row.split("|")[-4:-1])
    assert tests == passed + differences
    assert bool(differences) == bool(suite.accepted)
    for part, reason in suite.accepted.items():
        assert f"- `{part}` (" in PAGE
        assert reason in PAGE


def test_every_adapter_belongs_to_a_suite() -> None:
    found = {path.name for path in (HERE / "adapters").glob("*.py")}
    assert found == {suite.adapter for suite in SUITES}
