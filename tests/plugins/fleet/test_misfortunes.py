"""Real processes over a real server: killed, put to sleep, their store emptied, and its replica put in its place.

What must hold: no slot starts twice, whatever happens; after a fail-over at most one, since a replica may be behind.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from redis import Redis

from fleet_crowd import Crowd, Fleet
from fleet_processes import PATIENCE, living, pid_of
from servers import Server, free_port, sentinel
from servers import server as running_server

TESTS = Path(__file__).parents[2]


@contextmanager
def fleet_of(number: int, folder: Path, server: Server, url: str = "") -> Iterator[Fleet]:
    crowd = Crowd(folder / "crowd", url or server.url, [f"m{one}" for one in range(number)])
    try:
        fleet = Fleet(server, crowd)
        fleet.until_alive(number)
        fleet.until_more_starts(2)
        yield fleet
    finally:
        crowd.end()


def kill(fleet: Fleet, name: str) -> None:
    view = fleet.until(lambda view: name in living(view))
    before = living(view)[name]
    os.kill(pid_of(view, name), signal.SIGKILL)
    fleet.until(lambda view: living(view).get(name, 0) > before)


def put_to_sleep(fleet: Fleet, name: str) -> None:
    """Have a process sleep for longer than it may; on waking it is another member."""
    view = fleet.until(lambda view: name in living(view))
    pid, before = pid_of(view, name), living(view)[name]
    os.kill(pid, signal.SIGSTOP)
    try:
        fleet.until(lambda view: name not in living(view))
        fleet.until_more_starts(2)
    finally:
        os.kill(pid, signal.SIGCONT)
    fleet.until(lambda view: living(view).get(name, 0) > before)


def empty(fleet: Fleet, number: int) -> None:
    epoch = fleet.view().epoch
    fleet.server.command("FLUSHALL")
    fleet.until(lambda view: view.epoch != epoch and len(living(view)) == number)
    fleet.until_more_starts(2)


@pytest.mark.timeout(400)
def test_no_slot_starts_twice_when_hosts_are_killed_and_sleep_and_their_store_is_emptied(
    tmp_path: Path, server: Server
) -> None:
    with fleet_of(4, tmp_path, server) as fleet:
        kill(fleet, "m0")
        put_to_sleep(fleet, "m1")
        empty(fleet, 4)
        assert fleet.crowds[0].doubled == []


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
def test_of_eight_hosts_no_slot_starts_twice_whatever_happens(
    tmp_path: Path, server: Server, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a seed makes it repeatable
    with fleet_of(8, tmp_path, server) as fleet:
        for _ in range(20):
            name = f"m{chance.randrange(8)}"
            chance.choice(
                (partial(kill, name=name), partial(put_to_sleep, name=name), partial(empty, number=8))
            )(fleet)
        assert fleet.crowds[0].doubled == []


class Pair:
    """A primary and its replica that a sentinel watches, and an address that leads to whichever is the primary."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        primary = stack.enter_context(running_server(port=free_port()))
        more = ("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
        replica = stack.enter_context(running_server(*more, port=free_port()))
        self.servers = {primary.port: primary, replica.port: replica}
        watching = stack.enter_context(sentinel(primary, "fleet"))
        # On a busy machine a primary may say nothing for a second and live.
        watching.command("SENTINEL", "SET", "fleet", "down-after-milliseconds", "4000")
        # One that came to nothing, as on a busy machine, is tried again after twice that: six minutes by default.
        watching.command("SENTINEL", "SET", "fleet", "failover-timeout", "10000")
        self._asked = Redis(port=watching.port, decode_responses=True)
        stack.callback(self._asked.close)
        self.address = folder / "primary"
        self.port = primary.port
        self.lead()

    @property
    def url(self) -> str:
        return f"unix://{self.address}"

    def lead(self) -> None:
        """Have the address lead to the primary, as the sentinel says."""
        _, self.port = self._asked.sentinel_get_master_addr_by_name("fleet")
        self.address.unlink(missing_ok=True)
        self.address.symlink_to(self.servers[self.port].path)

    def until_copied(self) -> None:
        """Wait for the replica."""
        wait_for(lambda: any(not one["is_sdown"] for one in self._asked.sentinel_slaves("fleet")))
        (replica,) = (port for port in self.servers if port != self.port)
        with Redis(port=replica, decode_responses=True) as client:
            wait_for(lambda: list(client.role())[3:4] == ["connected"])

    def fail_over(self) -> None:
        """Kill the primary, wait for the sentinel to put its replica in its place, and bring it back as a replica."""
        before = self.port
        self.servers[before].kill()
        wait_for(lambda: self._asked.sentinel_get_master_addr_by_name("fleet")[1] != before)
        self.lead()
        self.servers[before].start()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("rounds", [1, pytest.param(8, marks=pytest.mark.soak)])
def test_a_fail_over_by_a_sentinel_doubles_one_slot_at_most(tmp_path: Path, rounds: int) -> None:
    with ExitStack() as stack:
        pair = Pair(stack, tmp_path)
        fleet = stack.enter_context(fleet_of(4, tmp_path, pair.servers[pair.port], pair.url))
        for _ in range(rounds):
            pair.until_copied()
            pair.fail_over()
            fleet.server = pair.servers[pair.port]
            fleet.until_alive(4)
            fleet.until_more_starts(2)
        assert len(fleet.crowds[0].doubled) <= rounds


WHY_NOT = ""
if shutil.which("ip") is None:
    WHY_NOT = "`ip` is not installed"
elif (tried := subprocess.run(["unshare", "-rn", "ip", "link"], capture_output=True, text=True)).returncode:
    WHY_NOT = tried.stderr.strip()


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.skipif(bool(WHY_NOT), reason=f"this machine lets nobody make network namespaces: {WHY_NOT}")
def test_hosts_that_a_partition_cuts_off_stop_the_fleets_work_by_themselves(tmp_path: Path) -> None:
    told = subprocess.run(
        ["unshare", "-rn", sys.executable, str(TESTS / "fleet_partition.py"), str(tmp_path)],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
