"""The SQLite file that holds tokens, sign-ins and the audit trail: one per host, for its user's eyes only."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plughost.contracts.files import close_to_others
from plughost.contracts.sqlite_files import KnownDatabase
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
        self._path = folder / FILE_NAME
        self._connection: sqlite3.Connection | None = None
        self._known = KnownDatabase(self._path)
        self._closing: Callable[[], object] = bool  # does nothing
        self._lock = threading.RLock()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._path

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
        with self._lock:
            if self._connection is not None:
                self._closing()
                self._connection = None

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                if self._connection is not None and self._known.is_another:
                    self.close()
                    self._known.drop_old_log()
                if self._connection is None:
                    self._connection = self._open()
                    self._known.note()
                    # Whoever forgets to close is not punished by a warning of the garbage collector.
                    self._closing = weakref.finalize(self, self._connection.close)
                yield self._connection
            except (sqlite3.Error, OSError) as error:
                raise StoreUnavailableError(f"{self._path} cannot be used: {error}") from error

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with its mode before SQLite sees it: changing it afterwards would leave a moment in between.
        for path in (self._path, *(self._path.with_name(FILE_NAME + ending) for ending in ("-wal", "-shm"))):
            close_to_others(path, make=path is self._path)
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript(_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection
