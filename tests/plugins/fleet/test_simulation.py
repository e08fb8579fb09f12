"""What must hold of a fleet holds under misfortune; and each fault that is planted is found."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("fleet_simulation", Path(__file__).with_name("simulation.py"))
assert _spec is not None
assert _spec.loader is not None
simulation = sys.modules["fleet_simulation"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(simulation)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the parts run on both in tests of their own


async def live(seed: int, steps: int, **more: Any) -> Any:
    world = simulation.World(seed, **({"store": simulation.WatchedStore} | more))
    await world.run(steps)
    return world


def reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("seed", range(6))
async def test_no_slot_starts_twice_or_passes_in_silence_whatever_happens(seed: int) -> None:
    world = await live(seed, 15)
    assert world.steps > 100
    assert all(world.starts[f"world:{name}"] for name in simulation.JOBS)


@pytest.mark.parametrize(("what", "planted", "found"), simulation.PLANTED)
async def test_a_planted_fault_is_found(what: str, planted: dict[str, Any], found: str) -> None:
    for seed in range(12):
        try:
            await live(seed, 15, **planted)
        except BaseException as error:
            if found in reason(error):
                return
            if not reason(error).startswith("Violated"):
                raise
    pytest.fail(f"nobody noticed that {what}")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
async def test_no_slot_starts_twice_or_passes_in_silence_for_long(seed: int) -> None:
    await live(seed, 120, members=5, trouble=0.2)
