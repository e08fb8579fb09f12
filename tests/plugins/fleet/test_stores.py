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
