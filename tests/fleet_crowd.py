"""Hosts of a fleet as processes that are forked from one, so that eight of them start in a moment.

``python tests/fleet_crowd.py FOLDER REDIS_URL NAME...`` runs a host of each name until it is ended, and starts one
that died again. Each has a job of the fleet, and writes slot, token and moment of every start into a file of its own.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import anyio

from fleet_processes import Condition, living, until, view_of
from plughost import Host, Plugin, PluginContext
from plughost.contracts import View, current_run
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from servers import Server

EVERY = 0.5
INTERVAL = 0.5


class Start(NamedTuple):
    """A line that a job wrote when it started."""

    slot: float
    token: int
    at: float
    member: str


class Ticker(Plugin):
    """Writes each start of its job down at once."""

    name = "ticker"

    def __init__(self, folder: Path, member: str) -> None:
        self._member = member
        self._file = os.open(folder / f"starts-{member}", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    async def start(self, context: PluginContext) -> None:
        context.every(EVERY, self.count, name="count", scope="fleet")

    async def count(self) -> None:
        run = current_run()
        assert run is not None
        os.write(self._file, f"{run.slot} {run.token} {time.time()} {self._member}\n".encode())


def settings(folder: Path, url: str, member: str) -> Mapping[str, Any]:
    """Return the configuration of one host."""
    fleet = {
        "store": "redis", "redis_url": url, "member_name": member, "interval": INTERVAL,
        "secret_file": str(folder / "secret"),
    }  # fmt: skip
    host = {"data_dir": str(folder / member), "allow": ["fleet"]}
    return {"host": host, "plugins": {"fleet": {"config": fleet}}}


async def live(folder: Path, url: str, member: str) -> None:
    """Be one host, for as long as it lasts."""
    async with Host("crowd", config=settings(folder, url, member), environ={}) as host:
        await host.load_plugin(Ticker(folder, member))
        await anyio.sleep_forever()


Living = Callable[[Path, str, str], Awaitable[None]]


def main(live: Living, folder: Path, url: str, *names: str) -> None:
    """Have one process for each name, whatever becomes of it."""
    running: dict[int, str] = {}
    waiting = list(names)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        while True:
            for name in waiting:
                if not (pid := os.fork()):
                    signal.signal(signal.SIGTERM, signal.SIG_DFL)
                    try:
                        anyio.run(live, folder, url, name)
                    finally:
                        os._exit(1)
                running[pid] = name
            waiting = [running.pop(os.waitpid(-1, 0)[0])]
    finally:
        for pid in running:
            os.kill(pid, signal.SIGKILL)


class Crowd:
    """The processes under a test's hand.

    Args:
        folder: Where they write.
        url: The address of their store.
        names: What they are called.
        prefix: What the command that starts them begins with.
        program: What each of them runs.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        names: Sequence[str],
        prefix: Sequence[str] = (),
        program: str = __file__,
    ) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text("s" * 48)
        tests = Path(__file__).parent
        with (folder / "err").open("a") as err:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, program, str(folder), url, *names], start_new_session=True,
                stderr=err, stdout=err, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(folder)])},
            )  # fmt: skip

    @property
    def is_well(self) -> bool:
        """Whether the process from which they are forked runs."""
        return self.process.poll() is None

    def end(self) -> None:
        """End all of them, those that sleep too."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def starts(self) -> list[Start]:
        """What their jobs wrote, in the order of slots."""
        found = []
        for path in self.folder.glob("starts-*"):
            for line in path.read_text().splitlines():
                slot, token, at, member = line.split()
                found.append(Start(float(slot), int(token), float(at), member))
        return sorted(found)

    @property
    def doubled(self) -> list[float]:
        """Slots that started more than once."""
        return [slot for slot, count in Counter(one.slot for one in self.starts).items() if count > 1]


class Fleet:
    """A crowd, the server in which it meets, and how to wait for what comes of it."""

    def __init__(self, server: Server, *crowds: Crowd) -> None:
        self.server = server
        self.crowds = crowds

    def view(self) -> View:
        """Read the store, from beside its server."""
        return view_of(RedisFleetStore(self.server.url, prefix="plughost:fleet:crowd", timeout=10))

    def until(self, condition: Condition) -> View:
        """Return what the store says when it has come to that."""
        return until(self.view, condition, self.crowds)

    def until_alive(self, number: int) -> View:
        """Wait for so many members."""
        return self.until(lambda view: len(living(view)) == number)

    def until_more_starts(self, number: int, of: Callable[[Start], bool] = lambda _: True) -> None:
        """Wait for more slots."""
        before = self.count(of)
        self.until(lambda _: self.count(of) >= before + number)

    def count(self, of: Callable[[Start], bool]) -> int:
        """Return how many starts there were of that kind."""
        return sum(of(one) for crowd in self.crowds for one in crowd.starts)


if __name__ == "__main__":
    main(live, Path(sys.argv[1]), *sys.argv[2:])
