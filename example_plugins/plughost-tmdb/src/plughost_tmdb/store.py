"""What stays: users' own keys, sealed, and what was asked each hour. One SQLite file; every method waits for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from plughost.contracts import OwnDatabase, own_folder
from plughost_tmdb.protocols import UsageRow

KeyState = Literal["good", "refused", "unchecked"]
"""What TMDB says to a key: accepts it, does not, or could not be asked yet."""

_KEPT_HOURS: Final = 90 * 24
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS own_key (
    user TEXT PRIMARY KEY, sealed TEXT NOT NULL, last4 TEXT NOT NULL, state TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage_hour (
    hour INTEGER, user TEXT, key TEXT, calls INTEGER, hits INTEGER, stale INTEGER, errors INTEGER, ms INTEGER,
    PRIMARY KEY (hour, user, key)
) WITHOUT ROWID;
"""
_COUNTED: Final = ("calls", "hits", "stale", "errors", "ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKey:
    """A user's own key.

    Attributes:
        user: Whose.
        sealed: The key, sealed for that user.
        last4: Its last four signs, for the user to tell it from another.
        state: What TMDB says to it.
    """

    user: str
    sealed: str
    last4: str
    state: KeyState


class Store:
    """The file.

    Args:
        path: Where it is.
    """

    def __init__(self, path: Path) -> None:
        own_folder(path.parent)
        self._file = OwnDatabase(path, lambda connection: connection.executescript(_TABLES))
        self._file.open()

    def close(self) -> None:
        """Close it."""
        self._file.close()

    def keys(self) -> list[OwnKey]:
        """Return all keys."""
        rows = self._rows("SELECT user, sealed, last4, state FROM own_key")
        return [
            OwnKey(user=user, sealed=sealed, last4=last4, state=state) for user, sealed, last4, state in rows
        ]

    def key_of(self, user: str) -> OwnKey | None:
        """Return the key of a user."""
        rows = self._rows("SELECT sealed, last4, state FROM own_key WHERE user = ?", user)
        return next(
            (OwnKey(user=user, sealed=sealed, last4=last4, state=state) for sealed, last4, state in rows),
            None,
        )

    def keep(self, key: OwnKey) -> None:
        """Keep a key in the place of the user's former one."""
        self._rows(
            "INSERT OR REPLACE INTO own_key VALUES (?, ?, ?, ?)", key.user, key.sealed, key.last4, key.state
        )

    def mark(self, key: OwnKey, state: KeyState) -> None:
        """Note what TMDB says to a key; nothing when the user has another by now."""
        self._rows("UPDATE own_key SET state = ? WHERE user = ? AND sealed = ?", state, key.user, key.sealed)

    def reseal(self, key: OwnKey, sealed: str) -> None:
        """Keep a key sealed anew; nothing when the user has another by now."""
        self._rows(
            "UPDATE own_key SET sealed = ? WHERE user = ? AND sealed = ?", sealed, key.user, key.sealed
        )

    def drop(self, user: str) -> bool:
        """Remove a user's key; whether there was one."""
        return bool(self._rows("DELETE FROM own_key WHERE user = ? RETURNING user", user))

    def add_usage(self, rows: Iterable[UsageRow]) -> None:
        """Add to what was asked, and let go what is older than 90 days."""
        adding = ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTED)
        statement = (
            f"INSERT INTO usage_hour VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET {adding}"  # noqa: S608
        )
        values = [
            (row.hour, row.user, row.key, row.calls, row.hits, row.stale, row.errors, row.ms) for row in rows
        ]
        if not values:
            return
        oldest = max(value[0] for value in values) - _KEPT_HOURS
        with self._file.connected() as connection, closing(connection.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                cursor.executemany(statement, values)
                cursor.execute("DELETE FROM usage_hour WHERE hour < ?", (oldest,))
                cursor.execute("COMMIT")
            except BaseException:
                cursor.execute("ROLLBACK")
                raise

    def usage(self, since: int = 0, user: str | None = None) -> Sequence[UsageRow]:
        """Return what was asked since an hour, of one user or all."""
        whose = "" if user is None else "AND user = ?"
        statement = f"SELECT * FROM usage_hour WHERE hour >= ? {whose} ORDER BY hour, user, key"  # noqa: S608
        rows = self._rows(statement, since, *([] if user is None else [user]))
        names = ("hour", "user", "key", *_COUNTED)
        return [UsageRow(**dict(zip(names, row, strict=True))) for row in rows]

    def _rows(self, statement: str, *values: object) -> list[Any]:
        with self._file.connected() as connection, closing(connection.execute(statement, values)) as cursor:
            return cursor.fetchall()
