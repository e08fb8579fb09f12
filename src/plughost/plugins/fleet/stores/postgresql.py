"""A fleet in PostgreSQL, for those who have one."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from plughost.contracts import Word
from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.fleet.stores.rules import FleetRules
from plughost.plugins.fleet.stores.stepping import SteppingStore
from plughost.plugins.fleet.stores.tables import KINDS_OF_A_FLEET

try:
    import psycopg
    from psycopg import conninfo, errors
except ImportError as error:
    raise ConfigError(
        "store = 'postgresql' needs the psycopg package: pip install 'plughost[postgresql]'",
        path="plugins.fleet.config.store",
    ) from error

T = TypeVar("T")
_Connection = psycopg.Connection[tuple[Any, ...]]

_LISTEN = 30.0
"""Seconds after which a listener looks whether its connection still is one."""

_MAKE = """
CREATE TABLE IF NOT EXISTS plughost_fleet (
    fleet text NOT NULL, kind text NOT NULL, key text NOT NULL, value bytea NOT NULL, PRIMARY KEY (fleet, kind, key)
)"""

# A claim must not be forgotten in a power cut, or its slot would start twice: it is committed on the disk, and on the
# replicas that the server waits for. A beat may be.
_LIMITS = """
SELECT set_config('lock_timeout', %(limit)s, true), set_config('statement_timeout', %(limit)s, true),
    set_config('idle_in_transaction_session_timeout', %(limit)s, true),
    set_config('synchronous_commit', CASE
        WHEN NOT %(durable)s THEN 'off' WHEN current_setting('synchronous_commit') = 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, true)
