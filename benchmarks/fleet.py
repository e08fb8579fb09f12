"""What a fleet costs and how fast it is: beats, claims, and how long a change takes to reach all hosts.

    python benchmarks fleet.py

Rounds are short. Each figure is for one process that plays all members, so it is the store that is measured, and the
way to it.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio

from plughost import Host
from plughost.contracts import Fleet, FleetChange
from plughost.contracts.fleet_store import Beat, Enlistment, FleetStore, Greeting, JobClaim
from plughost.plugins.fleet.stores.memory import MemoryFleetStore
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from plughost.testing import redis_server

ROUNDS = 300
MEMBERS = 100


async def timed(call: Callable[[int], Awaitable[Any]], rounds: int) -> list[float]:
    took = []
    for number in range(rounds):
        began = time.perf_counter()
        await call(number)
        took.append((time.perf_counter() - began) * 1e6)
    return took


async def store_costs(store: FleetStore, title: str) -> None:
    """Measure beats, claims and a look at everything, with a hundred members."""
    await store.open()
    names = [f"m{number}" for number in range(MEMBERS)]
    card = b"x" * 1700  # as large as fifty plugins make it
    mine = {
        name: (await store.join(Greeting(member=name, ttl=600_000, card=card))).incarnation for name in names
    }
    await store.enlist(Enlistment(job="j", member="m0", incarnation=mine["m0"], definition="d"))
    base = (await store.view()).jobs[0].slot

    async def beat(number: int) -> None:
        name = names[number % MEMBERS]
        await store.beat(Beat(member=name, incarnation=mine[name]))

    async def claim(number: int) -> None:
        await store.claim(
            JobClaim(
                job="j", member="m0", incarnation=mine["m0"], definition="d", slot=base + 1 + number, previous=0,
                following=0, lease=0,
            )
        )  # fmt: skip

    async def view(_: int) -> None:
        await store.view()

    await anyio.sleep(0.5)  # the slots have come
    for what, call, rounds in (("beat", beat, ROUNDS), ("claim", claim, ROUNDS), ("view", view, 30)):
        took = await timed(call, rounds)
        p99 = statistics.quantiles(took, n=100)[98]
        print(f"{title:>8} {what:>6}: p50 {statistics.median(took):8.0f} us   p99 {p99:8.0f} us")
    await store.close()


async def change_reaches_all(folder: Path, hosts: int, rounds: int) -> None:
    """Measure how long `disable` and `enable` take until every host has done it."""
    config = {"host": {"data_dir": str(folder), "allow": ["fleet", "cache"]}}
    async with AsyncExitStack() as stack:
        running = [
            await stack.enter_async_context(Host("bench", config=config, environ={}, worker=number))
            for number in range(hosts)
        ]
        await anyio.sleep(1)
        took = []
        for number in range(rounds):
            act, wanted = (("disable", "disabled"), ("enable", "ready"))[number % 2]
            began = time.perf_counter()
            await running[0].use(Fleet).propose(FleetChange(act, "cache"))  # type: ignore[arg-type]
            while any(str(host.plugins["cache"].state) != wanted for host in running):  # noqa: ASYNC110
                await anyio.sleep(0.001)
            took.append((time.perf_counter() - began) * 1000)
        print(
            f"a change on {hosts} hosts of one process: p50 {statistics.median(took):.0f} ms  max {max(took):.0f} ms"
        )


async def idle(folder: Path, seconds: float) -> None:
    """Measure what a host with nothing to do costs, with the fleet and without it."""
    for allow in ([], ["fleet"]):
        config = {"host": {"data_dir": str(folder / f"idle{len(allow)}"), "allow": allow}}
        async with Host("bench", config=config, environ={}):
            await anyio.sleep(1)
            began = time.process_time()
            await anyio.sleep(seconds)
            share = (time.process_time() - began) / seconds
        print(f"idle host, plugins {allow or 'none'}: {share:.3%} of a core")


async def main() -> None:
    await store_costs(MemoryFleetStore(), "memory")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await store_costs(SqliteFleetStore(folder / "fleet.db"), "sqlite")
        with redis_server() as url:
            await store_costs(RedisFleetStore(url, prefix="bench"), "valkey")
        await change_reaches_all(folder / "hosts", 8, 20)
        await idle(folder, 10)


if __name__ == "__main__":
    anyio.run(main)
