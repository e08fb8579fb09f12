"""Two instances over one server: what one changes, the other does not go on telling."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost.contracts import Cache
from plughost.plugins.cache.redis.link import RedisLink
from plughost.testing.suites.cache_backend import INVALIDATIONS, Calls, invalidate
from servers import Server

from .conftest import shared
from .proxy import Proxy

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["tracking", "pubsub"])
async def pair(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[tuple[Cache, Cache]]:
    async with (
        shared(redis_url, coherence=request.param) as one,
        shared(redis_url, coherence=request.param) as other,
    ):
        assert one.status()["coherence"] == request.param
        yield one.get("c"), other.get("c")
        assert one.status()["connections"] == other.status()["connections"] == 1


async def soon(cache: Cache, key: str, expected: Any) -> None:
    """Wait until the cache says so; messages travel."""
    with anyio.fail_after(10):
        while await cache.get(key) != expected:  # noqa: ASYNC110 # a message from the server is waited for
            await anyio.sleep(0.001)


@pytest.mark.parametrize("how", INVALIDATIONS)
async def test_an_invalidation_reaches_the_memory_of_others(pair: tuple[Cache, Cache], how: str) -> None:
    one, other = pair
    await one.set("user:1", "old", tags=["users"])
    await soon(other, "user:1", "old")
    await other.get("user:1")
    await invalidate(one, how)
    await soon(other, "user:1", None)


@pytest.mark.parametrize("how", [*INVALIDATIONS, "set"])
async def test_an_invalidation_elsewhere_wins_over_a_load_here(pair: tuple[Cache, Cache], how: str) -> None:
    one, other = pair
    calls = Calls("old")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: one.get_or_set("user:1", calls.held, tags=["users"]))
        await calls.reached.wait()
        await invalidate(other, how)
        calls.go_on.set()
    expected = "new" if how == "set" else None
    assert await other.get("user:1") == expected
    assert await one.get("user:1") == expected


async def test_a_change_elsewhere_is_seen(pair: tuple[Cache, Cache]) -> None:
    one, other = pair
    for number in range(20):
        await one.set("k", number)
        await soon(other, "k", number)
        await other.set("k", -number)
        await soon(one, "k", -number)


async def test_one_loader_runs_for_all_instances(pair: tuple[Cache, Cache]) -> None:
    one, other = pair
    calls = Calls("loaded")
    found: list[Any] = []

    async def ask(cache: Cache) -> None:
        found.append(await cache.get_or_set("k", calls.held))

    async with anyio.create_task_group() as group:
        for cache in (one, other) * 20:
            group.start_soon(ask, cache)
        await calls.reached.wait()
        calls.go_on.set()
    assert found == ["loaded"] * 40
    assert calls.count == 1


async def test_a_failed_load_lets_the_other_instance_try(pair: tuple[Cache, Cache]) -> None:
    one, other = pair
    broken, fine = Calls(error=RuntimeError("source")), Calls("fine")
    async with anyio.create_task_group() as group:

        async def fail() -> None:
            with pytest.raises(RuntimeError):
                await one.get_or_set("k", broken.held)

        group.start_soon(fail)
        await broken.reached.wait()
        group.start_soon(lambda: other.get_or_set("k", fine))
        await anyio.sleep(0.02)
        assert fine.count == 0
        broken.go_on.set()
    assert fine.count == 1
    assert await one.get("k") == "fine"


async def test_a_flushed_server_empties_memory_and_refuses_loads_begun_before(
    pair: tuple[Cache, Cache], redis_server: Server
) -> None:
    one, other = pair
    calls = Calls("old")
    await one.set("k", 1)
    await soon(other, "k", 1)
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: one.get_or_set("loading", calls.held))
        await calls.reached.wait()
        redis_server.command("FLUSHALL")
        await other.set("something", "else")  # the clock begins anew
        calls.go_on.set()
    assert await other.get("loading") is None


async def test_an_invalidation_between_reply_and_fill_wins(
    redis_server: Server, tmp_path: Path, redis_url: str
) -> None:
    """The reply of a read is held back on the wire while another instance invalidates."""
    async with (
        Proxy(Path(redis_server.folder) / "p", redis_server.path) as proxy,
        shared(redis_url) as writer,
        shared(proxy.url) as reader,
    ):
        here, there = reader.get("c"), writer.get("c")
        await there.set("k", "old")
        proxy.open.clear()
        async with anyio.create_task_group() as group:
            group.start_soon(here.get, "k")
            await anyio.sleep(0.02)  # the question has arrived, its answer waits in the wire
            await there.delete("k")
            proxy.open.set()
        assert await here.get("k") is None


async def test_bytes_of_others_under_our_key_are_a_miss_and_counted(
    redis_server: Server, redis_url: str
) -> None:
    async with shared(redis_url) as caches:
        cache = caches.get("c", tier="redis")
        await cache.set("k", "value")
        name = "plughost:e:{c:0}:k"
        for rubbish in ("x", "", "\xb5P\x01" + "\x00" * 60, "a" * 200):
            redis_server.command("SET", name, rubbish)
            assert await cache.get("k") is None
            assert await cache.entry("k") is None
            assert await cache.get_or_set("other", lambda: 1) == 1
        assert cache.stats().corrupt >= 2
        redis_server.command("DEL", name)
        redis_server.command("LPUSH", name, "a list")
        assert await cache.get("k") is None
        assert await cache.get_or_set("k", lambda: "mended") == "mended"
        assert await cache.get("k") == "mended"
        redis_server.command("DEL", name)
        redis_server.command("LPUSH", name, "a list")
        assert not await cache.delete("k")
        assert await cache.increment("k") == 1


async def test_a_broken_payload_is_a_miss_and_counted(redis_server: Server, redis_url: str) -> None:
    async with shared(redis_url) as caches:
        cache = caches.get("c")
        await cache.set("k", "x" * 100)
        await cache.get("k")
        redis_server.command("SETRANGE", "plughost:e:{c:0}:k", "46", "\xc1\xc1\xc1")
        await soon(cache, "k", None)
        assert cache.stats().corrupt >= 1
        assert await cache.get_or_set("k", lambda: "mended") == "mended"


async def test_the_tag_table_is_bounded_and_forgets_towards_a_miss(
    redis_url: str, redis_server: Server
) -> None:
    async with shared(redis_url) as caches:
        cache = caches.get("c", tier="redis")
        await cache.set("plain", 1)
        await cache.set("tagged", 1, tags=["kept"])
        for start in range(0, 10_100, 500):
            await cache.invalidate_tag(*(f"t{number}" for number in range(start, start + 500)))
        assert int(redis_server.command("HLEN", "plughost:t:{c:0}")[1:]) <= 10_000
        assert await cache.get("plain") == 1
        assert await cache.get("tagged") is None  # may have been invalidated by a tag that was forgotten
        await cache.set("tagged", 2, tags=["kept"])
        assert await cache.get("tagged") == 2


async def test_an_evicted_clock_invalidates_rather_than_revives(redis_url: str, redis_server: Server) -> None:
    async with shared(redis_url) as caches:
        cache = caches.get("c", tier="redis")
        await cache.set("k", 1, tags=["t"])
        redis_server.command("DEL", "plughost:m:{c:0}")
        assert await cache.get("k") is None
        await cache.set("k", 2)
        assert await cache.get("k") == 2


async def test_caches_and_namespaces_are_apart(redis_url: str) -> None:
    async with (
        shared(redis_url) as caches,
        shared(redis_url, namespace="other") as others,
    ):
        for number, cache in enumerate((caches.get("a"), caches.get("b"), others.get("a"))):
            await cache.set("k", number)
        await caches.get("a").clear()
        assert await caches.get("b").get("k") == 1
        assert await others.get("a").get("k") == 2
        assert await caches.get("a").get("k") is None


async def test_other_threads_and_loops_use_the_same_connection(redis_url: str) -> None:
    async with shared(redis_url) as caches:
        cache = caches.get("c")

        def in_a_thread() -> list[Any]:
            found = [cache.sync.get_or_set("k", lambda: (1,)), cache.sync.get("k"), cache.sync.exists("k")]
            found += [cache.sync.set("s", 1, tags=["t"]), cache.sync.invalidate_tag("t"), cache.sync.get("s")]
            found += [
                cache.sync.get_or_set("a", Calls("async")),
                cache.sync.delete("k"),
                cache.sync.get("k", 0),
            ]

            async def elsewhere() -> Any:
                await cache.set("l", "loop")
                return await cache.get_or_set("m", Calls("made")), await cache.get("l")

            found.append(anyio.run(elsewhere))
            cache.sync.clear()
            return found

        assert await anyio.to_thread.run_sync(in_a_thread) == [
            (1,), (1,), True, True, 0, None, "async", True, 0, ("made", "loop"),
        ]  # fmt: skip
        with pytest.raises(RuntimeError, match="await"):
            cache.sync.set("k", 1)
        assert isinstance(caches.link, RedisLink)
