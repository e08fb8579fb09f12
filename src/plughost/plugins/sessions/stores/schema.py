"""The tables of the SQLite store.

``sessions`` holds each session under its digest. ``subjects`` holds each subject's epoch, how many sessions
were made in it (``alive``) and how many of earlier epochs wait to be removed (``dead``). ``replaced`` leads
from a digest that was replaced to its successor.
"""

from __future__ import annotations

import sqlite3

from plughost.exceptions import StoreUnavailableError

APPLICATION_ID = 0x70_68_73_65  # "phse"
VERSION = 1

# Both clocks and the epoch are looked at in each statement: nothing that is over can come out of it.
ALIVE = (
    "expires_at > ? AND (subject IS NULL OR epoch ="
    " (SELECT u.epoch FROM subjects u WHERE u.subject = sessions.subject))"
)
"""Whether a row of ``sessions`` is alive at the moment that is bound."""

_TABLES = """
CREATE TABLE sessions(
    digest BLOB PRIMARY KEY, handle TEXT NOT NULL, subject TEXT, epoch INTEGER NOT NULL, version INTEGER NOT
    NULL, created_at REAL NOT NULL, touched_at REAL NOT NULL, idle REAL NOT NULL, deadline REAL NOT NULL,
    expires_at REAL NOT NULL, about BLOB NOT NULL, fields BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_subject ON sessions(subject, epoch) WHERE subject IS NOT NULL;
CREATE INDEX sessions_by_end ON sessions(expires_at);
CREATE TABLE subjects(
    subject TEXT PRIMARY KEY, epoch INTEGER NOT NULL, alive INTEGER NOT NULL, dead INTEGER NOT NULL,
    last_end REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX subjects_with_dead ON subjects(subject) WHERE dead > 0;
CREATE TABLE replaced(
    digest BLOB PRIMARY KEY, successor BLOB NOT NULL, until REAL NOT NULL, deadline REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX replaced_by_end ON replaced(deadline);
"""


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, or see that they are ours.

    Raises:
        StoreUnavailableError: The file belongs to another program or to a newer version of this one.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if empty:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id={APPLICATION_ID};"
            f" PRAGMA user_version={VERSION}; COMMIT;"
        )
    elif application != APPLICATION_ID:
        raise StoreUnavailableError(
            "the file is a database of another program: give sessions a path of their own"
        )
    elif version != VERSION:
        raise StoreUnavailableError(
            f"the session database has layout {version}, this plughost knows {VERSION}: run the newer"
            " plughost"
        )


def rewrite_header(connection: sqlite3.Connection) -> None:
    """Write a page without changing anything in it, to see whether the file can be written."""
    connection.execute(f"PRAGMA user_version={VERSION}")
