"""What happens when things go wrong: ours in each tier, and the peers, each in a fresh cache.

    $ python benchmarks/cache_proof.py

``right`` is right; anything else says what was seen. A dash means that the library has no such call. The table in
``docs/explanation/cache-proof.md`` is the output of this script, of ``cache_stampede.py`` and of ``cache_outage.py``.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiocache
import cachebox
from async_lru import alru_cache
from cache_servers import free_port, server, shared
from cashews import Cache as CashewsCache
from harness import surroundings

numbers = itertools.count()
RACES = 50
Load = Callable[[], Awaitable[Any]]


class Subject:
    """A cache as the scenarios see it: compute under a key with a tag, and invalidate in the ways there are."""

    def __init__(
        self, compute: Callable[[Load], Awaitable[Any]], **ways: Callable[[], Awaitable[Any]]
    ) -> None:
        self.compute = compute
        self.ways = ways


@asynccontextmanager
async def plughost(url: str | None, **settings: Any) -> AsyncIterator[Subject]:
    async with shared(url) as caches:
        cache = caches.get(f"proof{next(numbers)}", **settings)
        yield Subject(
            lambda load: cache.get_or_set("user:1", load, tags=["users"]),
            key=lambda: cache.delete("user:1"),
            tag=lambda: cache.invalidate_tag("users"),
            pattern=lambda: cache.invalidate_glob("user:*"),
            clear=cache.clear,
        )


@asynccontextmanager
async def cashews(url: str) -> AsyncIterator[Subject]:
    cache = CashewsCache()
    cache.setup(url)
    loads: list[Load] = []
    prefix = f"user{next(numbers)}"

    @cache(ttl=60, key=prefix + ":1", tags=["users"])
    async def cached() -> Any:
        return await loads[-1]()

    async def compute(load: Load) -> Any:
        loads.append(load)
        return await cached()

    yield Subject(
        compute,
        key=lambda: cache.delete(prefix + ":1"),
        tag=lambda: cache.delete_tags("users"),
        pattern=lambda: cache.delete_match(prefix + ":*"),
        clear=cache.clear,
    )
    await cache.close()


@asynccontextmanager
async def aio(_: str) -> AsyncIterator[Subject]:
    cache = aiocache.SimpleMemoryCache(namespace=str(next(numbers)))
    loads: list[Load] = []

    @aiocache.cached(ttl=60, key_builder=lambda *_: "user:1")
    async def cached() -> Any:
        return await loads[-1]()

    cached.cache = cache  # type: ignore[attr-defined]

    async def compute(load: Load) -> Any:
        loads.append(load)
        return await cached()

    yield Subject(compute, key=lambda: cache.delete("user:1"), clear=cache.clear)


@asynccontextmanager
async def lru(_: str) -> AsyncIterator[Subject]:
    loads: list[Load] = []

    @alru_cache(maxsize=100)
    async def cached(key: str) -> Any:
        return await loads[-1]()

    async def compute(load: Load) -> Any:
        loads.append(load)
        return await cached("user:1")

    async def key() -> None:
        cached.cache_invalidate("user:1")

    async def clear() -> None:
        cached.cache_clear()

    yield Subject(compute, key=key, clear=clear)


@asynccontextmanager
async def box(_: str) -> AsyncIterator[Subject]:
    store: Any = cachebox.LRUCache(100)
    loads: list[Load] = []

    @cachebox.cached(store, key_maker=lambda *args, **kwds: "user:1")
    async def cached() -> Any:
        return await loads[-1]()

    async def compute(load: Load) -> Any:
        loads.append(load)
        return await cached()

    async def key() -> None:
        store.pop("user:1", None)

    async def clear() -> None:
        store.clear()

    yield Subject(compute, key=key, clear=clear)


async def invalidated(subject: Subject, way: str) -> str:
    """A load has read the old value; the value changes and is invalidated; the load ends. What is read next?"""
    if way not in subject.ways:
        return "-"
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def old() -> str:
        reached.set()
        await go_on.wait()
        return "old"

    async def new() -> str:
        return "new"

    first = asyncio.ensure_future(subject.compute(old))
    await asyncio.wait_for(reached.wait(), 5)
    await subject.ways[way]()
    go_on.set()
    await first
    found = await asyncio.wait_for(subject.compute(new), 5)
    return "right" if found == "new" else "tells the old value"


async def leader_cancelled(subject: Subject) -> str:
    """Two wait for one load; who asked first is cancelled."""
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def load() -> str:
        reached.set()
        await go_on.wait()
        return "value"

    leader = asyncio.ensure_future(subject.compute(load))
    await asyncio.wait_for(reached.wait(), 5)
    follower = asyncio.ensure_future(subject.compute(load))
    await asyncio.sleep(0.01)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    go_on.set()
    (found,) = await asyncio.gather(asyncio.wait_for(follower, 5), return_exceptions=True)
    return "right" if found == "value" else f"the other gets {type(found).__name__}"


async def loader_fails(subject: Subject) -> str:
    """Ten wait for one load, which fails; then the source is well again."""
    calls = 0

    async def broken() -> str:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.02)
        raise LookupError("source")

    async def fine() -> str:
        return "value"

    tasks = [asyncio.ensure_future(subject.compute(broken)) for _ in range(10)]
    found = await asyncio.gather(*(asyncio.wait_for(task, 5) for task in tasks), return_exceptions=True)
    errors = sum(isinstance(each, LookupError) for each in found)
    after = await asyncio.gather(asyncio.wait_for(subject.compute(fine), 5), return_exceptions=True)
    if errors == 10 and calls == 1 and after == ["value"]:
        return "right"
    return f"{calls} calls, {errors} of 10 told"


def by(way: str) -> Callable[[Subject], Awaitable[str]]:
    return lambda subject: invalidated(subject, way)


SCENARIOS: dict[str, Callable[[Subject], Awaitable[str]]] = {
    **{f"invalidated by {way} during the load": by(way) for way in ("key", "tag", "pattern", "clear")},
    "leader cancelled": leader_cancelled,
    "loader fails": loader_fails,
}  # fmt: skip


async def main(url: str) -> None:
    subjects: dict[str, Callable[[], Any]] = {
        "plughost, memory": lambda: plughost(None),
        "plughost, Redis": lambda: plughost(url, tier="redis"),
        "plughost, tiered": lambda: plughost(url),
        "cashews, memory": lambda: cashews("mem://"),
        "cashews, Redis": lambda: cashews(url),
        "aiocache": lambda: aio(url),
        "async-lru": lambda: lru(url),
        "cachebox": lambda: box(url),
    }
    print(f"| | {' | '.join(subjects)} |\n|---|{'---|' * len(subjects)}")
    for title, scenario in SCENARIOS.items():
        cells = []
        for make in subjects.values():
            async with make() as subject:
                try:
                    cells.append(await asyncio.wait_for(scenario(subject), 20))
                except Exception as error:
                    cells.append(type(error).__name__)
        print(f"| {title} | {' | '.join(cells)} |")


async def races(url: str) -> None:
    """What only concerns several instances: the fill race, and what is missed in an outage."""
    print("\n| | plughost, tiered | cashews, client side |\n|---|---|---|")
    ours, theirs = await fill_race_ours(url), await fill_race_cashews(url)
    print(f"| invalidated elsewhere between the reply and the fill | {ours} | {theirs} |")


async def fill_race_ours(url: str) -> str:
    async with shared(url) as one, shared(url) as two:
        here, there = one.get("race"), two.get("race")
        return await fill_race(
            lambda value: there.set("k", value), lambda: here.get("k")
        )  # fmt: skip


async def fill_race_cashews(url: str) -> str:
    here, there = CashewsCache(), CashewsCache()
    here.setup(url, client_side=True)
    there.setup(url)
    await here.get("warm up")
    await asyncio.sleep(0.1)
    try:
        return await fill_race(lambda value: there.set("race", value, expire=60), lambda: here.get("race"))
    finally:
        await here.close()
        await there.close()


async def fill_race(write: Callable[[int], Awaitable[Any]], read: Callable[[], Awaitable[Any]]) -> str:
    """A read is under way while another instance writes; long afterwards it is read again."""
    stale = 0
    for number in range(RACES):
        await write(number)
        await asyncio.sleep(0.02)
        reading = asyncio.ensure_future(read())
        await asyncio.sleep(0)
        await write(-number - 1)
        await reading
        await asyncio.sleep(0.05)
        stale += await read() != -number - 1
    return "right" if not stale else f"old in {stale} of {RACES}"


if __name__ == "__main__":
    print(surroundings("plughost", "cashews", "aiocache", "async-lru", "cachebox", "redis") + "\n")
    with server(port=free_port()) as running:
        asyncio.run(main(running.tcp_url))
        asyncio.run(races(running.tcp_url))
