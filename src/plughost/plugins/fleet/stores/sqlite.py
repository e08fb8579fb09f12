"""A fleet in an SQLite file: the processes of one machine, with nothing to set up."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from plughost.contracts import SYSTEM_CLOCK, OwnDatabase, Word
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.fleet.stores.rules import FleetRules
from plughost.plugins.fleet.stores.stepping import SteppingStore
from plughost.plugins.fleet.stores.tables import KINDS_OF_A_FLEET
from plughost.plugins.fleet.stores.words import Words

T = TypeVar("T")

_PATIENCE = 3.0
"""Seconds that a step waits for its turn among the processes."""


class SqliteFleetStore(SteppingStore):
    """A ``FleetStore`` over one file, which all processes of one machine may share.

    Each step is one transaction in a worker thread. A file that was deleted or replaced is opened anew: it has another
    epoch then, and the members join again.

    Args:
        path: The file; it is made, for its owner alone.
        now: Returns the time in seconds since the epoch.
        fleet: The fleet's name: several may share a file, and know nothing of each other. Empty is the first of them.
    """

    name = "sqlite"

    def __init__(self, path: Path, now: Callable[[], float] = SYSTEM_CLOCK.time, *, fleet: str = "") -> None:
        self.path = path
        self._fleet = fleet
        self._prefix = ""
        self._now = now
        self._file = OwnDatabase(path, self._make_table, timeout=_PATIENCE)
        self._words = Words(Path(f"{path}.words"))
        self._one_at_a_time = anyio.CapacityLimiter(1)

    async def open(self) -> None:
        """Make or open the file."""
        await self._in_thread(self._file.open)

    async def close(self) -> None:
        """Close the file."""
        self._words.close()
        await self._in_thread(self._file.close)

    async def fleets(self) -> Sequence[str]:
        """Return the names of those in the file; that of the first is empty when the file does not tell it."""

        def look() -> list[str]:
            with self._file.connected() as connection:
                first = (_Rows(connection, "").get("fleet", "") or b"").decode()
                kinds: list[tuple[str]] = connection.execute("SELECT DISTINCT kind FROM documents").fetchall()
            split = (kind.rpartition(": ") for (kind,) in kinds)
            return sorted({name or first for name, _, kind in split if kind in KINDS_OF_A_FLEET})

        return await self._in_thread(look)

    async def wait_for_word(self) -> Word:
        """Return when some process proposed or told something."""
        try:
            return await self._words.wait()
        except OSError as error:
            raise StoreUnavailableError(f"the fleet's words cannot be heard: {error}") from error

    async def _step(
        self, step: Callable[[FleetRules], T], *, durable: bool = False, reads: bool = False
    ) -> T:
        def transact() -> T:
            with self._file.connected() as connection:
                if reads:
                    try:
                        with _transaction(connection, "DEFERRED"):  # it waits for nobody, and nobody for it
                            return step(
                                FleetRules(_Rows(connection, self._prefix), round(self._now() * 1000))
                            )
                    except sqlite3.OperationalError:
                        pass  # it had to write after all: the file was empty
                # A claim must not be forgotten in a power cut, or its slot would start twice. A beat may.
                connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                with _transaction(connection):
                    return step(FleetRules(_Rows(connection, self._prefix), round(self._now() * 1000)))

        return await self._in_thread(transact)

    async def _wake(self, word: Word) -> None:
        await self._in_thread(partial(self._words.tell, word))

    def _make_table(self, connection: sqlite3.Connection) -> None:
        with _transaction(connection):
            connection.execute(
                "CREATE TABLE IF NOT EXISTS documents (kind TEXT NOT NULL, key TEXT NOT NULL,"
                " value BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID"
            )
            rows = _Rows(connection, "")
            first = rows.get("fleet", "")
            if self._fleet and first is None:
                rows.put("fleet", "", self._fleet.encode())
            shares = bool(self._fleet) and first not in (None, self._fleet.encode())
            self._prefix = f"{self._fleet}: " if shares else ""

    async def _in_thread(self, function: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(function, limiter=self._one_at_a_time)
        except (sqlite3.Error, OSError) as error:
            said = getattr(error, "strerror", None) or error
            raise StoreUnavailableError(f"the fleet's file {self.path} cannot be used: {said}") from error


class _Rows:
    """``Documents`` in one table, of kinds that begin with ``prefix``."""

    def __init__(self, connection: sqlite3.Connection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix

    def get(self, kind: str, key: str) -> bytes | None:
        query = "SELECT value FROM documents WHERE kind = ? AND key = ?"
        row: Any = self._connection.execute(query, (self._prefix + kind, key)).fetchone()
        return None if row is None else row[0]

    def put(self, kind: str, key: str, value: bytes) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (self._prefix + kind, key, value)
        )

    def delete(self, kind: str, key: str) -> None:
        self._connection.execute(
            "DELETE FROM documents WHERE kind = ? AND key = ?", (self._prefix + kind, key)
        )

    def some(self, kind: str, keys: Sequence[str]) -> list[bytes]:
        return [value for key in keys if (value := self.get(kind, key)) is not None]

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        query = "SELECT key, value FROM documents WHERE kind = ? ORDER BY key"
        return self._connection.execute(query, (self._prefix + kind,)).fetchall()


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