"""

_REFUSALS: tuple[tuple[type[Exception], str], ...] = (
    (
        errors.InsufficientPrivilege,
        "its user lacks SELECT, INSERT, UPDATE or DELETE on plughost_fleet, or CREATE on the schema to make that table",
    ),
    (errors.ReadOnlySqlTransaction, "it is a replica: let postgresql_url lead to the primary"),
    (errors.InvalidCatalogName, "the database in postgresql_url does not exist"),
    (errors.LockNotAvailable, "another host did not end its step in time"),
    (errors.QueryCanceled, "a statement took too long"),
)


class PostgresqlFleetStore(SteppingStore):
    """A ``FleetStore`` in one table of a database, which any number of fleets may share.

    Each step is one transaction in a worker thread, and an advisory lock gives the steps of a fleet their order, as
    long as the transaction lasts: nothing is kept on the connection, as poolers in transaction mode want it. There,
    words may not be heard, and beats tell.

    Args:
        url: Where it is: ``postgresql://``.
        fleet: The fleet's name in the table.
        timeout: Longest time for one step, in seconds; it covers a new connection too.
        now: Returns the time, for tests; None takes the server's own.
    """

    name = "postgresql"

    def __init__(
        self, url: str, *, fleet: str, timeout: float = 2.0, now: Callable[[], float] | None = None
    ) -> None:
        self._url = url
        self._fleet = fleet
        self._timeout = timeout
        self._now = now
        digest = hashlib.sha256(f"plughost fleet {fleet}".encode()).digest()
        self._lock = int.from_bytes(digest[:8], "big", signed=True)
        self._channel = f"plughost_fleet_{digest[:8].hex()}"
        self._line: _Line | None = None
        self._ear: _Line | None = None
        self._listening: _Connection | None = None

    def __repr__(self) -> str:
        return f"PostgresqlFleetStore(fleet={self._fleet!r})"  # the address may hold a password

    async def open(self) -> None:
        """Connect, and make the table when it is not there.

        Raises:
            ConfigError: The address is not that of a PostgreSQL database.
            StoreUnavailableError: It cannot be reached, or its user lacks a right.
        """
        if self._line is None:
            self._line, self._ear = (_Line(self._parameters(), self._timeout) for _ in range(2))
        await self._line.do(self._find_table)

    async def close(self) -> None:
        """Let the connections go."""
        for line in (self._line, self._ear):
            if line is not None:
                line.hang_up()
        self._line = self._ear = None

    async def fleets(self) -> Sequence[str]:
        """Return the names of those in the table."""

        def look(connection: _Connection) -> list[str]:
            query = "SELECT DISTINCT fleet FROM plughost_fleet WHERE kind = ANY(%s)"
            return sorted(name for (name,) in connection.execute(query, (list(KINDS_OF_A_FLEET),)))

        return await self._opened(self._line).do(look)

    async def wait_for_word(self) -> Word:
        """Return when somebody proposed or told something."""
        ear = self._opened(self._ear)

        def listen(connection: _Connection) -> _Connection:
            if connection is not self._listening:  # it is a new one
                connection.execute(f"LISTEN {self._channel}".encode())
                self._listening = connection
            return connection

        connection = await ear.do(listen)
        try:
            with anyio.move_on_after(_LISTEN):
                await anyio.wait_readable(connection.fileno())
        except (psycopg.Error, OSError, anyio.ClosedResourceError) as error:
            raise _unavailable(error) from None
        heard = await ear.do(lambda connection: {one.payload for one in connection.notifies(timeout=0)})
        return Word(step="step" in heard, event="event" in heard)

    async def _wake(self, word: Word) -> None:
        said = (self._channel, "step" if word.step else "event")
        await self._opened(self._line).do(
            lambda connection: connection.execute("SELECT pg_notify(%s, %s)", said)
        )

    async def _step(
        self, step: Callable[[FleetRules], T], *, durable: bool = False, reads: bool = False
    ) -> T:
        def transact(connection: _Connection) -> T:
            if reads:
                try:
                    with self._transaction(connection, reads=True) as (rows, now):
                        return step(FleetRules(rows, now))
                except errors.ReadOnlySqlTransaction:
                    pass  # it had to write after all: the table was empty
                except errors.UndefinedTable:
                    self._find_table(connection)
            try:
                with self._transaction(connection, durable=durable) as (rows, now):
                    return step(FleetRules(rows, now))
            except errors.UndefinedTable:  # somebody dropped it: it is another fleet now
                self._find_table(connection)
                with self._transaction(connection, durable=durable) as (rows, now):
                    return step(FleetRules(rows, now))

        return await self._opened(self._line).do(transact)

    def _opened(self, line: _Line | None) -> _Line:
        if line is None:
            raise StoreUnavailableError("the fleet's store is not open")
        return line

    @contextlib.contextmanager
    def _transaction(
        self, connection: _Connection, *, durable: bool = False, reads: bool = False
    ) -> Iterator[tuple[_Rows, int]]:
        limit = f"{self._timeout * 1000:.0f}"
        try:
            with connection.pipeline():
                connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if reads else "BEGIN")
                # A process that is stopped in the middle of a step must not keep the others from theirs.
                connection.execute(_LIMITS, {"limit": limit, "durable": durable})
                if not reads:
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (self._lock,))
                told = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
                rows = _Rows(connection, self._fleet, ["head"])
            ((now,),) = told.fetchall()
            yield rows, now if self._now is None else round(self._now() * 1000)
            with connection.pipeline():
                rows.write()
                connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                connection.execute("ROLLBACK")
            raise

    def _find_table(self, connection: _Connection) -> None:
        found = connection.execute("SELECT to_regclass('plughost_fleet')").fetchone()
        if found is None or found[0] is None:
            with connection.transaction():  # CREATE TABLE IF NOT EXISTS fails where two do it at once
                connection.execute("SELECT pg_advisory_xact_lock(hashtext('plughost_fleet'))")
                connection.execute(_MAKE)

    def _parameters(self) -> dict[str, Any]:
        try:
            if not self._url.startswith(("postgresql://", "postgres://")):
                raise psycopg.ProgrammingError
            said = conninfo.conninfo_to_dict(self._url)
        except psycopg.ProgrammingError:  # its text may hold the password
            raise ConfigError(
                "postgresql_url is not the address of a database: write postgresql://USER@HOST/DATABASE",
                path="plugins.fleet.config.postgresql_url",
            ) from None
        patience = max(2, round(self._timeout))
        usual = {"target_session_attrs": "read-write", "application_name": "plughost fleet"}
        return usual | {"connect_timeout": patience, "keepalives_idle": 30, "keepalives_interval": 10} | said


class _Line:
    """One connection, made when it is needed, for one piece of work at a time.

    Work is done in a thread, within a limit. Who waits longer hangs up: the socket is shut down, so that the thread
    wakes and lets go of the connection, and the next work has a new one.

    Args:
        parameters: Where the server is, as libpq has it.
        limit: Seconds for one piece of work; they cover a new connection too.
    """

    def __init__(self, parameters: dict[str, Any], limit: float) -> None:
        self._parameters = parameters
        self._limit = limit
        self._turn = anyio.Lock()
        self._connection: _Connection | None = None
        self._round = 0

    async def do(self, work: Callable[[_Connection], T]) -> T:
        """Do it.

        Raises:
            StoreUnavailableError: It failed, or took too long.
        """
        async with self._turn:
            try:
                # Shielded: work that is let go of in its middle would share its connection with the next.
                with anyio.fail_after(self._limit, shield=True):
                    return await anyio.to_thread.run_sync(
                        self._do_here, work, self._round, abandon_on_cancel=True
                    )
            except TimeoutError:
                self.hang_up()
                raise StoreUnavailableError(
                    f"the fleet's database did not answer within {self._limit:g} s"
                ) from None
            except (psycopg.Error, OSError) as error:
                raise _unavailable(error) from None

    def hang_up(self) -> None:
        """End the connection, whoever uses it; the next work has another."""
        self._round += 1
        connection, self._connection = self._connection, None
        if connection is None or connection.closed:
            return
        if not self._turn.locked():
            connection.close()
            return
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(connection.fileno())) as wire,
        ):
            wire.shutdown(socket.SHUT_RDWR)

    def _do_here(self, work: Callable[[_Connection], T], began: int) -> T:
        connection = self._connection
        if connection is None:
            # Poolers hand a connection to another client after each transaction: nothing may be prepared on it.
            connection = psycopg.connect(**self._parameters, autocommit=True, prepare_threshold=None)
        try:
            if began != self._round:
                raise psycopg.OperationalError("nobody waits for it any more")
            self._connection = connection
            return work(connection)
        except psycopg.OperationalError:
            if began == self._round:
                self._connection = None
            connection.close()
            raise


def _unavailable(error: Exception) -> StoreUnavailableError:
    # A text of the server names no password, but may name the address: the class says enough.
    why = next((text for kind, text in _REFUSALS if isinstance(error, kind)), type(error).__name__)
    return StoreUnavailableError(f"the fleet's database cannot be used: {why}")


class _Rows:
    """``Documents`` in one table: a kind is read whole once it is looked through, and all is written at the end."""

    def __init__(self, connection: _Connection, fleet: str, kinds: list[str]) -> None:
        self._connection = connection
        self._fleet = fleet
        self._seen: dict[str, dict[str, bytes | None]] = {}
        self._whole: set[str] = set()
        self._changed: set[tuple[str, str]] = set()
        self._awaited = {kind: self._ask(kind) for kind in kinds}

    def _ask(self, kind: str) -> psycopg.Cursor[tuple[Any, ...]]:
        return self._connection.execute(
            "SELECT key, value FROM plughost_fleet WHERE fleet = %s AND kind = %s", (self._fleet, kind)
        )

    def _all(self, kind: str) -> dict[str, bytes | None]:
        seen = self._seen.setdefault(kind, {})
        if kind not in self._whole:
            cursor = self._awaited.pop(kind, None) or self._ask(kind)
            seen.update({key: value for key, value in cursor if key not in seen})
            self._whole.add(kind)
        return seen

    def get(self, kind: str, key: str) -> bytes | None:
        if kind in self._whole or kind in self._awaited:
            return self._all(kind).get(key)
        seen = self._seen.setdefault(kind, {})
        if key not in seen:
            row = self._connection.execute(
                "SELECT value FROM plughost_fleet WHERE fleet = %s AND kind = %s AND key = %s",
                (self._fleet, kind, key),
            ).fetchone()
            seen[key] = None if row is None else row[0]
        return seen[key]

    def put(self, kind: str, key: str, value: bytes) -> None:
        self._set(kind, key, value)

    def delete(self, kind: str, key: str) -> None:
        self._set(kind, key, None)

    def _set(self, kind: str, key: str, value: bytes | None) -> None:
        self._seen.setdefault(kind, {})[key] = value
        self._changed.add((kind, key))

    def some(self, kind: str, keys: Sequence[str]) -> list[bytes]:
        seen = self._seen.setdefault(kind, {})
        if kind not in self._whole and (missing := [key for key in keys if key not in seen]):
            found = self._connection.execute(
                "SELECT key, value FROM plughost_fleet WHERE fleet = %s AND kind = %s AND key = ANY(%s)",
                (self._fleet, kind, missing),
            )
            seen.update(dict.fromkeys(missing))
            seen.update(found.fetchall())
        return [value for key in keys if (value := seen.get(key)) is not None]

    def items(self, kind: str) -> list[tuple[str, bytes]]:
        return sorted((key, value) for key, value in self._all(kind).items() if value is not None)

    def write(self) -> None:
        """Write what was changed."""
        for kind, key in sorted(self._changed):
            value = self._seen[kind][key]
            if value is None:
                self._connection.execute(
                    "DELETE FROM plughost_fleet WHERE fleet = %s AND kind = %s AND key = %s",
                    (self._fleet, kind, key),
                )
            else:
                self._connection.execute(
                    "INSERT INTO plughost_fleet VALUES (%s, %s, %s, %s)"
                    " ON CONFLICT (fleet, kind, key) DO UPDATE SET value = excluded.value",
                    (self._fleet, kind, key, value),
                )
