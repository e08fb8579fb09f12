"""The Redis store against a real server: the suite that every store must pass, and its own promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.sessions.stores.redis import RedisStore
from plughost.testing.clock import FakeClock
from plughost.testing.suites.session_store import SessionStoreSuite, digest, new
from servers import Server
from servers import server as running_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as started:
        yield started


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store(
    server: Server, clock: FakeClock, request: pytest.FixtureRequest
) -> AsyncIterator[RedisStore]:
    store = RedisStore(server.url, prefix=f"t{abs(hash(request.node.nodeid))}", now=clock.time)
    await store.open()
    yield store
    await store.close()


class TestRedisStore(SessionStoreSuite):
    @pytest.fixture
    async def store(
        self, server: Server, clock: FakeClock, request: pytest.FixtureRequest
    ) -> AsyncIterator[RedisStore]:
        store = RedisStore(server.url, prefix=f"t{abs(hash(request.node.nodeid))}", now=clock.time)
        await store.open()
        yield store
        await store.close()


async def test_every_key_ends_by_itself_or_is_bounded(store: RedisStore) -> None:
    await store.create(new("a"))
    await store.create(new("guest", subject=None))
    client = store._client
    assert client is not None
    keys = [key async for key in client.scan_iter(f"{store._base}*")]
    endless = [key for key in keys if await client.pttl(key) < 0]
    assert sorted(key.split(b":")[-1] for key in endless) == [b"live", b"users"]


async def test_an_evicted_epoch_ends_sessions_instead_of_reviving_them(store: RedisStore) -> None:
    await store.create(new("a"))
    await store.end_subject("ada")
    await store.create(new("b"))
    client = store._client
    assert client is not None
    await client.delete(f"{store._base}:e:ada")
    assert await store.read(digest("a")) is None
    assert await store.read(digest("b")) is None
    await store.create(new("c"))
    assert await store.read(digest("a")) is None
    assert await store.read(digest("c")) is not None


async def test_a_damaged_session_is_refused_and_kept(store: RedisStore) -> None:
    await store.create(new("a"))
    client = store._client
    assert client is not None
    key = f"{store._base}:s:{digest('a').hex()}"
    await client.hset(key, "v", "many")
    with pytest.raises(StoreUnavailableError, match="damaged"):
        await store.read(digest("a"))
    assert await client.exists(key) == 1


async def test_the_servers_own_clock_decides_by_default(server: Server) -> None:
    store = RedisStore(server.url, prefix="own-clock")
    await store.open()
    created = await store.create(new("a", idle=60.0))
    assert created is not None
    assert await store.read(digest("a")) == created
    await store.close()


async def test_a_server_that_is_away_is_told_at_once_and_comes_back() -> None:
    with running_server() as server:
        store = RedisStore(server.url, prefix="away", timeout=1.0)
        await store.open()
        await store.create(new("a"))
        server.kill()
        for _ in range(3):
            with pytest.raises(StoreUnavailableError):
                await store.read(digest("a"))
        server.start()
        store._quiet_until = 0.0
        assert await store.read(digest("a")) is None
        assert await store.create(new("b")) is not None
        await store.close()
    with pytest.raises(StoreUnavailableError, match="closed"):
        await store.read(digest("a"))


async def test_a_wrong_address_says_what_to_write() -> None:
    with pytest.raises(ConfigError, match="redis://"):
        await RedisStore("somewhere", prefix="x").open()
    with pytest.raises(StoreUnavailableError):
        await RedisStore("unix:///nowhere/at/all", prefix="x").open()


def test_its_address_is_not_shown() -> None:
    assert "hunter2" not in repr(RedisStore("redis://:hunter2@example.test", prefix="x"))


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_on_trio_it_says_that_it_needs_asyncio(anyio_backend: str) -> None:
    with pytest.raises(ConfigError, match="asyncio"):
        await RedisStore("redis://localhost", prefix="x").open()
