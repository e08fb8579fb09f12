"""Every fault in every phase, confined and not: callers are told, neighbours go on, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import pytest

from process_faults import CELLS, DIES, FAILS, GOES_ON, HANGS, ODD_ANSWERS, try_fault

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
    if fault in HANGS or (fault == "swallow" and phase != "import"):
        return "hangs"
    if fault in FAILS or (fault in ODD_ANSWERS and phase in ("hook", "job", "route")):
        return "fails"
    if fault.startswith("fork") and confined and phase != "import":  # it is confined once it is imported
        return "fails"
    return "goes on"


@pytest.fixture
def anyio_backend(phase: str, fault: str, confined: bool) -> str:
    """Half of the cells on one event loop, half on the other."""
    return ("asyncio", "trio")[crc32(f"{phase} {fault} {confined}".encode()) % 2]


@pytest.mark.parametrize(("phase", "fault", "confined"), CELLS)
async def test_a_fault_is_told_and_stays_where_it_is(
    tmp_path: Path, phase: str, fault: str, confined: bool
) -> None:
    row = await try_fault(tmp_path, phase, fault, confined=confined)
    kind = kind_of(phase, fault, confined)
    assert row.neighbour > 0
    if phase == "stop":
        assert row.outcome == "stopped"
    elif phase in ("import", "start"):
        assert row.outcome == ("ready" if kind == "goes on" else "failed")
    else:
        slow = SLOW[phase] if fault in ("bomb", "big answer") else set()
        streamed = {"200"} if (phase, fault) == ("route", "big answer") else set()
        assert row.outcome in TOLD[kind][phase] | slow | streamed
    if kind == "dies":
        assert DIES[fault] in row.cause
    if kind == "hangs" and fault in HANGS and phase != "stop":
        assert "limit" in row.cause
    if kind == "goes on" and phase != "stop":
        assert row.cause == ""


def test_every_fault_of_the_plugin_is_in_the_table() -> None:
    assert set(GOES_ON) | set(DIES) | set(HANGS) | set(FAILS) | set(ODD_ANSWERS) == {
        fault for _, fault, _ in CELLS
    }
