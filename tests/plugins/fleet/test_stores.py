"""The stores in memory and in SQLite: the suite that every store must pass, and their own promises."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from fleet_racing import race
from plughost.contracts import copy_sqlite
from plughost.contracts.fleet_store import Beat, Greeting, Proposal
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.fleet.stores.memory import MemoryFleetStore
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from plughost.testing import FakeClock, FleetStoreSuite

pytestmark = pytest.mark.anyio


class TestMemoryFleetStore(FleetStoreSuite):
    @pytest.fixture
    def store(self, clock: FakeClock) -> MemoryFleetStore:
        return MemoryFleetStore(clock.time)


class TestSqliteFleetStore(FleetStoreSuite):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SqliteFleetStore]:
        store = SqliteFleetStore(tmp_path / "fleet" / "fleet.db", clock.time)
        await store.open()
        yield store
        await store.close()


async def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    store = SqliteFleetStore(tmp_path / "fleet.db")
    await store.open()
    assert (tmp_path / "fleet.db").stat().st_mode & 0o077 == 0
    await store.close()


async def test_fleets_in_one_file_know_nothing_of_each_other(tmp_path: Path) -> None:
    path = tmp_path / "fleet.db"
    shop, again, blog = (SqliteFleetStore(path, fleet=name) for name in ("shop", "shop", "blog"))
    for store, member in ((shop, "a"), (blog, "b"), (again, "c")):
        await store.open()
        await store.join(Greeting(member=member, ttl=60_000))
        await store.propose(Proposal(number=1, expect=0, document=member.encode()))
    assert [one.member for one in (await shop.view()).members] == ["a", "c"]
    assert [one.member for one in (await blog.view()).members] == ["b"]
    assert [await store.revision(1) for store in (shop, again, blog)] == [b"a", b"a", b"b"]
    assert (await shop.view()).epoch == (await again.view()).epoch != (await blog.view()).epoch
    for store in (shop, again, blog):
        await store.close()


async def test_a_file_that_another_plughost_made_is_that_of_the_first_who_opens_it(tmp_path: Path) -> None:
    older, shop = (
        SqliteFleetStore(tmp_path / "fleet.db"),
        SqliteFleetStore(tmp_path / "fleet.db", fleet="shop"),
    )
    await older.open()
    await older.join(Greeting(member="a", ttl=60_000))
    await shop.open()
    assert [one.member for one in (await shop.view()).members] == ["a"]
    for store in (older, shop):
        await store.close()


def told(store: SqliteFleetStore, pragma: str) -> int:
    """Have SQLite do as if its disk were another one."""
    with store._file.connected() as connection:
        return int((connection.execute(f"PRAGMA {pragma}").fetchone() or [0])[0])


async def test_a_full_disk_is_told_and_what_is_there_is_kept_and_goes_on(tmp_path: Path) -> None:
    store = SqliteFleetStore(tmp_path / "fleet.db")
    await store.open()
    incarnation = (await store.join(Greeting(member="a", ttl=60_000))).incarnation
    told(store, f"max_page_count={told(store, 'page_count')}")
    with pytest.raises(StoreUnavailableError, match="full"):
        await store.join(Greeting(member="b", ttl=60_000, card=b"x" * 50_000))
    assert [one.member for one in (await store.view()).members] == ["a"]
    assert (await store.beat(Beat(member="a", incarnation=incarnation))).known
    told(store, "max_page_count=1000000")
    await store.join(Greeting(member="b", ttl=60_000, card=b"x" * 50_000))
    assert [one.member for one in (await store.view()).members] == ["a", "b"]
    await store.close()


async def test_a_file_that_may_be_read_and_not_written_is_told_as_that(tmp_path: Path) -> None:
    store = SqliteFleetStore(tmp_path / "fleet.db")
    await store.open()
    await store.join(Greeting(member="a", ttl=60_000))
    told(store, "query_only=ON")
    with pytest.raises(StoreUnavailableError, match="readonly database"):
        await store.join(Greeting(member="b", ttl=60_000))
    assert [one.member for one in (await store.view()).members] == ["a"]
    await store.close()


async def test_a_link_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "fleet.db").symlink_to(tmp_path / "elsewhere")
    store = SqliteFleetStore(tmp_path / "fleet.db")
    with pytest.raises(StoreUnavailableError, match="symbolic link"):
        await store.open()
    assert not (tmp_path / "elsewhere").exists()


async def test_a_file_that_was_deleted_is_another_fleet(tmp_path: Path) -> None:
    store = SqliteFleetStore(tmp_path / "fleet.db")
    await store.open()
    welcome = await store.join(Greeting(member="a", ttl=15_000))
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"fleet.db{ending}").unlink()
    assert not (await store.beat(Beat(member="a", incarnation=welcome.incarnation))).known
    again = await store.join(Greeting(member="a", ttl=15_000))
    assert again.epoch != welcome.epoch
    # It is counted in milliseconds, and all of this may happen in one of them.
    assert again.incarnation >= welcome.incarnation
    await store.close()


async def test_a_backup_put_in_the_place_of_the_file_is_taken_as_it_is_by_all_who_have_it_open(
    tmp_path: Path,
) -> None:
    path = tmp_path / "fleet.db"
    stores = [SqliteFleetStore(path), SqliteFleetStore(path)]
    for store in stores:
        await store.open()
    await stores[0].propose(Proposal(number=1, expect=0, document=b"one"))
    copy_sqlite(path, tmp_path / "backup", lock_timeout=5.0)
    for number in range(2, 30):
        await stores[0].propose(Proposal(number=number, expect=number - 1, document=b"later" * 500))
    await stores[1].steering()
    (tmp_path / "backup").replace(path)  # and the log of the file before is still beside it
    for store in stores:
        assert (await store.steering()).active == 1
        assert await store.revision(1) == b"one"
        assert await store.revision(2) is None
    for store in stores:
        await store.close()
    with closing(sqlite3.connect(path)) as now:
        assert now.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_processes_that_race_for_the_slots_of_one_file_start_none_twice(tmp_path: Path) -> None:
    imports = "from pathlib import Path\nfrom plughost.plugins.fleet.stores.sqlite import SqliteFleetStore"
    race(imports, f"SqliteFleetStore(Path({str(tmp_path / 'fleet.db')!r}))")


async def test_what_is_read_does_not_wait_for_a_process_that_was_stopped_while_it_wrote(
    tmp_path: Path,
) -> None:
    store = SqliteFleetStore(tmp_path / "fleet.db")
    await store.open()
    await store.join(Greeting(member="a", ttl=15_000))
    await store.propose(Proposal(number=1, expect=0, document=b"one"))
    asleep = sqlite3.connect(store.path, isolation_level=None)
    asleep.execute("BEGIN IMMEDIATE")
    try:
        assert [one.member for one in (await store.view()).members] == ["a"]
        assert (await store.steering()).active == 1
        assert await store.revision(1) == b"one"
        assert len(await store.revisions()) == 1
    finally:
        asleep.close()
        await store.close()
