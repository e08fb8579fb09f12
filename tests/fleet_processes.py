"""Machines of a fleet as processes: a `plughost serve` in a folder of its own each, and what their store says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import anyio
import pytest

from docs_blocks import blocks
from plughost.contracts import FleetStore, View
from plughost.plugins.fleet.cards import decode_card
from servers import end

PAGE = Path(__file__).parents[1] / "docs/how-to/run-many-hosts.md"
PATIENCE = 100.0

Condition = Callable[[View], bool]


def pages_files(folder: Path) -> Mapping[str, str]:
    """Write the files that the page about many hosts shows; returns the variables by which they are found."""
    for block in blocks(PAGE.read_text("utf-8")):
        if block.caption in ("plughost.toml", "ticker.py"):
            (folder / block.caption).write_text(block.code)
    return {"PYTHONPATH": str(folder), "PLUGHOST_PLUGINS__FLEET__CONFIG__INTERVAL": "0.5"}


class Running(Protocol):
    """Processes of which it can be told whether they go on, and that write what goes wrong into a file ``err``."""

    folder: Path

    @property
    def is_well(self) -> bool:
        """Whether they run, as far as they are to."""


class Machine:
    """A `plughost serve` with its workers.

    Args:
        folder: Where it runs.
        environ: Its variables that begin with ``PLUGHOST_``, and others.
        serve: The command that serves, with its options.
        first: What is typed there before.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], serve: Sequence[str], *, first: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("PLUGHOST_")} | environ
        self._serve = serve
        if first:
            assert self.command(*first).returncode == 0
        self.start()

    def start(self) -> None:
        """Start it, for the first time or again."""
        with (self.folder / "err").open("a") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "plughost", *self._serve, "--port", "0", "--drain-notice", "0"],
                cwd=self.folder, env=self.environ, stdout=subprocess.DEVNULL, stderr=err, start_new_session=True,
            )  # fmt: skip

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command there."""
        return subprocess.run(
            [sys.executable, "-m", "plughost", *words],
            cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def pull_the_plug(self) -> None:
        """End all its processes at once, as a machine does that loses its current."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def is_well(self) -> bool:
        """Whether it runs, or its plug was pulled."""
        return self.process.poll() in (None, -signal.SIGKILL)

    def end(self) -> None:
        """End it in order."""
        if self.process.poll() is None:
            end(self.process)

    @property
    def counted(self) -> list[tuple[float, int]]:
        """Slot and token of each line that the page's ticker wrote here."""
        path = self.folder / "counted"
        lines = (line.split() for line in path.read_text().splitlines()) if path.exists() else ()
        return [(float(slot), int(token)) for slot, token in lines]


def view_of(store: FleetStore) -> View:
    """Read a store as a command does, without waiting for a process to start."""

    async def look() -> View:
        await store.open()
        try:
            return await store.view()
        finally:
            await store.close()

    return anyio.run(look)


def until(view: Callable[[], View | None], condition: Condition, processes: Sequence[Running]) -> View:
    """Return what the store says when it has come to that."""
    deadline = time.monotonic() + PATIENCE
    found = None
    while time.monotonic() < deadline and all(one.is_well for one in processes):
        if (found := view()) is not None and condition(found):
            return found
        time.sleep(0.1)
    told = "\n".join((one.folder / "err").read_text()[-4000:] for one in processes)
    pytest.fail(f"it did not come to that: {found}\n{told}")


def living(view: View) -> dict[str, int]:
    """Return the incarnation of each member that lives."""
    return {one.member: one.incarnation for one in view.members if one.lives(view.now)}


def starts(view: View) -> int:
    """Return how often jobs were started."""
    return sum(job.starts for job in view.jobs)


def states_of(view: View, plugin: str) -> list[str]:
    """Return the states of a plugin on all members that live."""
    cards = [decode_card(one.card) for one in view.members if one.lives(view.now)]
    return [one.state for card in cards for one in card.plugins if one.name == plugin]


def pid_of(view: View, name: str) -> int:
    """Return the process of a member."""
    return next(decode_card(one.card).pid for one in view.members if one.member == name)


def check_that_nothing_doubled(*machines: Machine) -> None:
    """Look at what their tickers wrote: no slot twice, no token twice."""
    slots, tokens = zip(*(line for machine in machines for line in machine.counted), strict=True)
    assert [slot for slot, count in Counter(slots).items() if count > 1] == []
    assert len(set(tokens)) == len(tokens)
