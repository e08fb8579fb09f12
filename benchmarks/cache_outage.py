"""Redis is killed while it is in use: what the first call costs, what the later ones cost, and when it is back.

$ python benchmarks/cache_outage.py
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any

from cache_servers import Server, free_port, server, shared
from harness import surroundings

LATER = 2000


async def outage(running: Server, how: str) -> tuple[float, float, float, float, int]:
    """Return seconds of the first call, of later ones, of a hit in memory alone, until it is back, and errors."""
    async with shared(running.url) as caches:
        cache, alone = caches.get("c", tier="redis"), caches.get("alone", tier="memory")
        for name in ("k", "l"):
            await cache.set(name, "value")
        await alone.set("k", "value")
        errors = 0
        running.pause() if how == "stopped" else running.kill()
        began = time.perf_counter()
        try:
            await cache.get("k")
        except Exception:
            errors += 1
        first = time.perf_counter() - began
        await cache.set("k", "value")
        later = []
        for _ in range(LATER):
            began = time.perf_counter()
            try:
                await cache.get("k")
            except Exception:
                errors += 1
            later.append(time.perf_counter() - began)
        memory = []
        for _ in range(LATER):
            began = time.perf_counter()
            await alone.get("k")
            memory.append(time.perf_counter() - began)
        await asyncio.sleep(1)
        if how == "stopped":
            running.resume()
        else:
            await asyncio.to_thread(running.start)
        began = time.perf_counter()
        while not caches.status()["available"]:  # noqa: ASYNC110 # this is what is measured
            await asyncio.sleep(0.001)
        back = time.perf_counter() - began
    return first, statistics.median(later), statistics.median(memory), back, errors


async def cashews_outage(running: Server, how: str) -> tuple[float, float, int]:
    from cashews import Cache

    cache = Cache()
    cache.setup(running.tcp_url)
    await cache.set("k", "value", expire=60)
    running.pause() if how == "stopped" else running.kill()
    times, errors = [], 0
    for _ in range(3):
        began = time.perf_counter()
        try:
            await asyncio.wait_for(cache.get("k"), 15)
        except Exception:
            errors += 1
        times.append(time.perf_counter() - began)
    running.resume() if how == "stopped" else running.start()
    await cache.close()
    return times[0], times[-1], errors


async def redis_outage(running: Server, how: str) -> tuple[float, float, int]:
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(running.tcp_url)
    await client.set("k", "value")
    running.pause() if how == "stopped" else running.kill()
    times, errors = [], 0
    for _ in range(3):
        began = time.perf_counter()
        try:
            await asyncio.wait_for(client.get("k"), 15)
        except Exception:
            errors += 1
        times.append(time.perf_counter() - began)
    running.resume() if how == "stopped" else running.start()
    await client.aclose()
    return times[0], times[-1], errors


async def main() -> None:
    print(
        "| server | contender | first call | later calls | errors seen | back after |\n|---|---|---:|---:|---:|---:|"
    )
    for how in ("killed", "stopped"):
        rounds = []
        for _ in range(5):
            with server(port=free_port()) as running:
                rounds.append(await outage(running, how))
        first, later, memory, back, errors = (list(column) for column in zip(*rounds, strict=True))
        print(
            f"| {how} | plughost | {statistics.median(first) * 1000:.1f} ms | {statistics.median(later) * 1e6:.2f} us"
            f" (memory alone: {statistics.median(memory) * 1e6:.2f} us) | {sum(errors)} | "
            f"{statistics.median(back) * 1000:.0f} ms, at most {max(back) * 1000:.0f} ms |"
        )
        for name, run in (("cashews", cashews_outage), ("redis-py, defaults", redis_outage)):
            with server(port=free_port()) as running:
                found: Any = await run(running, how)
            print(
                f"| {how} | {name} | {found[0] * 1000:.0f} ms | {found[1] * 1000:.0f} ms | {found[2]} of 3 | |"
            )


if __name__ == "__main__":
    print(surroundings("plughost", "cashews", "redis") + "\n")
    asyncio.run(main())
