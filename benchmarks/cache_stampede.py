"""Four processes, 500 callers in all, one cold key, a load of 50 ms: how many loads, how long, how many commands.

$ python benchmarks/cache_stampede.py
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import time
from typing import Any

import redis
from cache_servers import free_port, server, shared
from harness import surroundings

PROCESSES, CALLERS, LOAD = 4, 125, 0.05
ROUNDS = 5


async def load(counter: Any) -> str:
    with counter.get_lock():
        counter.value += 1
    await asyncio.sleep(LOAD)
    return "value"


async def with_plughost(url: str, go: Any, ready: Any, counter: Any, key: str) -> list[float]:
    async with shared(url) as caches:
        cache = caches.get("stampede", jitter=0)
        await cache.get("warm up")
        ready.wait()
        return await ask(lambda: cache.get_or_set(key, lambda: load(counter), ttl=60), go)


async def with_cashews(url: str, go: Any, ready: Any, counter: Any, key: str) -> list[float]:
    from cashews import Cache

    cache = Cache()
    cache.setup(url)

    @cache(ttl=60, key=key, lock=True)
    async def cached() -> str:
        return await load(counter)

    await cache.get("warm up")
    ready.wait()
    times = await ask(cached, go)
    await cache.close()
    return times


async def with_aiocache(url: str, go: Any, ready: Any, counter: Any, key: str) -> list[float]:
    from aiocache import Cache, cached_stampede
    from aiocache.serializers import JsonSerializer

    address = url.partition("://")[2].partition("/")[0].partition(":")

    @cached_stampede(
        lease=2, ttl=60, key_builder=lambda *_: key, cache=Cache.REDIS, endpoint=address[0], port=int(address[2]),
        serializer=JsonSerializer(), pool_max_size=500,
    )  # fmt: skip
    async def cached() -> str:
        return await load(counter)

    ready.wait()
    return await ask(cached, go)


async def ask(call: Any, go: Any) -> list[float]:
    await asyncio.sleep(max(0.0, go.value - time.time()))

    async def one() -> float:
        try:
            await call()
        except Exception as error:
            print(f"    {type(error).__name__}", file=sys.stderr)
        return time.time() - go.value

    return await asyncio.gather(*(one() for _ in range(CALLERS)))


CONTENDERS = {
    "plughost": with_plughost,
    "cashews, lock=True": with_cashews,
    "aiocache.cached_stampede": with_aiocache,
}


def process(name: str, url: str, go: Any, ready: Any, counter: Any, key: str, out: Any) -> None:
    work = CONTENDERS[name]
    out.put(asyncio.run(work(url, go, ready, counter, key)))


def one_round(name: str, url: str, number: int) -> tuple[int, float, int]:
    context = multiprocessing.get_context("spawn")
    counter, go = context.Value("i", 0), context.Value("d", 0.0)
    ready, out = context.Barrier(PROCESSES + 1), context.Queue()
    arguments = (name, url, go, ready, counter, f"cold:{name[:8]}:{number}", out)
    processes = [context.Process(target=process, args=arguments) for _ in range(PROCESSES)]
    for each in processes:
        each.start()
    client = redis.Redis.from_url(url)
    go.value = time.time() + 3600
    while ready.n_waiting < PROCESSES:
        time.sleep(0.01)
    before = commands(client)
    go.value = time.time() + 0.2
    ready.wait()
    times = [each for _ in processes for each in out.get(timeout=30)]
    sent = commands(client) - before - 1
    for each in processes:
        each.join()
    client.close()
    return counter.value, max(times), sent


def commands(client: Any) -> int:
    return int(client.info("stats")["total_commands_processed"])


def main() -> None:
    print(surroundings("plughost", "cashews", "aiocache", "redis") + "\n")
    print(
        f"{PROCESSES} processes, {PROCESSES * CALLERS} callers, a load of {LOAD * 1000:.0f} ms; medians of {ROUNDS}\n"
    )
    print("| contender | loads | all done after | commands |\n|---|---:|---:|---:|")
    with server(port=free_port()) as running:
        for name in CONTENDERS:
            rounds = [one_round(name, running.tcp_url, number) for number in range(ROUNDS)]
            loads, last, sent = (statistics.median(column) for column in zip(*rounds, strict=True))
            print(f"| {name} | {loads:.0f} | {last * 1000:.0f} ms | {sent:.0f} |")


if __name__ == "__main__":
    main()
