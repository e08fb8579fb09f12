"""Killed at any moment: nothing acknowledged is lost, and nothing that ended comes back."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from plughost.contracts.clock import SYSTEM_CLOCK, SteadyTime
from plughost.contracts.session_store import StoredSession
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.testing.suites.session_store import digest

pytestmark = pytest.mark.anyio

WRITER = Path(__file__).with_name("durable_writer.py")


@dataclass
class Acknowledged:
    """What the killed processes said was done, and what they had only begun."""

    alive: dict[str, str] = field(default_factory=dict)
    values: dict[tuple[str, str], str] = field(default_factory=dict)
    maybe: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    facts: int = 0

    def take(self, lines: list[str]) -> None:  # noqa: C901 - one case per kind of line
        for line in lines:
            self.facts += 1
            match line.split():
                case ["created", name, subject]:
                    self.alive[name] = subject
                case ["patching", name, key, value]:
                    self.maybe.setdefault((name, key), set()).add(value)
                case ["patched", name, key, value]:
                    self.values[name, key] = value
                    self.maybe[name, key] = set()
                case ["ending", name]:
                    self.unsure.add(name)
                case ["ended", name]:
                    self._die(name)
                case ["replaced", old, name, subject]:
                    self._die(old)
                    self.alive[name] = subject
                    for (owner, key), value in list(self.values.items()):
                        if owner == old:
                            self.values[name, key] = value
                case ["subject-ending", subject]:
                    self.unsure |= {name for name, owner in self.alive.items() if owner == subject}
                case ["subject-ended", subject]:
                    for name in [name for name, owner in self.alive.items() if owner == subject]:
                        self._die(name)

    def _die(self, name: str) -> None:
        self.alive.pop(name, None)
        self.unsure.discard(name)
        self.dead.add(name)

    def settle(self, name: str, found: StoredSession | None) -> None:
        """A session whose end was under way when the process died: it may be either, and stays what it is."""
        if found is None:
            self._die(name)
        else:
            self.unsure.discard(name)


def run_and_kill(path: Path, run: str, seconds: float) -> list[str]:
    process = subprocess.Popen(
        [sys.executable, str(WRITER), str(path), run],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # communicate() reads past a buffer, and would lose the lines that readline() put there
    )
    assert process.stdout is not None
    assert process.stderr is not None
    ready = process.stdout.readline()
    assert ready == b"ready\n", process.stderr.read()
    time.sleep(seconds)
    process.kill()
    said, complaints = process.communicate()
    assert b"Traceback" not in complaints, complaints.decode()
    lines = said.decode().split("\n")
    return lines[:-1]  # the last one is empty, or was cut off before it was whole


async def check(path: Path, facts: Acknowledged) -> None:
    store = SQLiteStore(path, SteadyTime(SYSTEM_CLOCK))
    await store.open()
    try:
        for name in facts.dead:
            assert await store.read(digest(name)) is None, f"{name} came back"
        for name in list(facts.alive):
            found = await store.read(digest(name))
            if name in facts.unsure:
                facts.settle(name, found if isinstance(found, StoredSession) else None)
                continue
            assert isinstance(found, StoredSession), f"{name} was lost"
            for (owner, key), value in facts.values.items():
                if owner == name:
                    begun = facts.maybe.get((name, key), set())
                    assert found.fields[key].decode() in {value, *begun}, f"{name} lost {key}"
        listed = await store.stats()
        assert listed.active >= len(facts.alive)
    finally:
        await store.close()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("cycles", "longest"),
    [
        pytest.param(6, 0.25, id="short"),
        pytest.param(1000, 0.15, id="soak", marks=[pytest.mark.soak, pytest.mark.timeout(3600)]),
    ],
)
async def test_kill_9_under_parallel_writes_loses_nothing_and_revives_nothing(
    tmp_path: Path, cycles: int, longest: float, anyio_backend: str
) -> None:
    path, facts = tmp_path / "sessions.db", Acknowledged()
    chance = random.Random(1)  # noqa: S311 - to choose, not to hide
    for cycle in range(cycles):
        facts.take(run_and_kill(path, str(cycle), chance.uniform(0.01, longest)))
        # What an earlier cycle left cannot be patched by a later one, so old facts stay as they are.
        await check(path, facts)
        if cycle % 50 == 49:
            facts = Acknowledged(facts=facts.facts)
            path = tmp_path / f"sessions{cycle}.db"
    assert facts.facts > cycles * 10
    print(f"{cycles} kills, {facts.facts} facts")
