"""A store of one table in SQLite, in the three methods that are enough for sessions and for caches.

Every method is one statement, and SQLite makes each statement one step. plughost makes the rest of what sessions and
caches need out of these three, and out of ``list_keys`` what a cache does with patterns.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec
from anyio import to_thread

from plughost.contracts import OwnDatabase, StoreSetup
from plughost.exceptions import StoreUnavailableError


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``store_settings`` of the plugin ``sessions`` or ``cache``.

    Attributes:
        file: Name of the file in the plugin's data folder.
    """

    file: str = "shelf.db"


class Shelf:
    """A ``BytesStore`` that is opened, and lists its keys."""

    Config = Settings
    name = "shelf"

    def __init__(self, setup: StoreSetup) -> None:
        self._file = OwnDatabase(setup.data_dir / setup.settings.file, _make_table)
        self._now = setup.now

    async def open(self) -> None:
        """Open the file, or make it."""
        await self._do("SELECT 1")

    async def close(self) -> None:
        """Throw away what is over, and close the file."""
        try:
            await self._do("DELETE FROM shelf WHERE expires_at <= ?", self._now())
        finally:
            self._file.close()

    async def find(self, key: str) -> bytes | None:
        """Return the value, or None."""
        rows, _ = await self._do("SELECT value FROM shelf WHERE key = ?", key)
        return rows[0][0] if rows else None

    async def commit(self, key: str, value: bytes, instead_of: bytes | None, expires_at: float) -> bool:
        """Store a value if what is there is ``instead_of``; whether it was stored."""
        if instead_of is None:
            insert = "INSERT INTO shelf VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
            return (await self._do(insert, key, value, expires_at))[1] == 1
        update = "UPDATE shelf SET value = ?, expires_at = ? WHERE key = ? AND value = ?"
        return (await self._do(update, value, expires_at, key, instead_of))[1] == 1

    async def delete(self, key: str, value: bytes) -> bool:
        """Remove the value if it is this one; whether it was removed."""
        return (await self._do("DELETE FROM shelf WHERE key = ? AND value = ?", key, value))[1] == 1

    async def list_keys(self, prefix: str, after: str, limit: int) -> list[str]:
        """Return keys that begin with a prefix and come after one, in order."""
        wanted = "SELECT key FROM shelf WHERE key > ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT ?"
        rows, _ = await self._do(wanted, max(after, prefix), len(prefix), prefix, limit)
        return [key for (key,) in rows]

    async def _do(self, statement: str, *values: object) -> tuple[list[tuple[Any]], int]:
        """Run one statement in a worker thread; return its rows, and how many it changed."""

        def run() -> tuple[list[tuple[Any]], int]:
            with self._file.connected() as connection:
                cursor = connection.execute(statement, values)
                return cursor.fetchall(), cursor.rowcount

        try:
            return await to_thread.run_sync(run)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailableError(f"{self._file.path} cannot be used: {error}") from error


def _make_table(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS shelf (key TEXT PRIMARY KEY, value BLOB, expires_at REAL)")
