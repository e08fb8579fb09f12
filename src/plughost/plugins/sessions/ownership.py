"""One process owns a session database: its file, its folder, its lock."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from pathlib import Path

from plughost.contracts.logs import get_logger
from plughost.exceptions import StoreUnavailableError

_NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "afs", "ncpfs", "fuse.glusterfs", "ceph", "9p",
}  # fmt: skip

WAL_RESET_FIXED = (3, 51, 3)
"""Before this version two connections that write or checkpoint at the same moment can damage a WAL database.
One connection does both here, so the bug cannot be met; ``sqlite3`` shells on a live file can still meet
it."""

_log = get_logger("plughost.sessions")


class FileOwnership:
    """Holds the lock of one database file for as long as this object is kept open.

    Args:
        path: The database file; it is made when missing, readable by nobody else.

    Raises:
        StoreUnavailableError: Another process owns it, it is on a network file system, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._refuse_network()
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailableError(f"{path} cannot be made: {error.strerror}") from error
        try:
            self._lock()
            self._prepare_file()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let others own the file. The lock file stays: removing it would race with the next owner."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _lock(self) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            raise StoreUnavailableError(
                f"process {owner} owns {self._path}: one process writes a session database. Stop it, use"
                " another"
                " path, or let several instances share sessions with store = 'redis'."
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _prepare_file(self) -> None:
        try:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if self._path.stat().st_mode & 0o077:
                _log.warning("session database was readable by others, closed to them", path=str(self._path))
                self._path.chmod(0o600)
        except OSError as error:
            raise StoreUnavailableError(
                f"{self._path} cannot be written: {error.strerror}. Give its owner the right to, or use"
                " another path."
            ) from error

    def _refuse_network(self) -> None:
        kind = _file_system_of(self._path)
        if kind in _NETWORK:
            raise StoreUnavailableError(
                f"{self._path} is on a network file system ({kind}), where SQLite's locks do not hold: use"
                " a local"
                " path, or store = 'redis'."
            )


def connect_writer(path: Path) -> sqlite3.Connection:
    """Return the one connection that writes: WAL, flushed at each commit.

    Raises:
        StoreUnavailableError: The file is damaged, is no database, or cannot be used in WAL mode.
    """
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=5.0, check_same_thread=False)
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise StoreUnavailableError(
                f"{path} cannot be used in WAL mode, only in {mode!r}: use a local path"
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
    except sqlite3.Error as error:
        raise StoreUnavailableError(f"{path} cannot be opened: {error}. It is kept as it is.") from error
    if verdict != "ok":
        raise StoreUnavailableError(f"{path} is damaged ({verdict}). It is kept as it is: restore a backup.")
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that can only read, for the thread of the event loop."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        timeout=0.0,
        check_same_thread=False,
    )
    for pragma in ("query_only=ON", "trusted_schema=OFF", "wal_autocheckpoint=0", "cache_size=-16384"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


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
