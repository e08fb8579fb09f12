"""`plughost serve --workers 3` is a fleet of three, as the page about many hosts shows it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from docs_blocks import blocks
from plughost.contracts import View
from plughost.plugins.fleet.cards import decode_card
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from servers import end

PAGE = Path(__file__).parents[3] / "docs/how-to/run-many-hosts.md"
PATIENCE = 100.0


class Fleet:
    """The page's host, served by several processes."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")}
        self.environ |= {"PYTHONPATH": str(folder), "PLUGHOST_LOAD_PLUGINS": "fleet,ticker"}
        self.environ["PLUGHOST_PLUGINS__FLEET__CONFIG__INTERVAL"] = "0.5"
        for block in blocks(PAGE.read_text("utf-8")):
            if block.caption in ("plughost.toml", "ticker.py"):
                (folder / block.caption).write_text(block.code)
        with (folder / "err").open("w") as err:
            self.process = subprocess.Popen(
                [
                    sys.executable, "-m", "plughost", "serve", "--workers", str(workers), "--port", "0",
                    "--drain-notice", "0",
                ],
                cwd=folder, env=self.environ, stdout=subprocess.DEVNULL, stderr=err,
            )  # fmt: skip

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "plughost", *words],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("fleet", "status", "--json").stdout)
        return found

    def view(self) -> View:
        """Read the store as the command does, without waiting for a process to start."""

        async def look() -> View:
            store = SqliteFleetStore(self.folder / "data/fleet/fleet.db")
            await store.open()
            try:
                return await store.view()
            finally:
                await store.close()

        return anyio.run(look)

    def until(self, condition: Callable[[View], bool]) -> View:
        deadline = time.monotonic() + PATIENCE
        view = None
        while time.monotonic() < deadline and self.process.poll() is None:
            if (self.folder / "data/fleet/fleet.db").exists() and condition(view := self.view()):
                return view
            time.sleep(0.1)
        pytest.fail(f"it did not come to that: {view}\n{(self.folder / 'err').read_text()}")

    def counted(self) -> list[tuple[float, int]]:
        lines = (line.split() for line in (self.folder / "counted").read_text().splitlines())
        return [(float(slot), int(token)) for slot, token in lines]


@pytest.fixture
def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Fleet]:
    served = Fleet(tmp_path, getattr(request, "param", 3))
    try:
        yield served
    finally:
        end(served.process)


def living(view: View) -> dict[str, int]:
    return {one.member: one.incarnation for one in view.members if one.lives(view.now)}


def starts(view: View) -> int:
    return sum(job.starts for job in view.jobs)


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
    ended = len(fleet.counted())
    assert fleet.view().jobs[0].state == "done"
    assert len(fleet.counted()) == ended


def states_of(view: View, plugin: str) -> list[str]:
    cards = [decode_card(one.card) for one in view.members if one.lives(view.now)]
    return [one.state for card in cards for one in card.plugins if one.name == plugin]


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
    before = starts(fleet.view())
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


def pid_of(view: View, name: str) -> int:
    return next(decode_card(one.card).pid for one in view.members if one.member == name)


def check_that_nothing_doubled(fleet: Fleet) -> None:
    slots, tokens = zip(*fleet.counted(), strict=True)
    assert [slot for slot, count in Counter(slots).items() if count > 1] == []
    assert len(set(tokens)) == len(tokens)
