"""A plugin's own SQLite file in a backup: whole while somebody writes to it, and put back beneath who has it open."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import Artifact, RestorePlan, restore_sqlite, sqlite_artifact
from plughost.exceptions import BackupError

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
def notes(path: Path) -> Iterator[sqlite3.Connection]:
    """An open file whose last entries stand in its log only."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("CREATE TABLE note (text TEXT)")
        connection.executemany("INSERT INTO note VALUES (?)", [(f"note {number}",) for number in range(200)])
        yield connection


def count(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM note").fetchone()[0])


def saved(artifact: Artifact) -> bytes:
    assert artifact.stream is not None
    pieces = artifact.stream()
    assert not hasattr(pieces, "__aiter__")
    return b"".join(pieces)  # type: ignore[arg-type]


def test_what_stands_in_the_log_only_is_saved_and_a_transaction_that_goes_on_is_not(
    path: Path, notes: sqlite3.Connection, tmp_path: Path
) -> None:
    artifact = sqlite_artifact(path)
    notes.execute("BEGIN")
    notes.execute("INSERT INTO note VALUES ('not yet')")
    copy = tmp_path / "copy.db"
    copy.write_bytes(saved(artifact))
    notes.execute("COMMIT")
    with closing(sqlite3.connect(copy)) as found:
        assert count(found) == 200
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "copy.db", "notes.db", "notes.db-shm", "notes.db-wal"
    ]  # fmt: skip


def test_it_is_put_back_beneath_who_has_it_open_if_what_is_there_may_go(
    path: Path, notes: sqlite3.Connection, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    copy.write_bytes(saved(sqlite_artifact(path)))
    notes.execute("DELETE FROM note")
    with pytest.raises(BackupError, match="overwrite=True"):
        restore_sqlite(copy, path, overwrite=False)
    assert count(notes) == 0
    restore_sqlite(copy, path, overwrite=True)
    assert count(notes) == 200
    copy.write_bytes(copy.read_bytes()[:5000])
    with pytest.raises((BackupError, sqlite3.DatabaseError)):
        restore_sqlite(copy, path, overwrite=True)
    assert count(notes) == 200


class Notes(Plugin):
    """Keeps its notes in a file, as the documentation shows it."""

    name = "notes"

    async def start(self, context: object) -> None:
        self.file: Path = context.data_dir / "notes.db"  # type: ignore[attr-defined]
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute("CREATE TABLE IF NOT EXISTS note (text TEXT)")

    @hookimpl
    def provide_backup_artifacts(self) -> list[Artifact]:
        return [sqlite_artifact(self.file)]

    @hookimpl(blocking=True)
    def restore_artifact(self, artifact: Artifact, plan: RestorePlan) -> bool | None:
        if artifact.plugin != self.name or artifact.path is None:
            return None
        restore_sqlite(artifact.path, self.file, overwrite=plan.overwrite)
        return True


async def test_a_backup_of_a_host_holds_it_and_brings_it_back(host: Host) -> None:
    await host.load_plugin(Notes)
    with closing(sqlite3.connect(host.data_dir / "notes" / "notes.db", isolation_level=None)) as notes:
        notes.execute("INSERT INTO note VALUES ('mine')")
        await host.backups.run()
        notes.execute("DELETE FROM note")
        (archive,) = (host.data_dir / "backups").glob("*.tar*")
        result = await host.backups.restore(archive, overwrite=True)
        assert result.restored == ("notes.db",)
        assert count(notes) == 1
