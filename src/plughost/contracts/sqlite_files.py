"""SQLite files copied while they are in use, and put back without pulling them from under anyone."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from plughost.contracts.backup import Artifact
from plughost.contracts.files import sync_to_disk
from plughost.exceptions import BackupError

if TYPE_CHECKING:
    from sqlite3 import Connection

_PIECE = 1 << 20


def sqlite_artifact(path: Path, *, lock_timeout: float = 30.0) -> Artifact:
    """Return a plugin's own SQLite file as a piece of a backup, for ``provide_backup_artifacts``.

    It is copied when its turn comes, beside the file, as it is at that moment; writers go on. The copy is gone when
    it was read. ``restore_sqlite`` is the way back.

    Args:
        path: The file; the artifact is called as it is.
        lock_timeout: Seconds to wait while somebody else has it locked.
    """

    def pieces() -> Iterator[bytes]:
        with tempfile.TemporaryDirectory(prefix=".saving-", dir=path.parent) as folder:
            copy = Path(folder) / path.name
            copy_sqlite(path, copy, lock_timeout=lock_timeout)
            with copy.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece

    return Artifact(name=path.name, stream=pieces, media_type="application/vnd.sqlite3")


def copy_sqlite(source: Path, target: Path, *, lock_timeout: float) -> None:
    """Copy a database as it is at one moment; writers may go on meanwhile. Blocking.

    A plain copy of the file would miss what still stands in the write-ahead log, and could catch a page
    half written. SQLite's backup API reads all pages in one read transaction.

    Raises:
        OSError, sqlite3.Error: It cannot be read, or there is no room for the copy.
    """
    with closing(_open(source, lock_timeout)) as old, closing(_connect(target)) as new:
        target.chmod(0o600)
        # Nobody else sees the copy before it is complete, so it needs neither a journal nor a sync of its
        # own.
        new.execute("PRAGMA journal_mode = OFF")
        new.execute("PRAGMA synchronous = OFF")
        old.backup(new)


def restore_sqlite(staged: Path, target: Path, *, overwrite: bool, lock_timeout: float = 30.0) -> None:
    """Put a copy back in the place of a database. Blocking.

    A readable database is overwritten in one transaction of its own, so whoever has it open sees the old or
    the new content and a killed process leaves the old. What is not a database any more is replaced by renaming.

    Raises:
        BackupError: Something is there and ``overwrite`` is False, or the copy is damaged.
        OSError, sqlite3.Error: It cannot be written.
    """
    with closing(_connect(staged)) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise BackupError(f"the saved database is damaged: {found}")
    if target.exists() and not overwrite and not _is_empty(target):
        raise BackupError(f"{target} exists; restore with overwrite=True (--yes) to replace what is in it")
    if target.exists() and _is_readable(target, lock_timeout):
        with closing(_connect(staged)) as new, closing(_open(target, lock_timeout)) as old:
            new.backup(old)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.restoring")
    try:
        with closing(_connect(staged)) as old, closing(_connect(aside)) as new:
            old.backup(new)
            new.execute("PRAGMA journal_mode = DELETE")
        aside.chmod(0o600)
        sync_to_disk(aside)
        for leftover in ("-wal", "-shm", "-journal"):  # of the file that goes; they would damage the new one
            target.with_name(target.name + leftover).unlink(missing_ok=True)
        aside.replace(target)
        sync_to_disk(target.parent)
    finally:
        aside.unlink(missing_ok=True)


def _connect(path: Path | str, **options: Any) -> Connection:
    import sqlite3  # few plugins have such a file, and every program that embeds a host would pay for it

    connection: Connection = sqlite3.connect(path, **options)
    return connection


def _open(path: Path, lock_timeout: float) -> Connection:
    # mode=rw: do not make an empty database out of a name that is not there
    name = f"file:{quote(str(path.absolute()))}?mode=rw"
    return _connect(name, uri=True, timeout=lock_timeout, check_same_thread=False)


def _is_empty(path: Path) -> bool:
    import sqlite3

    try:
        with closing(_open(path, 0)) as connection:
            return int(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]) == 0
    except sqlite3.Error:
        return path.stat().st_size == 0


def _is_readable(path: Path, lock_timeout: float) -> bool:
    import sqlite3

    try:
        with closing(_open(path, lock_timeout)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok")
    except sqlite3.DatabaseError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise
        return False


class KnownDatabase:
    """An SQLite file as it was when it was opened: it may be deleted or replaced while somebody has it open.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: _Identity = None
        self._log_opened: _Identity = None

    def note(self) -> None:
        """Remember it; call it when it was opened."""
        self._opened, self._log_opened = _identity(self._path), _identity(self._log)

    @property
    def is_another(self) -> bool:
        """Whether the file under the path is not the one that was opened: it was deleted or replaced."""
        return self._opened is not None and _identity(self._path) != self._opened

    def drop_old_log(self) -> None:
        """Remove the log of a file that was deleted or replaced, which must not be read into its successor.

        Call it with no connection of this process open. A log that another process began is kept.
        """
        if self._log_opened is not None and _identity(self._log) == self._log_opened:
            for ending in ("-wal", "-shm"):
                Path(f"{self._path}{ending}").unlink(missing_ok=True)
        self._opened = self._log_opened = None

    @property
    def _log(self) -> Path:
        return Path(f"{self._path}-wal")


_Identity = tuple[int, int] | None
"""What tells a file from another of its name; None when there is none."""


def _identity(path: Path) -> _Identity:
    try:
        found = os.stat(path)  # noqa: PTH116  with each step of a store
    except OSError:
        return None
    return found.st_dev, found.st_ino
