"""What a hit in memory costs: ours and the peers', in one interleaved run; and what an entry weighs.

$ python benchmarks/cache_memory.py
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import aiocache
import cachebox
import cachetools
import moka_py
import theine
from async_lru import alru_cache
from cashews import Cache as CashewsCache
from dogpile.cache import make_region
from harness import Contender, compare_here, surroundings, table
from hosting import hosted

from plughost.contracts import CacheManager

KEY = "user:123:profile"
VALUE = {"name": "somebody", "roles": ["reader"]}
ENTRIES = 20_000


class Plain:
    """The least: a dict behind an ``async def``."""

    def __init__(self) -> None:
        self._values = {KEY: VALUE}

    async def get(self, key: str) -> Any:
        """Look up."""
        return self._values[key]

    async def set(self, key: str, value: Any) -> None:
        """Store."""
        self._values[key] = value


async def prepared(caches: CacheManager) -> dict[str, Any]:
    """Everybody with the same value under the same key."""
    lru, fifo = (
        caches.get("lru", max_entries=10_000),
        caches.get("s3fifo", max_entries=10_000, policy="s3fifo"),
    )
    cashews = CashewsCache()
    cashews.setup("mem://", size=10_000)
    memory = aiocache.SimpleMemoryCache()
    region = make_region().configure("dogpile.cache.memory")
    bare: Any = cachetools.LRUCache(10_000)
    wtinylfu: Any = theine.Cache(10_000)

    async def load(key: str = KEY) -> Any:
        return VALUE

    for cache in (lru, fifo):
        await cache.set(KEY, VALUE)
    await cashews.set(KEY, VALUE, expire=3600)
    await memory.set(KEY, VALUE, ttl=3600)
    region.set(KEY, VALUE)
    bare[KEY] = VALUE
    wtinylfu.set(KEY, VALUE)
    names = {
        "plain": Plain(), "lru": lru, "fifo": fifo, "cashews": cashews, "memory": memory, "region": region,
        "bare": bare, "wtinylfu": wtinylfu, "load": load, "KEY": KEY, "lru_sync": lru.sync, "fifo_sync": fifo.sync,
        "moka": moka_py.Moka(10_000, ttl=3600), "VALUE": VALUE,
        "cashews_cached": cashews(ttl=3600, key="{key}")(load), "aiocache_cached": aiocache.cached(ttl=3600)(load),
        "alru": alru_cache(maxsize=10_000, ttl=3600)(load),
        "box": cachebox.cached(cachebox.TTLCache(10_000, 3600))(load),
    }  # fmt: skip
    for name in ("cashews_cached", "aiocache_cached", "alru", "box"):
        await names[name](KEY)
    return names


async def weigh(caches: CacheManager) -> float:
    """Bytes an entry takes beyond its key and value."""
    keys = [f"user:{number}:profile" for number in range(ENTRIES)]
    cache = caches.get("c", max_entries=ENTRIES)

    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for key in keys:
        await cache.set(key, True)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert cache.stats().entries == ENTRIES
    return (after - before) / ENTRIES


async def main() -> None:
    print(
        surroundings(
            "plughost",
            "cashews",
            "aiocache",
            "dogpile.cache",
            "async-lru",
            "cachetools",
            "cachebox",
            "theine",
            "moka-py",
        )
    )
    async with hosted("cache") as host:
        await measure(host.use(CacheManager))


async def measure(caches: CacheManager) -> None:
    names = await prepared(caches)
    asynchronous = [
        Contender("dict behind async def", "await plain.get(KEY)"),
        Contender("plughost, LRU", "await lru.get(KEY)", "statistics, ttl"),
        Contender("plughost, S3-FIFO", "await fifo.get(KEY)", "statistics, ttl"),
        Contender("cashews", "await cashews.get(KEY)"),
        Contender("aiocache", "await memory.get(KEY)"),
    ]
    print(table("asynchronous get, hit", await compare_here(asynchronous, names)))
    computing = [
        Contender("dict behind async def", "await plain.get(KEY)"),
        Contender("plughost", "await lru.get_or_set(KEY, load)", "single flight, ttl"),
        Contender("cachebox.cached, TTL", "await box(KEY)"),
        Contender("async-lru", "await alru(KEY)"),
        Contender("aiocache.cached", "await aiocache_cached(KEY)"),
        Contender("cashews", "await cashews_cached(KEY)"),
    ]
    print(table("get or compute, hit", await compare_here(computing, names)))
    synchronous = [
        Contender("cachetools.LRUCache", "bare[KEY]", "no ttl, no lock, no statistics"),
        Contender("plughost, LRU", "lru_sync.get(KEY)", "ttl, statistics"),
        Contender("plughost, S3-FIFO", "fifo_sync.get(KEY)", "ttl, statistics"),
        Contender("theine", "wtinylfu.get(KEY)"),
        Contender("dogpile.cache", "region.get(KEY)"),
    ]
    print(table("synchronous get, hit", await compare_here(synchronous, names)))
    storing = [
        Contender("dict behind async def", "await plain.set(KEY, 1)"),
        Contender("plughost, LRU, an int", "await lru.set(KEY, 1)", "ttl, statistics, no load overwrites it"),
        Contender(
            "plughost, LRU, a small dict", "await lru.set(KEY, VALUE)", "the same; the cache keeps a copy"
        ),
        Contender("moka, an int", "moka.set(KEY, 1)", "Rust, synchronous, keeps the object itself"),
        Contender("moka, a small dict", "moka.set(KEY, VALUE)", "the same"),
        Contender("cashews, an int", "await cashews.set(KEY, 1, expire=3600)"),
        Contender("aiocache, an int", "await memory.set(KEY, 1, ttl=3600)"),
    ]
    print(table("set", await compare_here(storing, names)))
    print(f"\nBytes per entry beyond key and value, LRU: {await weigh(caches):.0f}")


if __name__ == "__main__":
    asyncio.run(main())
