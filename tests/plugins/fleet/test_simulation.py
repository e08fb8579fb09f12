"""What must hold of a fleet holds under misfortune; and each fault that is planted is found."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fleet_engines import Engine
from fleet_engines import engine as running_engine
from plughost.core.jobs import JobScheduler


def loaded(name: str, file: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(file))
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


simulation = loaded("fleet_simulation", "simulation.py")
rolling = loaded("fleet_rolling_simulation", "rolling_simulation.py")

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the parts run on both in tests of their own


ENGINES = ("memory", "sqlite", "valkey")


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running_engine(request.param) as running:
        yield running


async def live(seed: int, steps: int, **more: Any) -> Any:
    world = simulation.World(seed, **({"store": simulation.WatchedStore} | more))
    await world.run(steps)
    return world


def reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("seed", range(6))
async def test_no_slot_starts_twice_or_passes_in_silence_whatever_happens(seed: int, engine: Engine) -> None:
    world = await live(seed, 15, engine=engine)
    assert world.steps > 100
    assert all(world.starts[f"world:{name}"] for name in simulation.JOBS)


@pytest.mark.parametrize(("what", "planted", "found", "first"), simulation.PLANTED)
async def test_a_planted_fault_is_found(
    what: str, planted: dict[str, Any], found: str, first: int, engine: Engine
) -> None:
    for seed in range(first, first + 60):
        try:
            await live(seed, 15, engine=engine, **planted)
        except BaseException as error:
            if found in reason(error):
                return
            if not reason(error).startswith("Violated"):
                raise
    pytest.fail(f"nobody noticed that {what}")


@pytest.mark.parametrize("gives_back", [True, False])
async def test_no_run_is_held_that_nobody_is_at_however_often_its_plugin_is_loaded_anew(
    gives_back: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not gives_back:  # planted: what was claimed for a job that is taken away is forgotten
        monkeypatch.setattr(JobScheduler, "_tell_end", lambda *_: None)
    for seed in (4, 9):  # both found it when it was so
        world = simulation.ReloadingWorld(seed, store=simulation.WatchedStore)
        try:
            await world.run(25)
        except BaseException as error:
            if gives_back or "nobody is at it" not in reason(error):
                raise
            return
    assert gives_back


NIGHT_JOBS = {
    "fixed": {"cron": "30 2 * * *"},
    "half hours": {"cron": "*/30 * * * *"},
    "within the hour": {"cron": "*/20 2 * * *"},
}


@pytest.mark.parametrize(
    ("begins", "expected"),
    [
        # There is no time from 02:00 to 03:00; 01:00 in UTC is the end of that hour.
        (
            "2025-03-30 00:40",
            {"fixed": ["01:00"], "half hours": ["01:00", "01:30", "02:00"], "within the hour": []},
        ),
        # The time from 02:00 to 03:00 comes twice, at midnight and at 01:00 in UTC.
        (
            "2025-10-25 23:40",
            {
                "fixed": ["00:30"],
                "half hours": ["00:00", "00:30", "01:00", "01:30", "02:00", "02:30"],
                "within the hour": ["00:00", "00:20", "00:40", "01:00", "01:20", "01:40"],
            },
        ),
    ],
    ids=["the hour that is left out", "the hour that comes twice"],
)
async def test_each_slot_of_a_night_in_which_clocks_are_changed_starts_once(
    begins: str, expected: dict[str, list[str]], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "JOBS", NIGHT_JOBS)
    first = datetime.fromisoformat(f"{begins}+00:00").timestamp()
    monkeypatch.setattr(simulation.NightWorld, "begins", first)
    world = simulation.NightWorld(0, store=simulation.WatchedStore, engine=engine, members=2, trouble=0.0)
    hours = 3 if expected["within the hour"] else 1.5
    await world.sleep_through(hours * 3600)
    found = {
        name: [f"{datetime.fromtimestamp(slot, UTC):%H:%M}" for slot, _ in world.starts[f"world:{name}"]]
        for name in NIGHT_JOBS
    }
    assert found == expected


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1200))
async def test_no_slot_starts_twice_or_passes_in_silence_for_long(seed: int) -> None:
    with running_engine(ENGINES[seed % len(ENGINES)]) as engine:
        await live(seed, 120, members=5, trouble=0.2, engine=engine)


@pytest.mark.parametrize("seed", range(4))
async def test_a_change_reaches_no_host_before_its_turn_and_all_in_the_end(seed: int, engine: Engine) -> None:
    world = rolling.World(seed, engine=engine)
    await world.run(12)
    assert "rolling" in world.store.states


async def test_the_same_seed_makes_the_same_story_and_every_engine_tells_it() -> None:
    told = []
    for name in (*ENGINES, *ENGINES):
        with running_engine(name) as engine:
            jobs = await live(5, 15, engine=engine)
            changes = rolling.World(5, engine=engine)
            await changes.run(6)
        heard = [type(event) for event in jobs.events]
        told.append(
            (jobs.starts, heard, changes.store.states, changes.store.active, changes.kinds, changes.ends)
        )
    assert [one == told[0] for one in told] == [True] * len(told)


async def test_the_seeds_together_see_every_end_of_a_roll_out() -> None:
    missing = {"done", "reverted", "paused"}
    for seed in range(4, 40):
        world = rolling.World(seed)
        await world.run(12)
        missing -= set(world.store.states)
        if not missing:
            return
    raise AssertionError(f"no seed saw {missing}")


@pytest.mark.parametrize(
    ("what", "store", "plant", "found", "first"),
    [*rolling.PLANTED, *(pytest.param(*one, marks=pytest.mark.soak) for one in rolling.PLANTED_DEEP)],
)
async def test_a_fault_planted_in_roll_outs_is_found(
    what: str,
    store: Any,
    plant: Any,
    found: str,
    first: int,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if plant is not None:
        from plughost.plugins.fleet import conducting

        monkeypatch.setattr(conducting, "advanced", plant(conducting.advanced))
    for seed in range(first, first + 60):
        try:
            await rolling.World(seed, store=store, engine=engine).run(12)
        except BaseException as error:
            if found in reason(error):
                return
            if not reason(error).startswith("Violated"):
                raise
    pytest.fail(f"nobody noticed that {what}")


@pytest.mark.parametrize("looks", [True, False])
async def test_a_change_with_which_calls_fail_reaches_one_host_as_long_as_somebody_looks(
    looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not looks:
        from plughost.plugins.fleet import conducting

        monkeypatch.setattr(conducting, "advanced", rolling.nobody_counts(conducting.advanced))
    for seed in range(30):
        world = rolling.World(seed, members=3, kinds=("failing",))
        try:
            await world.run(4)
        except BaseException as error:
            if looks or "is failing, and reached" not in reason(error):
                raise
            return
        if looks and "calls failed, elsewhere" in world.store.reasons:
            return
    pytest.fail("nobody had to look")


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1100))
async def test_a_change_reaches_no_host_before_its_turn_for_long(seed: int) -> None:
    with running_engine(ENGINES[seed % len(ENGINES)]) as engine:
        await rolling.World(seed, members=6, trouble=0.2, engine=engine).run(60)
