"""The contract suite over caches in memory, one run per eviction policy."""

from __future__ import annotations

from collections.abc import AsyncIterator

import cachetools
import pytest

from plughost.contracts import Cache
from plughost.plugins.cache.manager import NamedCaches
from plughost.testing.clock import FakeClock
from plughost.testing.suites.cache_backend import CacheBackendSuite, PassTime

pytestmark = pytest.mark.anyio


class TestMemory(CacheBackendSuite):
    @pytest.fixture(params=["lru", "s3fifo", cachetools.LFUCache], ids=["lru", "s3fifo", "cachetools"])
    async def cache(self, request: pytest.FixtureRequest, clock: FakeClock) -> AsyncIterator[Cache]:
        async with NamedCaches(clock=clock) as caches:
            yield caches.get("suite", policy=request.param)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance
