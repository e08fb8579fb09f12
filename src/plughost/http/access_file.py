"""The SQLite file that holds tokens, sign-ins and the audit trail: one per host, for its user's eyes only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plughost.contracts.own_database import OwnDatabase
from plughost.exceptions import StoreUnavailableError

FILE_NAME = "access.sqlite3"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, digest BLOB NOT NULL, scopes TEXT NOT NULL,
    created_at REAL NOT NULL, expires_at REAL NOT NULL, last_used_at REAL, revoked_at REAL
) STRICT;
CREATE TABLE IF NOT EXISTS links (
    digest BLOB PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL, expires_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS browsers (
    digest BLOB PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL, expires_at REAL NOT NULL, token_id TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, actor TEXT NOT NULL, verb TEXT NOT NULL,
    target TEXT NOT NULL, status INTEGER NOT NULL, detail TEXT NOT NULL, address TEXT NOT NULL,
    request_id TEXT NOT NULL
) STRICT;
CREATE TRIGGER IF NOT EXISTS audit_is_not_rewritten BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is not rewritten'); END;
CREATE TRIGGER IF NOT EXISTS audit_is_not_erased BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit trail is not erased'); END;
PRAGMA user_version = 1;
"""


class AccessFile:
    """A connection to the file, made when first needed; several processes may have one each.

    A file that was deleted or replaced is opened anew: what another process revokes or makes there counts at once.

    Args:
        folder: The host's ``data_dir``; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._file = OwnDatabase(folder / FILE_NAME, _set_up, timeout=5.0)

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    def read(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Return the rows of a query.

        Raises:
            StoreUnavailableError: The file cannot be read.
        """
        with self._connected() as connection:
            return connection.execute(query, values).fetchall()

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Give a connection inside a transaction, which is durable afterwards or has left no trace.

        Raises:
            StoreUnavailableError: The file cannot be written.
        """
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        self._file.close()

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._file.connected() as connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailableError(f"{self.path} cannot be used: {error}") from error


def _set_up(connection: sqlite3.Connection) -> None:
    connection.row_factory = sqlite3.Row
    connection.executescript(_SCHEMA)
