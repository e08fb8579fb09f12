"""Every fault in every phase, confined and not: callers are told, neighbours go on, and nothing is left behind."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from process_fault_tables import backend_of, documented
from process_faults import (
    CELLS,
    DIES,
    FAILS,
    FAULTS,
    HANGS,
    HELD_BY_WAITING,
    MOST_HELD,
    ODD_ANSWERS,
    OF_OTHERS,
    PATIENT,
    PHASES,
    try_calmly,
)

pytestmark = [pytest.mark.anyio, pytest.mark.matrix(one_in=70), pytest.mark.timeout(300)]

TOLD = {
    "dies": {"hook": {"error"}, "job": {"failed"}, "route": {"503"}},
    "hangs": {"hook": {"timed_out"}, "job": {"failed"}, "route": {"503"}},
    "fails": {"hook": {"error"}, "job": {"failed"}, "route": {"500"}},
    "goes on": {"hook": {"value"}, "job": {"ran"}, "route": {"200"}},
}
"""What becomes of a fault -> phase -> what its caller is told."""

SLOW = {"hook": {"timed_out"}, "job": {"failed"}, "route": {"503"}}
"""What it is told when the machine is too busy for a fault that takes its time."""


def kind_of(phase: str, fault: str, confined: bool) -> str:
    """What becomes of a fault."""
    if fault in DIES:
        return "dies"
    if fault in HANGS or (fault in PATIENT and phase != "import"):
        return "hangs"
    if fault in FAILS or (fault in ODD_ANSWERS and phase in ("hook", "job", "route")):
        return "fails"
    if fault in OF_OTHERS and confined and phase != "import":  # it is confined once it is imported
        return "fails"
    return "goes on"


def may_be_told(phase: str, fault: str, confined: bool) -> set[str]:
    """What its caller may be told of a fault."""
    kind = kind_of(phase, fault, confined)
    if phase == "stop":
        return {"stopped"}
    if phase in ("import", "start"):
        # Its birth is told by the template, which it may kill before that.
        too_soon = {"failed"} if (phase, fault) == ("import", "kill the template") else set()
        return {"ready" if kind == "goes on" else "failed"} | too_soon
    slow = SLOW[phase] if fault in ("bomb", "big answer") else set()
    streamed = {"200"} if (phase, fault) == ("route", "big answer") else set()
    return TOLD[kind][phase] | slow | streamed


@pytest.fixture
def anyio_backend(phase: str, fault: str, confined: bool) -> str:
    """Half of the cells on one event loop, half on the other."""
    return backend_of((phase, fault, confined))


@pytest.mark.parametrize(("phase", "fault", "confined"), CELLS)
async def test_a_fault_is_told_and_stays_where_it_is(
    pytestconfig: pytest.Config, tmp_path: Path, phase: str, fault: str, confined: bool
) -> None:
    most_held = MOST_HELD if pytestconfig.getoption("--whole") else HELD_BY_WAITING
    row = await try_calmly(tmp_path, phase, fault, confined=confined, most_held=most_held)
    kind = kind_of(phase, fault, confined)
    assert row.neighbour > 0
    assert row.outcome in may_be_told(phase, fault, confined)
    if kind == "dies":
        assert DIES[fault] in row.cause
    if kind == "hangs" and fault in HANGS and phase != "stop":
        assert "limit" in row.cause
    if kind == "goes on" and phase != "stop" and row.outcome != "failed":
        assert row.cause == ""
    assert row.held <= most_held


def test_the_documentation_says_of_every_fault_in_every_phase_what_it_must_come_to() -> None:
    said = {cell: told for cell, told, _ in documented()}
    assert [*said] == [*itertools.product(PHASES, FAULTS, (False, True))]
    assert {cell: told for cell, told in said.items() if told not in may_be_told(*cell)} == {}


def test_no_fault_of_the_documentation_held_the_loop_longer_than_it_may() -> None:
    assert {cell: held for cell, _, held in documented() if held > MOST_HELD} == {}
