"""Sessions in an SQLite file: the default, for one process that may be killed at any moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plughost.contracts.session import SessionStats
from plughost.contracts.session_store import (
    NewSession,
    PurgedSession,
    ReplacedSession,
    SessionPatch,
    StoredSession,
    VersionConflict,
)
from plughost.exceptions import SessionDataError, SessionUnreadableError, StoreUnavailableError
from plughost.plugins.sessions.ownership import FileOwnership, connect_reader, connect_writer
from plughost.plugins.sessions.stores.schema import prepare
from plughost.plugins.sessions.stores.tables import LIST, PAGE, Tables, to_row
from plughost.plugins.sessions.writer import GroupCommitWriter


class SQLiteStore:
    """A ``SessionStore`` and ``ImmediateStore`` over one file.

    Writes go through one thread that commits them in groups, flushed to the disk before any of them returns.
    Reads happen in the event loop's own thread on a connection that can only read: a point read takes some
    microseconds where a hop to another thread takes a hundred. In WAL mode no writer makes a reader wait; at
    worst a read waits for a page of the disk.

    Args:
        path: The database file.
        now: Returns the time; called from two threads.
        read_only: Only look: the file may belong to another process, and nothing can be changed.
    """

    name = "sqlite"

    def __init__(self, path: Path, now: Callable[[], float], *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._now = now
        self._tables = Tables(now)
        self._owner: FileOwnership | None = None
        self._reader: sqlite3.Connection | None = None
        self._writer = GroupCommitWriter(
            self._connect,
            refusals=(VersionConflict, SessionDataError, SessionUnreadableError),
            committed=self._tables.committed,
            rolled_back=self._tables.rolled_back,
        )

    async def open(self) -> None:
        """Take the file into possession and count what is in it.

        Raises:
            StoreUnavailableError: Somebody else has it, or it cannot be used; the message says what to do.
        """
        if self._read_only:
            self._reader = self._connect_only_to_look()
            return
        self._owner = FileOwnership(self.path)
        try:
            await self._writer.start()
            self._reader = connect_reader(self.path)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what is queued and let the file go."""
        if self._reader is not None:
            # Before the writer: the last connection to close copies the log back, which a reader cannot.
            self._reader.close()
            self._reader = None
        await self._writer.stop()
        if self._owner is not None:
            self._owner.release()
            self._owner = None

    async def create(self, new: NewSession) -> StoredSession | None:
        """Store a new session."""
        return await self._writer.run(lambda connection: self._tables.create(connection, new))

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
        return await self._writer.run(lambda connection: self._tables.patch(connection, digest, patch))

    async def touch(self, digest: bytes) -> None:
        """Note that it is used; durable with the next commit."""
        self._writer.post(lambda connection: self._tables.touch(connection, digest))

    async def replace(
        self, digest: bytes, new: NewSession, *, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one."""
        return await self._writer.run(
            lambda connection: self._tables.replace(connection, digest, new, version, grace)
        )

    async def delete(self, digest: bytes) -> StoredSession | None:
        """End a session."""
        return await self._writer.run(lambda connection: self._tables.delete(connection, digest))

    async def end_subject(self, subject: str, keep: bytes | None = None) -> int:
        """End all sessions of a subject but one."""
        return await self._writer.run(lambda connection: self._tables.end_subject(connection, subject, keep))

    async def list_subject(self, subject: str) -> list[StoredSession]:
        """Return the living sessions of a subject, newest first."""
        return self._many(LIST, (subject, self._now()))

    async def purge(self, limit: int) -> list[PurgedSession]:
        """Remove at most ``limit`` sessions that are over."""
        return await self._writer.run(lambda connection: self._tables.purge(connection, limit))

    async def stats(self) -> SessionStats:
        """Return the figures: exact but for users, who are counted to ten seconds."""
        if self._read_only and self._reader is not None:
            return self._tables.figures(self._reader, self.name)
        return await self._writer.run(lambda connection: self._tables.figures(connection, self.name))

    async def page(self, cursor: str | None, limit: int) -> tuple[list[StoredSession], str | None]:
        """Return living sessions in pages, in the order of their digests."""
        after = bytes.fromhex(cursor or "")
        rows = self._many(PAGE, (after, self._now(), limit))
        return rows, rows[-1].digest.hex() if len(rows) == limit else None

    async def adopt(self, sessions: Sequence[StoredSession]) -> int:
        """Take over living sessions of another store, in one transaction."""
        return await self._writer.run(lambda connection: self._tables.adopt(connection, sessions))

    def _connect(self) -> sqlite3.Connection:
        connection = connect_writer(self.path)
        prepare(connection)
        self._tables.load(connection)
        return connection

    def _connect_only_to_look(self) -> sqlite3.Connection:
        try:
            connection = connect_reader(self.path)
            self._tables.load(connection)
        except sqlite3.Error as error:
            raise _unreadable(error) from error
        return connection

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
