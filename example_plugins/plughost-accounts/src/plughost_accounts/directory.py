"""The users in one SQLite file, each call in a worker thread, one at a time."""

from __future__ import annotations

import json
import sqlite3
import time
import unicodedata
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from plughost.contracts import NewUser, OwnDatabase, User, UserChange
from plughost.exceptions import UserRefused

T = TypeVar("T")

_TABLE = """
CREATE TABLE IF NOT EXISTS users(
    user_id TEXT PRIMARY KEY, username TEXT NOT NULL, folded TEXT NOT NULL UNIQUE, password TEXT, email TEXT,
    roles TEXT NOT NULL, fields TEXT NOT NULL, active INTEGER NOT NULL, created_at REAL NOT NULL
) STRICT
"""
_COLUMNS = "user_id, username, email, roles, fields, active, created_at, password"


class Directory:
    """Users and the hashes of their passwords; names differ by more than capitals, widths and what nobody sees.

    Args:
        path: The file; made when missing, readable by nobody else.
    """

    def __init__(self, path: Path) -> None:
        self._file = OwnDatabase(path, lambda connection: connection.execute(_TABLE))
        self._file.open()
        self._turn = anyio.CapacityLimiter(1)

    async def close(self) -> None:
        """Close the file."""
        await anyio.to_thread.run_sync(self._file.close, limiter=self._turn)

    async def find(
        self, *, user_id: str | None = None, username: str | None = None
    ) -> tuple[User, str | None] | None:
        """Return a user with the hash of the password, or None."""
        where, values = "user_id = :user_id", {"user_id": user_id}
        if username is not None:
            # Accounts from before look-alikes were folded are known by their old spelling, which comes first.
            values = {"before": _folded_before(username), "folded": _folded(username)}
            where = "folded IN (:before, :folded) ORDER BY folded <> :before"
        query = f"SELECT {_COLUMNS} FROM users WHERE {where} LIMIT 1"  # noqa: S608 - one of two constants
        found = await self._do(lambda db: db.execute(query, values).fetchone())
        return None if found is None else (_user(found), found[7])

    async def add(self, user: NewUser, password: str | None) -> User:
        """Store a new user.

        Raises:
            UserRefused: The name is taken.
        """
        values = (
            uuid.uuid4().hex, user.username, _folded(user.username), password, user.email,
            json.dumps(user.roles), json.dumps(dict(user.fields)), 1, time.time(),
        )  # fmt: skip
        await self._do(lambda db: _write(db, "INSERT INTO users VALUES(?,?,?,?,?,?,?,?,?)", values))
        found = await self.find(user_id=values[0])
        assert found is not None  # noqa: S101 - it was stored above
        return found[0]

    async def change(self, user: User, change: UserChange, password: str | None) -> User:
        """Store a change and return the user as it is now.

        Raises:
            UserRefused: The new name is taken.
        """
        fields = {k: v for k, v in user.fields.items() if k not in change.remove_fields} | dict(change.fields)
        username = change.username or user.username
        email = user.email if change.email is None else change.email or None
        roles = user.roles if change.roles is None else change.roles
        active = user.active if change.active is None else change.active
        values = (
            username, change.username and _folded(change.username), email, json.dumps(roles), json.dumps(fields),
            active, password, user.user_id,
        )  # fmt: skip
        statement = (
            "UPDATE users SET username=?, folded=coalesce(?, folded), email=?, roles=?, fields=?, active=?,"
            " password=coalesce(?, password) WHERE user_id=?"
        )
        await self._do(lambda db: _write(db, statement, values))
        found = await self.find(user_id=user.user_id)
        return user if found is None else found[0]

    async def set_password(self, user_id: str, password: str) -> None:
        """Store a hash."""
        await self._do(
            lambda db: _write(db, "UPDATE users SET password=? WHERE user_id=?", (password, user_id))
        )

    async def remove(self, user_id: str) -> bool:
        """Delete a user; False when there was none."""
        return await self._do(lambda db: _write(db, "DELETE FROM users WHERE user_id=?", (user_id,))) > 0

    async def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_turn() -> T:
            with self._file.connected() as db:
                return work(db)

        return await anyio.to_thread.run_sync(in_turn, limiter=self._turn)


def _write(db: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> int:
    try:
        return db.execute(statement, values).rowcount
    except sqlite3.IntegrityError as error:
        raise UserRefused("That name is taken.") from error


def _folded(username: str) -> str:
    shown = "".join(char for char in username if unicodedata.category(char) not in ("Cf", "Cc"))
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", shown).casefold()).strip()


def _folded_before(username: str) -> str:
    return username.strip().casefold()


def _user(found: tuple[Any, ...]) -> User:
    return User(
        user_id=found[0], username=found[1], email=found[2], roles=tuple(json.loads(found[3])),
        fields=json.loads(found[4]), active=bool(found[5]), created_at=found[6],
    )  # fmt: skip
