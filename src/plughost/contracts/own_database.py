"""A plugin's own SQLite file: for its owner alone, and opened anew when it was deleted or replaced meanwhile."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from plughost.contracts.files import close_to_others
from plughost.contracts.sqlite_files import KnownDatabase

if TYPE_CHECKING:
    from sqlite3 import Connection


class OwnDatabase:
    """One connection to a file, made when it is first used, for one thread at a time; processes may have one each.

    Without this a plugin whose file was deleted, or has a backup in its place, goes on writing into the file that is
    gone: each write says that it worked, and none is there after a restart.

    For example::

        self._file = OwnDatabase(context.data_dir / "notes.db", make_tables)
        with self._file.connected() as connection:
            connection.execute("INSERT INTO notes VALUES (?)", (text,))

    Args:
        path: Where it is; it is made when it is not there, and its folder too.
        set_up: Is called with each connection that is opened, to make the tables.
        timeout: Seconds to wait while another process writes.
    """

    def __init__(self, path: Path, set_up: Callable[[Connection], object], *, timeout: float = 10.0) -> None:
        self.path = path
        self._set_up = set_up
        self._timeout = timeout
        self._connection: Connection | None = None
        self._known = KnownDatabase(path)
        self._closing: Callable[[], object] = bool  # does nothing
        self._lock = threading.RLock()
        self._in_use = False

    def open(self) -> None:
        """Open it now, so that a file which cannot be used is told at the start.

        Raises:
            OSError, sqlite3.Error: It cannot be opened.
        """
        with self.connected():
            pass

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Give the connection, in WAL mode and without transactions but those that are begun; nobody else has it then.

        A block within a block is given the same one.

        Raises:
            OSError, sqlite3.Error: The file cannot be opened.
        """
        with self._lock:
            if self._in_use and self._connection is not None:
                yield self._connection
                return
            self._in_use = True
            try:
                yield self._current()
            finally:
                self._in_use = False

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            self._closing()
            self._connection = None

    def _current(self) -> Connection:
        if self._connection is not None and self._known.is_another:
            self.close()
            self._known.drop_old_log()
        if self._connection is None:
            self._connection = self._open()
            self._known.note()
            # Whoever forgets to close is not punished by a warning of the garbage collector.
            self._closing = weakref.finalize(self, self._connection.close)
        return self._connection

    def _open(self) -> Connection:
        import sqlite3  # few plugins have such a file, and every program that embeds a host would pay for it

        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with its mode before SQLite sees it: changing it afterwards would leave a moment in between.
        for ending in ("", "-wal", "-shm"):
            close_to_others(Path(f"{self.path}{ending}"), make=not ending)
        connection = sqlite3.connect(
            self.path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA trusted_schema = OFF")
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        return connection
