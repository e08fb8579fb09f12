"""Two halves of a fleet in network namespaces of their own, between which the wire is pulled and put back.

``unshare -rn python tests/fleet_partition.py FOLDER``: the store is on this side; exits 0 when what must hold did.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from fleet_crowd import INTERVAL, Crowd, Fleet, Start
from fleet_processes import living
from servers import free_port, server

HERE, THERE = "10.99.0.1", "10.99.0.2"
NEAR, FAR = ["near0", "near1"], ["far0", "far1"]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def lay_a_wire(pid: int) -> list[str]:
    """Connect this namespace with that of a process; returns what a command there begins with."""
    inside = ["nsenter", f"--net=/proc/{pid}/ns/net"]
    ip("link", "set", "lo", "up")
    ip("link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
    ip("link", "set", "wire1", "netns", str(pid))
    ip("addr", "add", f"{HERE}/24", "dev", "wire0")
    ip("link", "set", "wire0", "up")
    for words in ("link set lo up", f"addr add {THERE}/24 dev wire1", "link set wire1 up"):
        subprocess.run([*inside, "ip", *words.split()], check=True)
    return inside


def is_far(start: Start) -> bool:
    return start.member in FAR


def main(folder: Path) -> None:
    other = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
    crowds: list[Crowd] = []
    try:
        while Path(f"/proc/{other.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
            time.sleep(0.05)
        inside = lay_a_wire(other.pid)
        port = free_port()
        with server("--bind", HERE, "--protected-mode", "no", port=port) as store:
            url = f"redis://{HERE}:{port}/0"
            crowds += [Crowd(folder / "near", url, NEAR), Crowd(folder / "far", url, FAR, inside)]
            fleet = Fleet(store, *crowds)
            fleet.until_alive(4)
            fleet.until_more_starts(2, is_far)
            for _ in range(3):
                pull_and_put_back(fleet)
            assert doubled(crowds) == []
    finally:
        for crowd in crowds:
            crowd.end()
        other.kill()
        other.wait()


def pull_and_put_back(fleet: Fleet) -> None:
    before = living(fleet.until_alive(4))
    ip("link", "set", "wire0", "down")
    pulled = time.time()
    fleet.until(lambda view: set(living(view)) == set(NEAR))
    fleet.until_more_starts(4)
    late = [one for one in fleet.crowds[1].starts if one.at > pulled + 3 * INTERVAL]
    assert late == [], f"started though they were cut off: {late}"
    ip("link", "set", "wire0", "up")
    after = living(fleet.until_alive(4))
    assert all(after[name] > before[name] for name in FAR)
    fleet.until_more_starts(1, is_far)


def doubled(crowds: list[Crowd]) -> list[float]:
    slots = [one.slot for crowd in crowds for one in crowd.starts]
    return sorted({slot for slot in slots if slots.count(slot) > 1})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
