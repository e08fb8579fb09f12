"""The stores against the suites of what they offer, and in a host."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from plughost import Host
from plughost.contracts import BytesSessions, Cache, CacheManager, SessionManager, StoreSetup
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.plugin import CachePlugin
from plughost.testing import (
    BytesStoreSuite,
    CacheBackendSuite,
    FakeClock,
    SessionLoginSuite,
    SessionStoreSuite,
)
from plughost_example_stores import shelf
from plughost_example_stores.sessions import ExampleSessions, Settings

SECRET = "a-secret-of-more-than-thirty-two-signs"


class TestExampleSessions(SessionStoreSuite):
    @pytest.fixture
    def store(self, clock: FakeClock, tmp_path: Path) -> ExampleSessions:
        return ExampleSessions(
            StoreSetup(host_name="acme", data_dir=tmp_path, now=clock.time, settings=Settings())
        )


async def opened_shelf(clock: FakeClock, folder: Path) -> shelf.Shelf:
    setup = StoreSetup(host_name="acme", data_dir=folder, now=clock.time, settings=shelf.Settings())
    store = shelf.Shelf(setup)
    await store.open()
    return store


@pytest.mark.anyio
async def test_what_is_stored_after_the_file_was_deleted_is_in_the_file_that_is_there(tmp_path: Path) -> None:
    clock = FakeClock()
    store = await opened_shelf(clock, tmp_path)
    (tmp_path / "shelf.db").unlink()
    assert await store.commit("key", b"value", None, clock.time() + 60)
    other = await opened_shelf(clock, tmp_path)
    assert await other.find("key") == b"value"
    await other.close()
    await store.close()


@pytest.mark.anyio
async def test_a_file_is_closed_though_what_is_over_cannot_be_thrown_away(tmp_path: Path) -> None:
    store = await opened_shelf(FakeClock(), tmp_path)
    with store._file.connected() as connection:
        connection.execute("DROP TABLE shelf")
    with pytest.raises(StoreUnavailableError, match="no such table"):
        await store.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


class TestShelf(BytesStoreSuite):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> shelf.Shelf:
        return await opened_shelf(clock, tmp_path)


class TestSessionsOnAShelf(SessionLoginSuite):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> BytesSessions:
        return BytesSessions(await opened_shelf(clock, tmp_path), clock.time)


@pytest.mark.anyio
class TestCachesOnAShelf(CacheBackendSuite):
    @pytest.fixture(params=["asyncio"])  # for each value of the suite one run is enough
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    async def cache(self, tmp_path: Path, frozen_clock: FakeClock) -> AsyncIterator[Cache]:
        section = {"data_dir": str(tmp_path), "allow": []}
        async with Host("acme", config={"host": section}, environ={}) as host:
            settings = {"store": "plughost_example_stores.shelf:Shelf", "store_timeout": 30.0}
            await host.load_plugin(CachePlugin(frozen_clock), settings, name="cache")
            yield host.use(CacheManager).get("suite")

    @pytest.fixture
    def pass_time(self, frozen_clock: FakeClock) -> Callable[[float], Awaitable[object]]:
        return frozen_clock.advance


@pytest.mark.anyio
async def test_a_host_finds_the_shelf_by_its_entry_point(tmp_path: Path) -> None:
    settings = {"store": "shelf", "store_settings": {"file": "pages.db"}, "store_timeout": 30.0}
    config = {"host": {"data_dir": str(tmp_path)}, "plugins": {"cache": {"config": settings}}}
    for _ in range(2):
        async with Host("acme", config=config, environ={"PLUGHOST_LOAD_PLUGINS": "cache"}) as host:
            pages = host.use(CacheManager).get("pages")
            assert await pages.get_or_set("front", lambda: "made once") == "made once"
            kept = await pages.entry("front")
            assert kept is not None
            assert kept.tier == "store"
    assert (tmp_path / "cache" / "pages.db").exists()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("store", "name", "given"),
    [
        ("example", "example", {"most": 2}),
        ("plughost_example_stores.sessions:ExampleSessions", "example", {"most": 2}),
        ("shelf", "shelf", {"file": "s.db"}),
        ("plughost_example_stores.shelf:Shelf", "shelf", {}),
    ],
)
async def test_a_host_keeps_its_sessions_in_it(
    store: str, name: str, given: dict[str, object], tmp_path: Path
) -> None:
    settings = {"store": store, "store_settings": given, "secret": SECRET}
    config = {"host": {"data_dir": str(tmp_path)}, "plugins": {"sessions": {"config": settings}}}
    async with Host("acme", config=config, environ={"PLUGHOST_LOAD_PLUGINS": "sessions"}) as host:
        sessions = host.use(SessionManager)
        made = await sessions.create("7", fields={"cart": 1})
        found = await sessions.get(made.session_id)
        assert found is not None
        assert found.fields == {"cart": 1}
        assert (await sessions.stats()).store == name
        assert await sessions.destroy_user("7") == 1
        assert await sessions.get(made.session_id) is None
