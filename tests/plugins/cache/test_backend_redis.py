"""The contract suite over Redis alone and over memory in front of it, by each way of staying coherent."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from plughost.contracts import Cache
from plughost.testing.suites.cache_backend import CacheBackendSuite

from .conftest import shared

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def a_cache(url: str, **config: Any) -> AsyncIterator[Cache]:
    """The cache under test; its server must have answered all the time."""
    settings = config.pop("settings", {})
    async with shared(url, **config) as caches:
        yield caches.get("suite", **settings)
        status = caches.status()
        assert status["available"]
        assert status["connections"] == 1


class TestRedis(CacheBackendSuite):
    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[Cache]:
        async with a_cache(redis_url, settings={"tier": "redis"}) as cache:
            yield cache


class TestTieredByTracking(CacheBackendSuite):
    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[Cache]:
        async with a_cache(redis_url) as cache:
            yield cache


class TestTieredByPublishing(CacheBackendSuite):
    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[Cache]:
        async with a_cache(redis_url, coherence="pubsub") as cache:
            yield cache


class TestSeveralShards(CacheBackendSuite):
    @pytest.fixture
    async def cache(self, redis_url: str) -> AsyncIterator[Cache]:
        async with a_cache(
            redis_url, shards=4, settings={"format": "msgpack", "compress_above": None}
        ) as cache:
            yield cache
