"""Caches for tests: in memory on a clock under the test's hand, and over a real server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.manager import NamedCaches
from plughost.plugins.cache.redis.link import RedisLink
from plughost.testing.clock import FakeClock
from servers import Server, server

pytest.register_assert_rewrite("plughost.testing.suites.cache_backend")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where another server is named, run what talks to one: nothing else can differ."""
    if "PLUGHOST_TEST_SERVER" not in os.environ:
        return
    here = Path(__file__).parent
    signs = ("redis_url", "redis_server", "own_server", "from servers")
    talks = {
        path for path in here.glob("test_*.py") if any(sign in path.read_text("utf-8") for sign in signs)
    }
    left_out = [item for item in items if item.path.parent == here and item.path not in talks]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def caches(clock: FakeClock) -> AsyncIterator[NamedCaches]:
    async with NamedCaches(clock=clock) as caches:
        yield caches


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """One server for all tests that leave it as they found it."""
    with server() as running:
        yield running


@pytest.fixture
def redis_url(redis_server: Server) -> str:
    """The same server, emptied."""
    redis_server.command("FLUSHALL")
    return redis_server.url


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server of the test's own, to be killed and stopped at will."""
    with server() as running:
        yield running


PATIENT: dict[str, Any] = {"op_timeout": 5.0, "connect_timeout": 5.0}
"""For what is not about a server that is away: a busy machine is no outage."""

BRISK: dict[str, Any] = {"op_timeout": 0.3}
"""For what stops the server: an answer that does not come is given up soon."""


def shared(url: str, **config: Any) -> NamedCaches:
    """Return a manager over a server; enter it to connect. It is patient unless told otherwise."""
    settings = CacheConfig(redis_url=url, **{**PATIENT, **config})
    return NamedCaches(settings, link=RedisLink(settings))
