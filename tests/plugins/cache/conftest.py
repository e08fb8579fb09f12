"""Caches for tests: in memory on a clock under the test's hand."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from plughost.plugins.cache.manager import NamedCaches
from plughost.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def caches(clock: FakeClock) -> AsyncIterator[NamedCaches]:
    async with NamedCaches(clock=clock) as caches:
        yield caches
