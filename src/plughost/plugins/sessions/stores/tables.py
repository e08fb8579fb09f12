# ruff: noqa: S608 - every part of every statement is a constant of this file; values are bound
"""What each call of the SQLite store does inside its transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from plughost.contracts import (
    NewSession,
    PurgedSession,
    ReplacedSession,
    SessionPatch,
    SessionStats,
    StoredSession,
    VersionConflict,
    born_session,
    patched_session,
    touched_session,
)
from plughost.exceptions import SessionUnreadableError
from plughost.plugins.sessions.stores.schema import ALIVE
from plughost.plugins.sessions.stores.unmoved import patch_unmoved
from plughost.plugins.sessions.tally import SLICE, EndingCounts, end_of_slice

_COLUMNS = (
    "digest, handle, subject, epoch, version, created_at, touched_at, idle, deadline, expires_at, about,"
    " fields"
)
READ = f"SELECT {_COLUMNS} FROM sessions WHERE digest = ? AND {ALIVE}"
LIST = (
    f"SELECT {_COLUMNS} FROM sessions WHERE subject = ? AND {ALIVE} ORDER BY created_at DESC, digest LIMIT ?"
)
PAGE = f"SELECT {_COLUMNS} FROM sessions WHERE digest > ? AND {ALIVE} ORDER BY digest LIMIT ?"
_INSERT = f"INSERT INTO sessions({_COLUMNS}) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"
_UPDATE = "UPDATE sessions SET version = ?, touched_at = ?, about = ?, fields = ? WHERE digest = ?"
# Apart from the others because it is indexed: naming it rewrites the index even where it stays the same.
_UPDATE_END = "UPDATE sessions SET expires_at = ? WHERE digest = ?"
_TAKEN = "SELECT 1 FROM sessions WHERE digest = ? UNION ALL SELECT 1 FROM replaced WHERE digest = ?"
_REPLACED = "SELECT successor, until FROM replaced WHERE digest = ?"
_FORGET_REPLACED = (
    "DELETE FROM replaced WHERE digest IN (SELECT digest FROM replaced WHERE deadline <= ? LIMIT ?)"
)
# CROSS JOIN: SQLite keeps the order, and begins with the few subjects that have been ended. Left to itself it
# looks at every living session.
_DEAD = (
    "SELECT s.digest, s.subject, s.expires_at, 1, s.handle FROM subjects u"
    " CROSS JOIN sessions s ON s.subject = u.subject AND s.epoch < u.epoch WHERE u.dead > 0 LIMIT ?"
)
_OVER = (
    "SELECT s.digest, s.subject, s.expires_at, coalesce(s.epoch < u.epoch, 0), s.handle FROM sessions s"
    " LEFT JOIN subjects u ON u.subject = s.subject WHERE s.expires_at <= ? LIMIT ?"
)
_COUNT_PRESENT = "SELECT count(*) FROM sessions WHERE expires_at > ? AND expires_at < ?"
_COUNT_DEAD = (
    "SELECT count(*) FROM subjects u CROSS JOIN sessions s ON s.subject = u.subject AND s.epoch < u.epoch"
    " WHERE u.dead > 0 AND s.expires_at > ?"
)
_SUBJECT = "SELECT epoch, alive, dead, last_end FROM subjects WHERE subject = ?"

_encode_fields = msgspec.msgpack.Encoder().encode
_decode_fields = msgspec.msgpack.Decoder(dict[str, bytes]).decode


class Tables:
    """The sessions of one file, and the tallies of when they and their users end.

    Each method that is given a connection does one call's work; those that change something run in the
    writer's thread, inside a transaction that the writer commits or rolls back together with the tallies.

    Args:
        now: Returns the time.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._sessions = EndingCounts()
        self._users = EndingCounts()
        self._counted_at: int | None = None  # the data version, which changes when somebody else commits
        self._counted_inside = False  # a transaction that is still open

    def load(self, connection: sqlite3.Connection) -> None:
        """Count what is there: when the file is opened, and when another process has changed it since."""
        slices = "SELECT CAST(floor({0} / ?) AS INTEGER) AS slice, count(*) FROM {1} GROUP BY slice"
        self._sessions.load(connection.execute(slices.format("expires_at", "sessions"), (SLICE,)))
        self._users.load(connection.execute(slices.format("last_end", "subjects WHERE alive > 0"), (SLICE,)))
        self._counted_at = _data_version(connection)

    def committed(self) -> None:
        """The transaction stays: so do its changes of the tallies."""
        self._sessions.commit()
        self._users.commit()
        self._counted_inside = False

    def rolled_back(self) -> None:
        """The transaction is gone, and its changes of the tallies with it."""
        self._sessions.discard()
        self._users.discard()
        if self._counted_inside:
            self._counted_at, self._counted_inside = None, False  # what was counted is gone too

    def find(self, connection: sqlite3.Connection, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the living session under a digest, or what a replaced digest leads to."""
        now = self._now()
        found = connection.execute(READ, (digest, now)).fetchone()
        if found is not None:
            return to_row(found)
        graceful, last = True, digest
        while step := connection.execute(_REPLACED, (last,)).fetchone():
            last = step[0]
            graceful = graceful and now < step[1]
        found = connection.execute(READ, (last, now)).fetchone() if last != digest else None
        if found is None:
            return None
        return replace(to_row(found), successor_of=digest) if graceful else ReplacedSession(successor=last)

    def create(self, connection: sqlite3.Connection, new: NewSession) -> StoredSession | None:
        """Insert a new session unless its digest is taken."""
        if connection.execute(_TAKEN, (new.digest, new.digest)).fetchone():
            return None
        row = born_session(new, self._now(), _epoch(connection, new.subject))
        self._insert(connection, row)
        return row

    def patch(
        self, connection: sqlite3.Connection, digest: bytes, patch: SessionPatch
    ) -> StoredSession | None:
        """Merge a change into a living session."""
        unmoved = patch_unmoved(connection, digest, patch, self._now())
        if unmoved is not None:
            return unmoved
        found = self.find(connection, digest)
        if not isinstance(found, StoredSession):
            return None
        row = patched_session(found, patch, self._now())
        self._update(connection, found, row)
        return row

    def touch(self, connection: sqlite3.Connection, digest: bytes) -> None:
        """Begin the idle clock again."""
        found = self.find(connection, digest)
        if isinstance(found, StoredSession) and found.successor_of is None:
            self._update(connection, found, touched_session(found, self._now()))

    def replace(
        self, connection: sqlite3.Connection, digest: bytes, new: NewSession, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one."""
        old = self.find(connection, digest)
        if not isinstance(old, StoredSession) or old.successor_of is not None:
            return None
        if old.version != version:
            raise VersionConflict
        now = self._now()
        self._remove(connection, old)
        # Asked for after the removal, which may have been of the subject's last session and forgotten its epoch.
        row = born_session(new, now, _epoch(connection, new.subject), old)
        self._insert(connection, row)
        if grace > 0:
            values = (digest, new.digest, now + grace, old.deadline)
            connection.execute("INSERT INTO replaced VALUES(?,?,?,?)", values)
        return row

    def delete(self, connection: sqlite3.Connection, digest: bytes) -> StoredSession | None:
        """Remove a living session, also by a digest that was replaced."""
        found = self.find(connection, digest)
        if isinstance(found, ReplacedSession):
            found = self.find(connection, found.successor)
        if not isinstance(found, StoredSession):
            return None
        self._remove(connection, found)
        return found

    def end_subject(self, connection: sqlite3.Connection, subject: str, keep: bytes | None) -> int:
        """Raise the epoch: one row changes, however many sessions there are."""
        found = connection.execute(_SUBJECT, (subject,)).fetchone()
        if found is None:
            return 0
        epoch, alive, _, last_end = found
        kept = self.find(connection, keep) if keep is not None else None
        spared = kept.digest if isinstance(kept, StoredSession) and kept.subject == subject else None
        staying = int(spared is not None)
        connection.execute(
            "UPDATE subjects SET epoch = epoch + 1, dead = dead + alive - ?, alive = ? WHERE subject = ?",
            (staying, staying, subject),
        )
        if spared is not None:
            connection.execute("UPDATE sessions SET epoch = ? WHERE digest = ?", (epoch + 1, spared))
        elif alive:
            self._users.stage(last_end, -1)
        return int(alive) - staying

    def purge(self, connection: sqlite3.Connection, limit: int) -> list[PurgedSession]:
        """Remove at most ``limit`` sessions that are over, those of ended subjects first."""
        now = self._now()
        rows = connection.execute(_DEAD, (limit,)).fetchall()
        self._purge(connection, rows)
        over = connection.execute(_OVER, (now, limit - len(rows))).fetchall()
        self._purge(connection, over)
        connection.execute(_FORGET_REPLACED, (now, limit))
        return [PurgedSession(row[4], row[1], not row[3]) for row in (*rows, *over)]

    def figures(self, connection: sqlite3.Connection, name: str) -> SessionStats:
        """Return the figures: sessions exactly, users to the slice.

        Only the present slice is looked at row by row, and what ended subjects left to be removed.
        """
        if _data_version(connection) != self._counted_at:
            self._sessions.discard()  # what this transaction has staged so far is among what is counted now
            self._users.discard()
            self.load(connection)
            self._counted_inside = True
        now = self._now()
        active = self._sessions.after_slice_of(now)
        active += connection.execute(_COUNT_PRESENT, (now, end_of_slice(now))).fetchone()[0]
        active -= connection.execute(_COUNT_DEAD, (now,)).fetchone()[0]
        expired = self._sessions.total() - active
        return SessionStats(active=active, expired=expired, users=self._users.after_slice_of(now), store=name)

    def adopt(self, connection: sqlite3.Connection, sessions: Sequence[StoredSession]) -> int:
        """Insert living sessions of another store under their clocks."""
        now, taken = self._now(), 0
        for row in sessions:
            known = connection.execute(_TAKEN, (row.digest, row.digest)).fetchone()
            if row.expires_at > now and not known:
                self._insert(connection, replace(row, epoch=_epoch(connection, row.subject)))
                taken += 1
        return taken

    def _insert(self, connection: sqlite3.Connection, row: StoredSession) -> None:
        connection.execute(
            _INSERT,
            (row.digest, row.handle, row.subject, row.epoch, row.version, row.created_at, row.touched_at,
             row.idle, row.deadline, row.expires_at, row.about, _encode_fields(row.fields)),
        )  # fmt: skip
        self._sessions.stage(row.expires_at, 1)
        if row.subject is not None:
            self._join(connection, row.subject, row.expires_at)

    def _update(self, connection: sqlite3.Connection, old: StoredSession, row: StoredSession) -> None:
        fields = _encode_fields(row.fields)
        connection.execute(_UPDATE, (row.version, row.touched_at, row.about, fields, row.digest))
        if row.expires_at != old.expires_at:
            connection.execute(_UPDATE_END, (row.expires_at, row.digest))
            self._sessions.move(old.expires_at, row.expires_at)
            if row.subject is not None:
                _, _, _, last_end = connection.execute(_SUBJECT, (row.subject,)).fetchone()
                if row.expires_at > last_end:
                    connection.execute(
                        "UPDATE subjects SET last_end = ? WHERE subject = ?", (row.expires_at, row.subject)
                    )
                    self._users.move(last_end, row.expires_at)

    def _remove(self, connection: sqlite3.Connection, row: StoredSession) -> None:
        connection.execute("DELETE FROM sessions WHERE digest = ?", (row.digest,))
        self._sessions.stage(row.expires_at, -1)
        if row.subject is not None:
            self._leave(connection, row.subject, dead=False)

    def _purge(
        self, connection: sqlite3.Connection, rows: list[tuple[bytes, str | None, float, int, str]]
    ) -> None:
        for digest, subject, expires_at, dead, _ in rows:
            connection.execute("DELETE FROM sessions WHERE digest = ?", (digest,))
            self._sessions.stage(expires_at, -1)
            if subject is not None:
                self._leave(connection, subject, dead=bool(dead))

    def _join(self, connection: sqlite3.Connection, subject: str, end: float) -> None:
        found = connection.execute(_SUBJECT, (subject,)).fetchone()
        if found is None:
            connection.execute("INSERT INTO subjects VALUES(?, 0, 1, 0, ?)", (subject, end))
            self._users.stage(end, 1)
            return
        _, alive, _, last_end = found
        latest = max(end, last_end) if alive else end
        connection.execute(
            "UPDATE subjects SET alive = alive + 1, last_end = ? WHERE subject = ?", (latest, subject)
        )
        if alive:
            self._users.move(last_end, latest)
        else:
            self._users.stage(latest, 1)

    def _leave(self, connection: sqlite3.Connection, subject: str, *, dead: bool) -> None:
        column = "dead" if dead else "alive"
        connection.execute(f"UPDATE subjects SET {column} = {column} - 1 WHERE subject = ?", (subject,))
        _, alive, remaining, last_end = connection.execute(_SUBJECT, (subject,)).fetchone()
        if not alive and not dead:
            self._users.stage(last_end, -1)
        if not alive and not remaining:
            # No session of an earlier epoch is left that could be taken for one of this: forget the epoch.
            connection.execute("DELETE FROM subjects WHERE subject = ?", (subject,))


def to_row(found: tuple[Any, ...]) -> StoredSession:
    """Return a session from its columns.

    Raises:
        SessionUnreadableError: The fields were not written by plughost. The row is left as it is.
    """
    try:
        fields = _decode_fields(found[11])
    except msgspec.MsgspecError as error:
        raise SessionUnreadableError(
            f"session {found[1]} is damaged: its fields were not written by plughost. It is kept"
        ) from error
    return StoredSession(
        digest=found[0], handle=found[1], subject=found[2], epoch=found[3], version=found[4],
        created_at=found[5], touched_at=found[6], idle=found[7], deadline=found[8], expires_at=found[9],
        about=found[10], fields=fields,
    )  # fmt: skip


def _data_version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _epoch(connection: sqlite3.Connection, subject: str | None) -> int:
    found = connection.execute(_SUBJECT, (subject,)).fetchone() if subject is not None else None
    return int(found[0]) if found else 0
