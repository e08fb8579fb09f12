"""Accounts, servers and settings in one SQLite file; tokens in it are sealed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import msgspec

from plughost.contracts import OwnDatabase
from plughost_plex.protocols import Account, Server, Way

T = TypeVar("T")

_TABLES = """
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS account (
    user_id TEXT PRIMARY KEY, plex_id INTEGER NOT NULL, username TEXT NOT NULL, token TEXT NOT NULL, current TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS server (
    user_id TEXT NOT NULL, machine TEXT NOT NULL, name TEXT NOT NULL, owned INTEGER NOT NULL, token TEXT NOT NULL,
    ways TEXT NOT NULL, way INTEGER, latency REAL, PRIMARY KEY (user_id, machine)
) STRICT;
"""
_SERVER = "user_id, machine, name, owned, ways, way, latency"


# In a table that backups from before have.
_DEVICE, _TOLD = "device of ", "told of "


@dataclass(frozen=True, slots=True)
class Device:
    """A sealed key, and until when the token that it brought is good; 0.0 for none."""

    key: str
    until: float


class Shelf:
    """The file; each call in a worker thread, one at a time.

    Args:
        path: The file; made when missing, readable by nobody else.
    """

    def __init__(self, path: Path) -> None:
        self._file = OwnDatabase(path, lambda connection: connection.executescript(_TABLES))
        self._file.open()
        self._turn = anyio.CapacityLimiter(1)

    async def close(self) -> None:
        """Close the file."""
        await self._do(self._file.close)

    def setting(self, name: str, make: Callable[[], str]) -> str:
        """Return a setting; the first caller of all processes makes it."""
        with self._file.connected() as db:
            db.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (name, make()))
            value: str = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()[0]
        return value

    def owns(self, user_id: str) -> bool:
        """Whether a user's current server is the user's own. Quick enough to be asked in an event loop."""
        found = self._chosen(user_id)
        return found is not None and found.owned

    async def accounts(self) -> tuple[Account, ...]:
        """Who is linked."""
        rows = await self._all("SELECT user_id, plex_id, username FROM account ORDER BY rowid")
        return tuple(Account(user_id=row[0], plex_id=row[1], username=row[2]) for row in rows)

    async def account(self, user_id: str) -> Account | None:
        """Return a user's account."""
        rows = await self._all("SELECT plex_id, username FROM account WHERE user_id = ?", user_id)
        return Account(user_id=user_id, plex_id=rows[0][0], username=rows[0][1]) if rows else None

    async def account_token(self, user_id: str) -> str | None:
        """Return the sealed token of an account."""
        rows = await self._all("SELECT token FROM account WHERE user_id = ?", user_id)
        return rows[0][0] if rows else None

    async def server_token(self, server: Server) -> str | None:
        """Return the sealed token of a server."""
        query = "SELECT token FROM server WHERE user_id = ? AND machine = ?"
        rows = await self._all(query, server.user_id, server.machine)
        return rows[0][0] if rows else None

    async def link(self, account: Account, sealed: str) -> None:
        """Keep an account with its sealed token, in place of what was known of it."""
        await self._all(
            "INSERT INTO account (user_id, plex_id, username, token) VALUES (?, ?, ?, ?) ON CONFLICT (user_id)"
            " DO UPDATE SET plex_id = excluded.plex_id, username = excluded.username, token = excluded.token",
            account.user_id, account.plex_id, account.username, sealed,
        )  # fmt: skip

    async def unlink(self, user_id: str) -> None:
        """Forget an account and its servers."""
        await self._all("DELETE FROM server WHERE user_id = ?", user_id)
        await self._all("DELETE FROM account WHERE user_id = ?", user_id)
        await self.forget_device(user_id)

    async def choose(self, user_id: str, machine: str) -> None:
        """Make a server the one that a user's calls go to."""
        await self._all("UPDATE account SET current = ? WHERE user_id = ?", machine, user_id)

    async def servers(self, user_id: str) -> tuple[Server, ...]:
        """The servers of a user, own ones first."""
        query = f"SELECT {_SERVER} FROM server WHERE user_id = ? ORDER BY owned DESC, name"  # noqa: S608
        return tuple(map(_server, await self._all(query, user_id)))

    async def current(self, user_id: str) -> Server | None:
        """The server that a user's calls go to; the first one when none was chosen."""
        return await self._do(lambda: self._chosen(user_id))

    async def replace(self, user_id: str, servers: Sequence[tuple[Server, str]]) -> None:
        """Keep servers with their sealed tokens in place of what a user had; a way that still exists stays chosen."""
        known = {server.machine: server for server in await self.servers(user_id)}
        rows = [_row(server, sealed, known.get(server.machine)) for server, sealed in servers]

        def write() -> None:
            with self._file.connected() as db, db:
                db.execute("BEGIN IMMEDIATE")
                db.execute("DELETE FROM server WHERE user_id = ?", (user_id,))
                db.executemany("INSERT INTO server VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

        await self._do(write)

    async def reached(self, server: Server) -> None:
        """Keep by which way a server is reached, and how quickly."""
        await self._all(
            "UPDATE server SET way = ?, latency = ? WHERE user_id = ? AND machine = ?",
            server.way, server.latency, server.user_id, server.machine,
        )  # fmt: skip

    async def told_until(self, machine: str) -> tuple[int, frozenset[str]] | None:
        """Return until which second what was watched on a server was told, and what of that second.

        None when nobody has looked yet.
        """
        rows = await self._all("SELECT value FROM setting WHERE name = ?", f"told until {machine}")
        if not rows:
            return None
        until, *ids = rows[0][0].split()
        return int(until), frozenset(ids)

    async def tell_until(self, machine: str, until: int, ids: Iterable[str]) -> None:
        """Keep that."""
        value = " ".join((str(until), *sorted(ids)))
        await self._all("INSERT OR REPLACE INTO setting VALUES (?, ?)", f"told until {machine}", value)

    async def note_told(self, account: Account, machine: str, key: str, at: float) -> None:
        """Keep that an item was told of at a time: another process, or this one begun anew, looks at the history."""
        name = f"{_TOLD}{machine} {account.plex_id} {key}"
        await self._all("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, str(at))

    async def told_at(self, account: Account, machine: str, key: str) -> float | None:
        """Return when an item was told of last; None when that is long ago, or never was."""
        name = f"{_TOLD}{machine} {account.plex_id} {key}"
        rows = await self._all("SELECT value FROM setting WHERE name = ?", name)
        return float(rows[0][0]) if rows else None

    async def forget_told(self, machine: str, before: float) -> None:
        """Forget what was told of items of a server before a time."""
        beginning = f"{_TOLD}{machine} "
        query = "DELETE FROM setting WHERE substr(name, 1, ?) = ? AND CAST(value AS REAL) < ?"
        await self._all(query, len(beginning), beginning, before)

    async def device(self, user_id: str) -> Device | None:
        """Return the key by which plex.tv knows an account, too; None when there is none."""
        rows = await self._all("SELECT value FROM setting WHERE name = ?", f"{_DEVICE}{user_id}")
        return _device(rows[0][0]) if rows else None

    async def devices(self) -> dict[str, Device]:
        """Every such key, by user."""
        rows = await self._all("SELECT name, value FROM setting WHERE name GLOB ?", f"{_DEVICE}*")
        return {name.removeprefix(_DEVICE): _device(value) for name, value in rows}

    async def keep_device(self, user_id: str, sealed: str, until: float) -> None:
        """Keep such a sealed key, and until when the token that it brought is good."""
        query = "INSERT OR REPLACE INTO setting VALUES (?, ?)"
        await self._all(query, f"{_DEVICE}{user_id}", f"{until} {sealed}")

    async def forget_device(self, user_id: str) -> None:
        """Forget such a key."""
        await self._all("DELETE FROM setting WHERE name = ?", f"{_DEVICE}{user_id}")

    async def tokens(self) -> list[tuple[str, str, str]]:
        """Every sealed token, with its user and its machine; an account's own has no machine."""
        return [
            *await self._all("SELECT user_id, '', token FROM account"),
            *await self._all("SELECT user_id, machine, token FROM server"),
        ]

    async def reseal(self, user_id: str, machine: str, sealed: str) -> None:
        """Put a sealed token in place of another."""
        if machine:
            query = "UPDATE server SET token = ? WHERE user_id = ? AND machine = ?"
            await self._all(query, sealed, user_id, machine)
        else:
            await self._all("UPDATE account SET token = ? WHERE user_id = ?", sealed, user_id)

    def _chosen(self, user_id: str) -> Server | None:
        columns = ", ".join(f"server.{name}" for name in _SERVER.split(", "))
        query = (
            f"SELECT {columns} FROM server JOIN account USING (user_id) WHERE user_id = ?"  # noqa: S608
            " ORDER BY machine IS account.current DESC, owned DESC, name LIMIT 1"
        )
        with self._file.connected() as db, closing(db.execute(query, (user_id,))) as found:
            row = found.fetchone()
        return None if row is None else _server(row)

    async def _all(self, query: str, *values: object) -> list[Any]:
        def read() -> list[Any]:
            with self._file.connected() as db:
                return db.execute(query, values).fetchall()

        return await self._do(read)

    async def _do(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._turn)


def _device(value: str) -> Device:
    until, _, key = value.partition(" ")
    return Device(key, float(until))


def _server(row: Sequence[Any]) -> Server:
    ways = msgspec.json.decode(row[4], type=tuple[Way, ...])
    return Server(
        user_id=row[0], machine=row[1], name=row[2], owned=bool(row[3]), ways=ways, way=row[5], latency=row[6]
    )


def _row(server: Server, sealed: str, known: Server | None) -> tuple[Any, ...]:
    chosen = None if known is None or known.way is None else known.ways[known.way]
    way = server.ways.index(chosen) if chosen in server.ways else None
    return (
        server.user_id, server.machine, server.name, int(server.owned), sealed,
        msgspec.json.encode(server.ways).decode(), way, None if way is None or known is None else known.latency,
    )  # fmt: skip
