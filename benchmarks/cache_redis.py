"""Reads and writes over Redis: one task, fifty at once, a hundred keys, and a hit in the memory in front.

    $ python benchmarks/cache_redis.py

Processor time of the thread, rounds interleaved; the ratio is the median of ratios to redis-py within a round.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import cycle
from typing import Any

import redis.asyncio
from cache_servers import free_port, server, shared
from cashews import Cache as CashewsCache
from harness import surroundings

VALUE = "v" * 20
KEYS = [f"key:{number}" for number in range(100)]
ROUNDS = 9

Work = Callable[[], Awaitable[Any]]


async def timed(work: Work, count: int, tasks: int) -> float:
    """Seconds of this thread's processor time for one run, with so many tasks at it."""

    async def one() -> None:
        for _ in range(count // tasks):
            await work()

    began = time.thread_time()
    await asyncio.gather(*(one() for _ in range(tasks)))
    return (time.thread_time() - began) / (count // tasks * tasks)


async def compare(title: str, contenders: dict[str, Work], count: int, tasks: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(ROUNDS):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            times[name].append(await timed(contenders[name], count, tasks))
    first = times[names[0]]
    print(f"### {title}\n\n| contender | ratio | median |\n|---|---:|---:|")
    for name in names:
        ratio = statistics.median(own / other for own, other in zip(times[name], first, strict=True))
        print(f"| {name} | {ratio:.3f} | {statistics.median(times[name]) * 1e6:.2f} us |")
    print()


async def commands_of(client: Any) -> Counter[str]:
    """What the server has run for clients and their scripts, but what asks for this and looks after connections."""
    stats = await client.info("commandstats")
    asides = {"cmdstat_info", "cmdstat_ping", "cmdstat_client|tracking"}
    return Counter({name: found["calls"] for name, found in stats.items() if name not in asides})


async def main(url: str) -> None:
    bare = redis.asyncio.Redis.from_url(url, protocol=3)
    cashews = CashewsCache()
    cashews.setup(url, client_side=False)
    client_side = CashewsCache()
    client_side.setup(url, client_side=True)
    async with shared(url) as caches:
        plain, tiered = caches.get("plain", tier="redis"), caches.get("tiered")
        for key in KEYS:
            await bare.set(key, VALUE)
            await plain.set(key, VALUE, ttl=3600)
            await cashews.set(key, VALUE, expire=3600)
        await tiered.set("key:0", VALUE, ttl=3600)
        await client_side.set("hot", VALUE, expire=3600)
        await asyncio.sleep(0.05)
        await tiered.get("key:0")
        await client_side.get("hot")
        turn = cycle(KEYS)
        await compare(
            "get, one task",
            {
                "redis-py": lambda: bare.get("key:0"),
                "plughost": lambda: plain.get("key:0"),
                "cashews": lambda: cashews.get("key:0"),
            },
            1000, 1,
        )  # fmt: skip
        await compare(
            "get, fifty tasks",
            {
                "redis-py": lambda: bare.get(next(turn)),
                "plughost": lambda: plain.get(next(turn)),
                "cashews": lambda: cashews.get(next(turn)),
            },
            3000, 50,
        )  # fmt: skip
        await compare(
            "set, fifty tasks",
            {
                "redis-py": lambda: bare.set(next(turn), VALUE, px=3_600_000),
                "plughost": lambda: plain.set(next(turn), VALUE, ttl=3600),
                "cashews": lambda: cashews.set(next(turn), VALUE, expire=3600),
            },
            3000, 50,
        )  # fmt: skip
        await plain.get_many(KEYS)  # the server learns the script
        before = await commands_of(bare)
        assert len(await plain.get_many(KEYS)) == 100
        ran = await commands_of(bare) - before
        scripts = ran.pop("cmdstat_evalsha")
        within = ", ".join(sorted(name.removeprefix("cmdstat_") for name in ran))
        print(f"`get_many` of 100 keys: {scripts} script, in which {within} are called\n")
        await compare(
            "a hundred keys",
            {"redis-py mget": lambda: bare.mget(KEYS), "plughost get_many": lambda: plain.get_many(KEYS)},
            100, 1,
        )  # fmt: skip
        await compare(
            "hit in the memory in front, kept coherent by the server",
            {
                "cashews, client side": lambda: client_side.get("hot"),
                "plughost, tiered": lambda: tiered.get("key:0"),
            },
            5000, 1,
        )  # fmt: skip
    await bare.aclose()
    await cashews.close()
    await client_side.close()


if __name__ == "__main__":
    print(surroundings("plughost", "redis", "cashews") + "\n")
    with server(port=free_port()) as running:
        asyncio.run(main(running.tcp_url))
