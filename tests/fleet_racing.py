"""Processes that race for the slots of one job, over whichever store."""

from __future__ import annotations

import subprocess
import sys
import time

RACE = """
import sys
import anyio
from plughost.contracts.fleet_store import Enlistment, Greeting, JobClaim
{imports}

async def main(name):
    store = {store}
    await store.open()
    mine = (await store.join(Greeting(member=name, ttl=60_000))).incarnation
    await store.enlist(Enlistment(job="j", member=name, incarnation=mine, definition="d"))
    print("ready", flush=True)
    base = int(sys.stdin.readline())  # from here on they race
    for slot in range(base, base + 600, 10):
        claim = JobClaim(job="j", member=name, incarnation=mine, definition="d", slot=slot, previous=0, following=0,
            lease=0)
        while (answer := await store.claim(claim)).verdict == "early":
            pass
        if answer.verdict == "run":
            print(slot, answer.token, flush=True)
    await store.close()

anyio.run(main, sys.argv[1])
"""


def race(imports: str, store: str, racers: int = 3) -> None:
    """Start them together, and hold that no slot starts twice and that runs are numbered in order.

    Args:
        imports: What the store needs.
        store: The expression that makes it.
        racers: How many there are.
    """
    code = RACE.format(imports=imports, store=store)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, f"m{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(racers)
    ]
    try:
        for racer in running:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        base = round(time.time() * 1000) + 300
        for racer in running:
            assert racer.stdin is not None
            racer.stdin.write(f"{base}\n")
            racer.stdin.flush()
        outputs = [racer.communicate(timeout=60)[0] for racer in running]
    finally:
        for racer in running:
            racer.kill()
            racer.communicate()
    assert [racer.returncode for racer in running] == [0] * racers
    lines = [line.split() for output in outputs for line in output.splitlines()]
    slots = [int(slot) for slot, _ in lines]
    assert len(slots) == len(set(slots)) > 1
    tokens = [int(token) for _, token in sorted(lines, key=lambda line: int(line[0]))]
    assert tokens == sorted(set(tokens))
