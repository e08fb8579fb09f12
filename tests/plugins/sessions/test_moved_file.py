"""A session database that is deleted, replaced or cannot grow while it is in use."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plughost import Host
from plughost.contracts import HealthReport, SessionManager
from plughost.contracts.clock import SteadyTime
from plughost.contracts.session_store import StoredSession
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.plugin import SessionsPlugin
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.testing.clock import FakeClock
from plughost.testing.suites.session_store import digest, new

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "sessions.db", SteadyTime(clock))
    await store.open()
    yield store
    await store.close()


def files(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}*"))


@pytest.mark.parametrize("everything", [False, True])
async def test_what_is_created_after_a_deletion_is_in_the_file_that_is_there(
    store: SQLiteStore, clock: FakeClock, everything: bool
) -> None:
    await store.create(new("gone"))
    for path in files(store.path) if everything else [store.path]:
        path.unlink()
    assert await store.create(new("a")) is not None
    assert isinstance(await store.read(digest("a")), StoredSession)
    assert await store.read(digest("gone")) is None
    assert (await store.stats()).active == 1
    again = SQLiteStore(store.path, SteadyTime(clock))
    await again.open()
    assert isinstance(await again.read(digest("a")), StoredSession)
    await again.close()


async def test_an_idle_process_notices_too(store: SQLiteStore) -> None:
    await store.create(new("gone"))
    store.path.unlink()
    await store.look_after()
    assert await store.read(digest("gone")) is None


async def test_a_backup_put_in_the_place_of_the_file_is_taken_as_it_is(
    store: SQLiteStore, tmp_path: Path
) -> None:
    await store.create(new("kept"))
    backup = tmp_path / "backup"
    source, target = sqlite3.connect(store.path), sqlite3.connect(backup)
    source.backup(target)
    source.close()
    target.close()
    for number in range(50):
        await store.create(new(f"later{number}", fields={"x": b"y" * 500}))
    backup.replace(store.path)  # and the log of the file before is still beside it
    assert await store.create(new("after")) is not None
    assert isinstance(await store.read(digest("kept")), StoredSession)
    assert await store.read(digest("later7")) is None
    assert (await store.stats()).active == 2


async def test_two_processes_go_on_together_after_a_deletion(store: SQLiteStore, clock: FakeClock) -> None:
    other = SQLiteStore(store.path, SteadyTime(clock))
    await other.open()
    for path in files(store.path):
        path.unlink()
    await other.create(new("a"))
    await store.create(new("b"))
    assert isinstance(await store.read(digest("a")), StoredSession)
    assert isinstance(await other.read(digest("b")), StoredSession)
    await other.close()


async def test_another_programs_file_in_its_place_is_refused_until_it_is_gone(store: SQLiteStore) -> None:
    store.path.unlink()
    store.path.write_bytes(b"precious notes, not a database" * 100)
    with pytest.raises(StoreUnavailableError, match="kept"):
        await store.create(new("a"))
    with pytest.raises(StoreUnavailableError):
        await store.self_check()
    assert store.path.read_bytes().startswith(b"precious notes")
    store.path.unlink()
    assert await store.create(new("a")) is not None
    assert isinstance(await store.read(digest("a")), StoredSession)


async def test_a_check_writes_and_remembers_writes_that_failed(store: SQLiteStore, clock: FakeClock) -> None:
    assert await store.self_check() == ""
    pages = await store._writer.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await store._writer.run(lambda c: c.execute(f"PRAGMA max_page_count={pages}").fetchone())
    failed = 0
    for number in range(9):
        try:
            await store.create(new(f"big{number}", fields={"x": b"y" * 9000}))
        except StoreUnavailableError:
            failed += 1
    assert failed
    with pytest.raises(StoreUnavailableError, match=f"^{failed} writes .* disk is full"):
        await store.self_check()
    await clock.advance(61)
    assert await store.self_check() == ""


async def test_a_check_fails_where_nothing_can_be_written(store: SQLiteStore) -> None:
    await store._writer.run(lambda c: None)
    await store._writer.run(lambda c: c.execute("PRAGMA busy_timeout=20").fetchone())
    hand = sqlite3.connect(store.path, isolation_level=None)
    hand.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="cannot be written"):
        await store.self_check()
    hand.execute("ROLLBACK")
    hand.close()


async def test_health_tells_of_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    async with Host(
        "acme",
        config={"host": {"data_dir": str(tmp_path / "data")}},
        environ={"PLUGHOST_LOAD_PLUGINS": ""},
    ) as host:
        await host.load_plugin(SessionsPlugin, {}, name="sessions")
        assert of_sessions(await host.health()) == "pass"
        folder = tmp_path / "data/sessions"
        shutil.rmtree(folder)
        folder.write_text("")
        assert of_sessions(await host.health()) == "fail"
        with pytest.raises(StoreUnavailableError):
            await host.use(SessionManager).create("7")
        folder.unlink()
        assert await host.use(SessionManager).create("7")
        assert of_sessions(await host.health()) == "fail", "writes failed a moment ago"


def of_sessions(report: HealthReport) -> str:
    (status,) = (check.status for check in report.checks if check.name == "sessions")
    return status
