"""The contract suite over a cluster of three nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import anyio
import pytest

from plughost.contracts import Cache, Limit
from plughost.plugins.cache.limiter import Limiter
from plughost.plugins.cache.locks import Locks
from plughost.plugins.cache.redis.limiter import RedisLimits
from plughost.plugins.cache.redis.link import RedisLink
from plughost.plugins.cache.redis.locks import RedisLocks
from plughost.testing.suites.cache_backend import CacheBackendSuite
from servers import Server, cluster

from .conftest import shared

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[Server]]:
    with cluster() as running:
        yield running


@pytest.fixture
def url(nodes: list[Server]) -> str:
    for node in nodes:
        node.command("FLUSHALL")
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


class TestCluster(CacheBackendSuite):
    @pytest.fixture
    async def cache(self, url: str) -> AsyncIterator[Cache]:
        async with shared(url) as caches:
            yield caches.get("suite")
            status = caches.status()
            assert status["available"]
            assert status["mode"] == "cluster"
            assert status["connections"] == 1


async def test_keys_are_spread_over_the_nodes(url: str, nodes: list[Server]) -> None:
    async with shared(url) as caches:
        await caches.default.set_many({f"k{number}": number for number in range(200)})
        sizes = [int(node.command("DBSIZE")[1:]) for node in nodes]
    assert all(size > 10 for size in sizes)


async def test_instances_hear_of_each_other(url: str) -> None:
    async with shared(url) as one, shared(url) as two:
        here, there = one.default, two.default
        for number in range(5):
            await here.set("k", number)
            with anyio.fail_after(10):
                while await there.get("k") != number:  # noqa: ASYNC110 # a message is waited for
                    await anyio.sleep(0.001)
        await here.set("t", 1, tags=["x"])
        assert await there.get("t") == 1
        await here.invalidate_tag("x")
        with anyio.fail_after(10):
            while await there.get("t") is not None:  # noqa: ASYNC110 # a message is waited for
                await anyio.sleep(0.001)


async def test_locks_and_limits_work(url: str) -> None:
    async with shared(url) as caches:
        assert isinstance(caches.link, RedisLink)
        locks = Locks(RedisLocks(caches.link, "plughost"))
        async with locks.hold("l") as lock:
            assert lock.token > 0
        limiter = Limiter(RedisLimits(caches.link, "plughost"))
        both = {"a": Limit(limit=1, window=60), "b": Limit(limit=5, window=60)}
        assert (await limiter.check_all(both)).allowed
        assert not (await limiter.check_all(both)).allowed
        await limiter.reset("a", 60, 1)
        assert (await limiter.check_all(both)).allowed
