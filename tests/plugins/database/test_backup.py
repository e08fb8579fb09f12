"""SQLite databases saved while they are in use, and brought back row for row."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from app_host import AppHost
from plughost.exceptions import BackupError
from plughost.plugins.database import DatabasePlugin
from revisions import write_revisions

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AppHost]:
    made = AppHost(tmp_path / "host")
    await made.load("database", DatabasePlugin())
    yield made
    await made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, photo BLOB)")
        connection.executemany(
            "INSERT INTO people VALUES (?, ?, ?)",
            [(i, f"name {i}", bytes([i % 256]) * 99) for i in range(5000)],
        )
        connection.execute("CREATE INDEX people_name ON people (name)")
        connection.commit()
    return path


def content(file: Path) -> list[str]:
    """The whole database as statements: schema and rows."""
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def app_on(file: Path) -> dict[str, Any]:
    return {"url": f"sqlite:///{file}"}


def delete(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def overwrite_with_garbage(file: Path) -> None:
    delete(file)
    file.write_bytes(b"no database any more" * 1000)


def drop_the_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE people")


def cut_in_half(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with file.open("r+b") as database:
        database.truncate(file.stat().st_size // 2)


@pytest.mark.parametrize("destroy", [delete, overwrite_with_garbage, drop_the_table, cut_in_half])
async def test_a_destroyed_database_comes_back_row_for_row(host: AppHost, file: Path, destroy: Any) -> None:
    before = content(file)
    await host.apps.register("shop", app_on(file))
    result = await host.backups.run()
    await host.apps.unregister("shop")
    destroy(file)
    host.configs["shop"] = app_on(file)
    await host.backups.restore(result.plan.backup_id, overwrite=True)
    assert content(file) == before
    await host.apps.register("shop", app_on(file))


async def test_a_database_comes_back_under_an_app_that_runs(host: AppHost, file: Path) -> None:
    before = content(file)
    record = await host.apps.register("shop", app_on(file))
    result = await host.backups.run()
    async with record.connection.begin() as connection:
        await connection.execute(sa.text("DELETE FROM people"))
    await host.backups.restore(result.plan.backup_id, overwrite=True)
    async with record.connection.connect() as connection:
        count = await connection.execute(sa.text("SELECT count(*) FROM people"))
        assert count.scalar_one() == 5000
    assert content(file) == before


async def test_what_is_committed_but_still_in_the_log_is_saved_too(host: AppHost, file: Path) -> None:
    record = await host.apps.register("shop", app_on(file))
    async with record.connection.connect() as connection:  # stays open, so the log is not emptied
        await connection.execute(sa.text("INSERT INTO people VALUES (9999, 'late', NULL)"))
        await connection.commit()
        result = await host.backups.run()
    before = content(file)
    await host.backups.restore(result.plan.backup_id, overwrite=True)
    assert content(file) == before
    assert any("'late'" in line for line in before)


async def test_a_writer_goes_on_during_a_backup_and_the_copy_is_of_one_moment(
    host: AppHost, file: Path
) -> None:
    record = await host.apps.register("shop", app_on(file))
    async with record.connection.begin() as connection:
        await connection.execute(sa.text("UPDATE people SET name = 'in flight'"))
        result = await host.backups.run()  # the open transaction neither blocks it nor is in it
    await host.backups.restore(result.plan.backup_id, overwrite=True)
    assert not any("in flight" in line for line in content(file))


async def test_two_apps_on_one_database_are_one_piece(host: AppHost, file: Path, tmp_path: Path) -> None:
    await host.apps.register("shop", app_on(file))
    await host.apps.register("blog", app_on(file))
    await host.apps.register("mail", app_on(tmp_path / "other.db"))
    result = await host.backups.run()
    assert [(entry.name, entry.labels["apps"]) for entry in result.entries] == [
        ("blog/database.sqlite", "blog,shop"),
        ("mail/database.sqlite", "mail"),
    ]


async def test_a_backup_can_be_of_one_app_alone(host: AppHost, file: Path, tmp_path: Path) -> None:
    await host.apps.register("shop", app_on(file))
    await host.apps.register("mail", app_on(tmp_path / "other.db"))
    result = await host.backups.run(apps=["mail"])
    assert [entry.name for entry in result.entries] == ["mail/database.sqlite"]


async def test_a_database_with_content_is_not_overwritten_without_being_told(
    host: AppHost, file: Path
) -> None:
    await host.apps.register("shop", app_on(file))
    result = await host.backups.run()
    drop_the_table(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE newer (a)")
    with pytest.raises(BackupError, match="overwrite=True"):
        await host.backups.restore(result.plan.backup_id)
    assert "newer" in "".join(content(file))


async def test_an_app_that_is_not_configured_any_more_is_named(host: AppHost, file: Path) -> None:
    await host.apps.register("shop", app_on(file))
    result = await host.backups.run()
    await host.apps.unregister("shop")
    with pytest.raises(BackupError, match="belongs to app shop, which has no sqlite url"):
        await host.backups.restore(result.plan.backup_id, overwrite=True)


async def test_a_saved_copy_remembers_what_was_found_so_that_a_rollback_still_works(
    host: AppHost, file: Path, tmp_path: Path
) -> None:
    before = content(file)
    config = {**app_on(file), "migrations": write_revisions(tmp_path / "shop", ["a"])}
    await host.apps.register("shop", config)
    result = await host.backups.run()
    await host.apps.unregister("shop")
    delete(file)
    host.configs["shop"] = config
    await host.backups.restore(result.plan.backup_id)
    await host.apps.register("shop", config)
    await host.apps.unregister("shop", rollback=True)
    assert content(file) == before


async def test_copies_are_gone_when_the_backup_is_made(host: AppHost, file: Path, tmp_path: Path) -> None:
    await host.apps.register("shop", app_on(file))
    await host.backups.run()
    left = [path.name for path in (tmp_path / "host").rglob("*") if path.is_file()]
    assert len(left) == 1
    assert left[0].endswith(".tar.zst")


async def test_no_room_for_the_copy_is_a_clear_error(host: AppHost, file: Path, tmp_path: Path) -> None:
    await host.apps.register("shop", app_on(file))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    try:
        with pytest.raises(BackupError, match="is there room"):
            await host.backups.run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((tmp_path / "host" / "backups").rglob("*"))
