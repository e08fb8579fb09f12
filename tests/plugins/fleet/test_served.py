"""`plughost serve --workers 3` is a fleet of three, as the page about many hosts shows it."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fleet_processes import (
    Condition,
    Machine,
    check_that_nothing_doubled,
    living,
    pages_files,
    pid_of,
    starts,
    states_of,
    until,
    view_of,
)
from plughost.contracts import View
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore


class Fleet(Machine):
    """The page's host, served by several processes of one machine."""

    def __init__(self, folder: Path, workers: int) -> None:
        environ = {**pages_files(folder), "PLUGHOST_LOAD_PLUGINS": "fleet,ticker"}
        super().__init__(folder, environ, ["serve", "--workers", str(workers)])

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("fleet", "status", "--json").stdout)
        return found

    def view(self) -> View | None:
        path = self.folder / "data/fleet/fleet.db"
        return view_of(SqliteFleetStore(path)) if path.exists() else None

    def until(self, condition: Condition) -> View:
        return until(self.view, condition, [self])


@pytest.fixture
def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    served = Fleet(tmp_path, getattr(request, "param", 3))
    try:
        yield served
    finally:
        served.end()


@pytest.mark.timeout(400)
def test_three_workers_run_each_slot_once_and_one_that_is_killed_is_replaced(fleet: Fleet) -> None:
    fleet.until(lambda view: len(living(view)) == 3 and starts(view) >= 2)
    found = fleet.status()
    assert found["store"] == "sqlite"
    assert {member["worker"] for member in found["members"]} == {0, 1, 2}
    victim = next(member for member in found["members"] if member["id"] == found["jobs"][0]["member"])
    os.kill(victim["pid"], signal.SIGKILL)

    view = fleet.until(
        lambda view: len(living(view)) == 3 and living(view)[victim["id"]] > victim["incarnation"]
    )
    before = starts(view)
    fleet.until(lambda view: starts(view) >= before + 2)
    check_that_nothing_doubled(fleet)

    done = fleet.command("fleet", "disable", "ticker", "--now", "--json")
    rollout = json.loads(done.stdout)
    assert (list(rollout["results"].values()), rollout["state"]) == (["applied"] * 3, "done")
    assert (done.returncode, done.stderr) == (0, "")
    fleet.until(lambda view: states_of(view, "ticker") == ["disabled"] * 3)
    ended = len(fleet.counted)
    assert fleet.until(lambda view: True).jobs[0].state == "done"
    assert len(fleet.counted) == ended


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fleet", [8], indirect=True)
@pytest.mark.parametrize("seed", range(3))
def test_eight_workers_run_each_slot_once_however_often_one_is_killed_or_stopped(
    fleet: Fleet, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes it repeatable
    for _ in range(20):
        view = fleet.until(lambda view: len(living(view)) == 8)
        if chance.random() < 0.5:
            name = chance.choice(sorted(living(view)))
            os.kill(pid_of(view, name), signal.SIGKILL)
            fleet.until(partial(is_another, name, living(view)[name]))
        else:
            stop_until_lost(fleet, view)
    before = starts(fleet.until(lambda view: True))
    fleet.until(lambda view: starts(view) >= before + 5)
    check_that_nothing_doubled(fleet)


def is_another(name: str, was: int, view: View) -> bool:
    return living(view).get(name) != was


def stop_until_lost(fleet: Fleet, view: View) -> None:
    """Have one worker sleep for longer than it may, and see it come back as another incarnation."""
    name = sorted(living(view))[-1]
    pid, before = pid_of(view, name), living(view)[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        fleet.until(lambda view: name not in living(view))
    finally:
        os.kill(pid, signal.SIGCONT)
    fleet.until(lambda view: living(view).get(name, 0) > before)
