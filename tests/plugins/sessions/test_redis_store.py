"""The Redis store against a real server: the suite that every store must pass, and its own promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from plughost.contracts.session_store import ReplacedSession, SessionPatch, StoredSession, VersionConflict
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
    async def store(self, store: RedisStore) -> RedisStore:
        return store


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


async def _scripts_run(store: RedisStore) -> int:
    assert store._client is not None
    calls = await store._client.info("commandstats")
    return sum(
        figures["calls"] for name, figures in calls.items() if name in ("cmdstat_evalsha", "cmdstat_eval")
    )


async def test_what_many_ask_in_one_turn_of_the_loop_is_one_script(store: RedisStore) -> None:
    names = [f"s{number}" for number in range(30)]
    for name in names:
        await store.create(new(name, subject=None))

    async def read(name: str) -> StoredSession | ReplacedSession | None:
        return await store.read(digest(name))

    async def write(name: str) -> StoredSession | None:
        return await store.patch(digest(name), SessionPatch(set={"mine": name.encode()}))

    await asyncio.gather(*map(read, names[:2]), *map(write, names[:2]))  # the server learns the scripts
    before = await _scripts_run(store)
    written = await asyncio.gather(*map(write, [*names, "nobody"]))
    found = await asyncio.gather(*map(read, ["nobody", *names]))
    assert await _scripts_run(store) - before == 2
    assert written[-1] is None
    assert found[0] is None
    for name, changed, row in zip(names, written[:-1], found[1:], strict=True):
        assert isinstance(row, StoredSession)
        assert row == changed
        assert (row.digest, row.fields["mine"]) == (digest(name), name.encode())


async def test_one_change_that_is_refused_harms_none_of_the_same_turn(store: RedisStore) -> None:
    for name in ("a", "b", "c"):
        await store.create(new(name))
    client = store._client
    assert client is not None
    await client.delete(f"{store._base}:s:{digest('b').hex()}")
    await client.set(f"{store._base}:s:{digest('b').hex()}", "not a session")
    change = SessionPatch(set={"n": b"1"})
    stale = SessionPatch(set={"n": b"1"}, version=99)
    first, second, third = await asyncio.gather(
        store.patch(digest("a"), change),
        store.patch(digest("b"), change),
        store.patch(digest("c"), stale),
        return_exceptions=True,
    )
    assert isinstance(first, StoredSession)
    assert isinstance(second, StoreUnavailableError)
    assert isinstance(third, VersionConflict)


async def test_who_gives_up_waiting_takes_nobody_along(store: RedisStore) -> None:
    await store.create(new("a"))
    impatient = asyncio.create_task(store.read(digest("a")))
    patient = asyncio.create_task(store.read(digest("a")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert isinstance(await patient, StoredSession)
    assert impatient.cancelled()
