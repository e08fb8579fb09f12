"""The file of a session database: made for its owner alone, opened safely, and known again.

Several processes of one machine may have it open, and each writes in its turn.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from plughost.contracts import KnownDatabase, get_logger
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.turns import WriterTurns

_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ncpfs", "fuse.glusterfs", "ceph", "9p",
}  # fmt: skip
_READER_WAITS = 2.0
"""Seconds. In WAL mode nobody waits for a writer; but while the log of a killed process is recovered, all do."""

_log = get_logger("plughost.sessions")


class DatabaseFile:
    """One database file and what it was when it was opened.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = KnownDatabase(path)

    def prepare(self) -> None:
        """Make the file when it is missing, readable by nobody else.

        Raises:
            StoreUnavailableError: It is on a network file system, or cannot be made or written.
        """
        kind = _file_system_of(self.path)
        if kind in _NETWORK:
            raise StoreUnavailableError(
                f"{self.path} is on a network file system ({kind}), where SQLite's locks do not hold: use a"
                " local path, or store = 'redis'"
            )
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(self.path, flags, 0o600))
            if self.path.stat().st_mode & 0o077:
                _log.warning("session database was readable by others, closed to them", path=str(self.path))
                self.path.chmod(0o600)
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise StoreUnavailableError(
                    f"{self.path} is a symbolic link, which could lead to somebody else's sessions: name the file"
                    " that it leads to as path"
                ) from error
            raise StoreUnavailableError(
                f"{self.path} cannot be made or written: {error.strerror}. Give its owner the right to, or use"
                " another path"
            ) from error

    def connect_writer(self, turns: WriterTurns) -> sqlite3.Connection:
        """Return the one connection of this process that writes: WAL, flushed at each commit.

        Raises:
            StoreUnavailableError: The file is damaged, is not a database, or cannot be used in WAL mode.
        """
        try:
            connection = sqlite3.connect(
                self.path, isolation_level=None, timeout=5.0, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _cannot_be_opened(self.path, error) from error
        try:
            self._set_up(connection, turns)
            self._known.note()
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.Error):
                raise _cannot_be_opened(self.path, error) from error
            raise
        return connection

    def connect_reader(self) -> sqlite3.Connection:
        """Return a connection that can only read, for the thread of the event loop.

        Raises:
            sqlite3.Error: It cannot be opened.
        """
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            timeout=_READER_WAITS,
            check_same_thread=False,
        )
        try:
            for pragma in (
                "query_only=ON",
                "trusted_schema=OFF",
                "wal_autocheckpoint=0",
                "cache_size=-16384",
            ):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    def is_another(self) -> bool:
        """Whether the file under the path is not the one that was opened: it was deleted or replaced."""
        return self._known.is_another

    def drop_old_log(self) -> None:
        """Remove what a file that was deleted or replaced left; call it in a turn, with no connection open."""
        self._known.drop_old_log()

    def _set_up(self, connection: sqlite3.Connection, turns: WriterTurns) -> None:
        with turns:  # in a new file this writes
            mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreUnavailableError(
                f"{self.path} cannot be used in WAL mode, only in {mode!r}: use a local path"
            )
        # Four times SQLite's default: a page that many commits change is copied back once, at 16 MiB of log.
        # As much is kept in memory, not 2 MiB: pages of the sessions in use need not be read for each change.
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",
            "journal_size_limit=67108864",
            "wal_autocheckpoint=4000",
            "cache_size=-16384",
        ):
            connection.execute(f"PRAGMA {pragma}")
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise StoreUnavailableError(
                f"{self.path} is damaged ({verdict}). It is kept as it is: restore a backup"
            )


def _cannot_be_opened(path: Path, error: sqlite3.Error) -> StoreUnavailableError:
    return StoreUnavailableError(f"{path} cannot be opened: {error}. It is kept as it is")


def _file_system_of(path: Path) -> str:
    """Return the kind of file system a path is on; empty when that cannot be told."""
    try:
        table = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    wanted = path.absolute()
    best, kind = -1, ""
    for line in table.splitlines():
        _, mount, this_kind, *_ = line.split(" ")
        if wanted.is_relative_to(mount) and len(mount) >= best:
            best, kind = len(mount), this_kind
    return kind
