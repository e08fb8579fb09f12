"""A plugin's own SQLite file, deleted or replaced under it."""

from __future__ import annotations

import gc
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from plughost.contracts import OwnDatabase


def make_table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS notes (text TEXT)")


def written(file: OwnDatabase, text: str) -> None:
    with file.connected() as connection:
        connection.execute("INSERT INTO notes VALUES (?)", (text,))


def found(path: Path) -> list[str]:
    """What another process would find."""
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY text")]


def deleted(path: Path) -> None:
    path.unlink()


def deleted_with_its_log(path: Path) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def deleted_with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replaced(path: Path) -> None:
    other = path.with_name("backup.db")
    with closing(OwnDatabase(other, make_table)) as file:
        written(file, "of the backup")
    other.replace(path)


EVENTS = {
    deleted: ["after"],
    deleted_with_its_log: ["after"],
    deleted_with_its_folder: ["after"],
    replaced: ["after", "of the backup"],
}


@pytest.mark.parametrize(
    ("happens", "kept"), EVENTS.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_what_is_written_after_a_file_was_deleted_or_replaced_is_in_the_file_that_is_there(
    tmp_path: Path, happens: Callable[[Path], None], kept: list[str]
) -> None:
    path = tmp_path / "own" / "notes.db"
    with closing(OwnDatabase(path, make_table)) as file:
        written(file, "before")
        happens(path)
        written(file, "after")
        assert found(path) == kept
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_transaction_that_is_under_way_ends_where_it_began(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with closing(OwnDatabase(path, make_table)) as file:
        with file.connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            path.unlink()
            written(file, "inside")
            assert connection.in_transaction
            connection.execute("COMMIT")
        written(file, "after")
        assert found(path) == ["after"]


def test_a_block_within_a_block_has_the_same_connection_whatever_befell_the_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with closing(OwnDatabase(path, make_table)) as file:
        with file.connected() as outer:
            path.unlink()
            with file.connected() as inner:
                assert inner is outer
            outer.execute("INSERT INTO notes VALUES ('lost with its file')")
        written(file, "after")
        assert found(path) == ["after"]


def test_threads_come_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    with closing(OwnDatabase(path, make_table)) as file:
        threads = [threading.Thread(target=written, args=(file, f"{number}")) for number in range(8)]
        with file.connected() as connection:
            for thread in threads:
                thread.start()
            connection.execute("BEGIN IMMEDIATE")
            path.unlink()
            connection.execute("COMMIT")
        for thread in threads:
            thread.join()
        assert found(path) == [f"{number}" for number in range(8)]


def test_it_is_opened_again_after_it_was_closed_and_closed_when_nobody_has_it(tmp_path: Path) -> None:
    file = OwnDatabase(tmp_path / "notes.db", make_table)
    file.close()
    file.open()
    file.close()
    written(file, "again")
    del file
    gc.collect()  # the suite fails on a connection that was left open
    assert found(tmp_path / "notes.db") == ["again"]


def test_a_link_and_a_file_that_is_no_database_are_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.db").touch()
    (tmp_path / "link.db").symlink_to("elsewhere.db")
    with pytest.raises(PermissionError):
        OwnDatabase(tmp_path / "link.db", make_table).open()
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(sqlite3.DatabaseError):
        OwnDatabase(tmp_path / "text.db", make_table).open()
    assert (tmp_path / "text.db").read_text().startswith("no database")
    assert (tmp_path / "link.db").readlink() == Path("elsewhere.db")
