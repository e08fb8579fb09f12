"""Sessions in an SQLite file: the default, for the processes of one machine, any of which may be killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from plughost.contracts import (
    NewSession,
    PurgedSession,
    ReplacedSession,
    SessionPatch,
    SessionStats,
    StoredSession,
    VersionConflict,
    get_logger,
)
from plughost.exceptions import SessionDataError, SessionUnreadableError, StoreUnavailableError
from plughost.plugins.sessions.database_file import DatabaseFile
from plughost.plugins.sessions.stores.schema import prepare, rewrite_header
from plughost.plugins.sessions.stores.tables import LIST, PAGE, Tables, to_row
from plughost.plugins.sessions.turns import WriterTurns
from plughost.plugins.sessions.writer import GroupCommitWriter

T = TypeVar("T")

_REMEMBERED = 60.0
"""Seconds that a write which failed stays a complaint of ``self_check``."""

_log = get_logger("plughost.sessions")


class SQLiteStore:
    """A ``SessionStore`` and ``ImmediateStore`` over one file, which processes of one machine may share.

    Writes go through one thread that commits them in groups, flushed to the disk before any of them returns;
    processes take turns. Reads happen in the event loop's own thread on a connection that can only read: a
    point read takes some microseconds where a hop to another thread takes a hundred. In WAL mode no writer makes
    a reader wait; at worst a read waits for a page of the disk, or for the log of a killed process to be read.

    A file that was deleted or replaced is noticed by the next write and by ``self_check``, and opened again.

    Args:
        path: The database file.
        now: Returns the time; called from two threads.
    """

    name = "sqlite"

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self.path = path
        self._now = now
        self._tables = Tables(now)
        self._file = DatabaseFile(path)
        self._turns: WriterTurns | None = None
        self._reader: sqlite3.Connection | None = None
        self._failed_writes = 0
        self._failed_at = float("-inf")
        self._writer = GroupCommitWriter(
            self._connect,
            turn=self._turn,
            is_stale=self._file.is_another,
            reopened=self._reopen_reader,
            refusals=(VersionConflict, SessionDataError, SessionUnreadableError),
            committed=self._tables.committed,
            rolled_back=self._tables.rolled_back,
        )

    async def open(self) -> None:
        """Open the file, make it when it is missing, and count what is in it.

        Raises:
            StoreUnavailableError: It cannot be used; the message says what to do. It may be tried again.
        """
        try:
            await self._writer.start()
            self._reader = self._file.connect_reader()
            self._failed_writes = 0
        except BaseException as error:
            await self.close()
            if isinstance(error, sqlite3.Error):
                raise _unreadable(error) from error
            raise

    async def close(self) -> None:
        """Finish what is queued and let the file go."""
        self._close_reader()  # before the writer: the last one to close copies the log back, which a reader cannot
        await self._writer.stop()
        if self._turns is not None:
            self._turns.close()
            self._turns = None

    async def self_check(self) -> str:
        """Write to the file, and say whether writes failed of late.

        Raises:
            StoreUnavailableError: It cannot be written.
        """
        # Not counted as a success: a page that is there already can be written when no new one can.
        await self._writer.run(rewrite_header)
        if self._now() - self._failed_at >= _REMEMBERED:
            self._failed_writes = 0
        elif self._failed_writes:
            raise StoreUnavailableError(
                f"{self._failed_writes} writes to {self.path} failed lately: see whether its disk is full"
            )
        return ""

    async def look_after(self) -> None:
        """Open the file again if it was deleted or replaced; cheap when it was not."""
        if self._reader is not None and self._file.is_another():
            await self._writer.run(lambda connection: None)

    async def create(self, new: NewSession) -> StoredSession | None:
        """Store a new session."""
        return await self._write(lambda connection: self._tables.create(connection, new))

    def read_now(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive."""
        if self._reader is None:
            raise _closed()
        try:
            return self._tables.find(self._reader, digest)
        except sqlite3.Error as error:
            raise _unreadable(error) from error

    async def read(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive."""
        return self.read_now(digest)

    async def patch(self, digest: bytes, patch: SessionPatch) -> StoredSession | None:
        """Merge a change into a living session."""
        return await self._write(lambda connection: self._tables.patch(connection, digest, patch))

    async def touch(self, digest: bytes) -> None:
        """Note that it is used; durable with the next commit."""
        self._writer.post(lambda connection: self._tables.touch(connection, digest))

    async def replace(
        self, digest: bytes, new: NewSession, *, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one."""
        return await self._write(
            lambda connection: self._tables.replace(connection, digest, new, version, grace)
        )

    async def delete(self, digest: bytes) -> StoredSession | None:
        """End a session."""
        return await self._write(lambda connection: self._tables.delete(connection, digest))

    async def end_subject(self, subject: str, keep: bytes | None = None) -> int:
        """End all sessions of a subject but one."""
        return await self._write(lambda connection: self._tables.end_subject(connection, subject, keep))

    async def list_subject(self, subject: str, limit: int | None = None) -> list[StoredSession]:
        """Return the living sessions of a subject, newest first."""
        return self._many(LIST, (subject, self._now(), -1 if limit is None else limit))

    async def purge(self, limit: int) -> list[PurgedSession]:
        """Remove at most ``limit`` sessions that are over."""
        return await self._write(lambda connection: self._tables.purge(connection, limit))

    async def stats(self) -> SessionStats:
        """Return the figures: exact but for users, who are counted to ten seconds."""
        return await self._writer.run(lambda connection: self._tables.figures(connection, self.name))

    async def page(self, cursor: str | None, limit: int) -> tuple[list[StoredSession], str | None]:
        """Return living sessions in pages, in the order of their digests."""
        after = bytes.fromhex(cursor or "")
        rows = self._many(PAGE, (after, self._now(), limit))
        return rows, rows[-1].digest.hex() if len(rows) == limit else None

    async def adopt(self, sessions: Sequence[StoredSession]) -> int:
        """Take over living sessions of another store, in one transaction."""
        return await self._write(lambda connection: self._tables.adopt(connection, sessions))

    async def _write(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._writer.run(operation)
        except SessionUnreadableError:
            raise  # one damaged row says nothing of the file
        except StoreUnavailableError:
            self._failed_writes += 1
            self._failed_at = self._now()
            raise

    def _turn(self) -> WriterTurns:
        if self._turns is None:
            raise _closed()
        return self._turns

    def _connect(self) -> sqlite3.Connection:
        """Open the file for the writer, in its thread; also when it was deleted or replaced meanwhile."""
        if self._turns is not None:
            self._turns.close()  # the lock files may have gone with the database
            self._turns = None
        self._file.prepare()
        self._turns = turns = WriterTurns(self.path)
        if self._file.is_another():
            _log.error(
                "the session database was deleted or replaced, it is opened again", path=str(self.path)
            )
            with turns:
                self._file.drop_old_log()
        connection = self._file.connect_writer(turns)
        try:
            with turns:
                prepare(connection)
                self._tables.load(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _reopen_reader(self) -> None:
        """Read the file that the writer has opened again; called in the loop."""
        self._close_reader()
        try:
            self._reader = self._file.connect_reader()
        except sqlite3.Error as error:
            _log.error("the session database cannot be read", path=str(self.path), error=str(error))

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _many(self, query: str, values: tuple[Any, ...]) -> list[StoredSession]:
        if self._reader is None:
            raise _closed()
        try:
            return [to_row(found) for found in self._reader.execute(query, values)]
        except sqlite3.Error as error:
            raise _unreadable(error) from error


def _closed() -> StoreUnavailableError:
    return StoreUnavailableError("the session database is closed")


def _unreadable(error: sqlite3.Error) -> StoreUnavailableError:
    return StoreUnavailableError(f"the session database cannot be read: {error}")
