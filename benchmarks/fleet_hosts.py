"""The hosts that `fleet.py` measures: eight processes with a job, a plugin that is steered, and calls of its hook.

Each writes what happens with its moment into a file of its own: `start SLOT`, `loading`, `lost NAME`, `answers` and
`silent` when the hook's calls begin to be answered and end to be, and each second `calls DONE FAILED UNANSWERED`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import anyio

from fleet_crowd import main
from plughost import Host, Plugin, PluginContext
from plughost.contracts import MemberLost, current_run
from plughost.hookspecs import hookspec

CALLS = 250
"""Of the hook, for each host and second."""

LAMP = """
import os, time
from pathlib import Path
from plughost import Plugin
from plughost.hookspecs import hookimpl

class Lamp(Plugin):
    async def start(self, context):
        self.told = context.config.get("told")
        note(self.told, "loading")
        if Path(self.told).with_name("bad").exists():
            raise ValueError("it is bad")

    @hookimpl
    async def light(self, number):
        return number

def note(told, what):
    with open(told, "a") as file:
        file.write(f"{time.time()} {what}\\n")
"""


class Lights:
    """The hook that is called all the time."""

    @hookspec(mode="first", timeout=5)
    def light(self, number: int) -> int:
        """Return the number."""


class Witness(Plugin):
    """Writes down starts of its job, and members that were lost."""

    name = "witness"

    def __init__(self, told: Path) -> None:
        self._told = told

    async def start(self, context: PluginContext) -> None:
        context.every(0.5, self._count, name="count", scope="fleet")
        context.events.subscribe(MemberLost, lambda event: note(self._told, f"lost {event.member.id}"))

    async def _count(self) -> None:
        run = current_run()
        assert run is not None
        note(self._told, f"start {run.slot}")


def note(told: Path, what: str) -> None:
    """Write down that something happened now."""
    with told.open("a") as file:
        file.write(f"{time.time()} {what}\n")


def settings(folder: Path, url: str, member: str) -> dict[str, Any]:
    """Return the configuration of one host, with the interval that is usual."""
    fleet = {
        "store": "redis", "redis_url": url, "member_name": member, "secret_file": str(folder / "secret"),
    }  # fmt: skip
    lamp = {"module": "bench_lamp:Lamp", "config": {"told": str(folder / f"told-{member}")}}
    host = {"data_dir": str(folder / member), "allow": ["fleet", "lamp"]}
    return {"host": host, "plugins": {"fleet": {"config": fleet}, "lamp": lamp}}


async def live(folder: Path, url: str, member: str) -> None:
    """Be one host, and call its hook all the time."""
    told = folder / f"told-{member}"
    host = Host("crowd", config=settings(folder, url, member), environ={})
    host.add_hookspecs(Lights)
    async with host:
        await host.load_plugin(Witness(told))
        done = failed = unanswered = number = 0
        answers = False
        began = told_at = time.monotonic()
        while True:
            number += 1
            try:
                answer = await host.hooks.light(number=number)
                done, unanswered = done + (answer == number), unanswered + (answer is None)
                if answers is (answer is None):
                    answers = not answers
                    note(told, "answers" if answers else "silent")
            except Exception:
                failed += 1
            if time.monotonic() - told_at > 1:
                note(told, f"calls {done} {failed} {unanswered}")
                done = failed = unanswered = 0
                told_at = time.monotonic()
            ahead = began + number / CALLS - time.monotonic()
            if ahead > 0.005:
                await anyio.sleep(ahead)


if __name__ == "__main__":
    main(live, Path(sys.argv[1]), *sys.argv[2:])
