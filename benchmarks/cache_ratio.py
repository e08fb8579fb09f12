"""Hit ratios of our policies and the peers' on seeded traces, as a share of what Belady's rule would reach.

$ python benchmarks/cache_ratio.py
"""

from __future__ import annotations

import asyncio
import bisect
import random
import time
from collections.abc import Iterator
from itertools import accumulate, count
from typing import Any

import cachebox
import cachetools
import theine
from harness import surroundings
from hosting import hosted

from plughost.contracts import CacheManager

_numbers = count()
KEYS, LENGTH, CAPACITIES = 20_000, 150_000, (200, 2000)


def zipf(exponent: float, seed: int) -> Iterator[int]:
    """Keys whose popularity falls with their rank."""
    dice = random.Random(seed)
    sums = list(accumulate(1 / rank**exponent for rank in range(1, KEYS + 1)))
    while True:
        yield bisect.bisect_left(sums, dice.random() * sums[-1])


def with_scans(seed: int) -> Iterator[int]:
    """Popular keys, and now and then everything once in a row."""
    popular, dice, fresh = zipf(1.0, seed), random.Random(seed), KEYS
    while True:
        for _ in range(5000):
            yield next(popular)
        for _ in range(dice.randrange(1000, 3000)):
            fresh += 1
            yield fresh


def shifting(seed: int) -> Iterator[int]:
    """Popularity that moves on."""
    popular, offset = zipf(1.0, seed), 0
    while True:
        for _ in range(10_000):
            yield (next(popular) + offset) % (KEYS * 10)
        offset += 500


TRACES = {
    "zipf 0.8": lambda: zipf(0.8, 1),
    "zipf 1.0": lambda: zipf(1.0, 2),
    "zipf 1.2": lambda: zipf(1.2, 3),
    "zipf 1.0 with scans": lambda: with_scans(4),
    "shifting": lambda: shifting(5),
}


def belady(trace: list[str], capacity: int) -> float:
    """The share of hits of somebody who knows the future: what is used again last, goes."""
    import heapq

    following: list[int] = [0] * len(trace)
    seen: dict[str, int] = {}
    for place in range(len(trace) - 1, -1, -1):
        following[place] = seen.get(trace[place], len(trace) + 1)
        seen[trace[place]] = place
    kept: dict[str, int] = {}
    heap: list[tuple[int, str]] = []
    hits = 0
    for place, key in enumerate(trace):
        hits += key in kept
        if key not in kept and len(kept) >= capacity:
            while True:
                moment, victim = heapq.heappop(heap)
                if kept.get(victim) == -moment:
                    del kept[victim]
                    break
        kept[key] = following[place]
        heapq.heappush(heap, (-following[place], key))
    return hits / len(trace)


def measured(cache: Any, trace: list[str]) -> tuple[float, float]:
    """Share of hits, and seconds per request."""
    hits = 0
    began = time.thread_time()
    for key in trace:
        if cache.get(key) is None:
            cache[key] = True
        else:
            hits += 1
    return hits / len(trace), (time.thread_time() - began) / len(trace)


def measured_ours(caches: CacheManager, policy: str, capacity: int, trace: list[str]) -> tuple[float, float]:
    """The same for a cache of a host, asked as an application asks it: with its statistics and its times to live."""
    cache = caches.get(f"{policy}-{next(_numbers)}", policy=policy, max_entries=capacity, tier="memory").sync
    hits = 0
    began = time.thread_time()
    for key in trace:
        if cache.get(key) is None:
            cache.set(key, True)
        else:
            hits += 1
    return hits / len(trace), (time.thread_time() - began) / len(trace)


def measured_theine(cache: Any, trace: list[str]) -> tuple[float, float]:
    """The same for theine, whose ``get`` says beside the value whether there is one."""
    hits = 0
    began = time.thread_time()
    for key in trace:
        if cache.get(key)[1]:
            hits += 1
        else:
            cache.set(key, True)
    return hits / len(trace), (time.thread_time() - began) / len(trace)


async def main() -> None:
    async with hosted("cache") as host:
        measure(host.use(CacheManager))


def measure(caches: CacheManager) -> None:
    print(surroundings("plughost", "cachetools", "cachebox", "theine") + "\n")
    print("Hits as a share of Belady's, and time per request.\n")
    names = ("LRU", "S3-FIFO", "theine W-TinyLFU", "cachetools LFU", "cachebox LRU")
    print(f"| trace | capacity | {' | '.join(names)} |\n|---|---:|{'---:|' * len(names)}")
    for name, make in TRACES.items():
        keys = make()
        trace = [f"k{next(keys)}" for _ in range(LENGTH)]
        for capacity in CAPACITIES:
            best = belady(trace, capacity)
            found = [
                measured_ours(caches, "lru", capacity, trace),
                measured_ours(caches, "s3fifo", capacity, trace),
                measured_theine(theine.Cache(capacity), trace),
                measured(cachetools.LFUCache(capacity), trace),
                measured(cachebox.LRUCache(capacity), trace),
            ]
            cells = " | ".join(
                f"{100 * ratio / best:.1f} %, {seconds * 1e6:.2f} us" for ratio, seconds in found
            )
            print(f"| {name} | {capacity} | {cells} |")


if __name__ == "__main__":
    asyncio.run(main())
