"""One open database: the engine that apps share, and a room beside it for work that blocks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from plughost.plugins.database.engines import (
    make_blocking_engine,
    make_engine,
    prove_reachable,
    prove_readable,
)
from plughost.plugins.database.turns import DatabaseTurn
from plughost.plugins.database.urls import blocking_url, sqlite_file

T = TypeVar("T")

ALEMBIC_LANE: Final = threading.Lock()
"""Held while revisions run. Revisions say ``from alembic import op``, and that ``op`` is one per process: two
migrations at once, even of two hosts, would write into each other's database."""

_POLL = 0.05  # seconds between two looks at whether a thread that waits for its turn is still wanted


class StoppedError(Exception):
    """The work was cancelled before it began."""


class Database:
    """One database, as long as at least one app is connected to it.

    Attributes:
        url: Where it is, with an async driver.
        engine: The engine that apps are given.
        turn: Taken by whoever runs migrations or seeds, in this process or another one.
    """

    def __init__(self, url: URL, *, connect_timeout: float, lock_timeout: float) -> None:
        self.url = url
        self.engine: AsyncEngine = make_engine(url, connect_timeout=connect_timeout)
        self.turn = DatabaseTurn(self.engine)
        blocking = blocking_url(url)
        self._blocking = (
            None if blocking is None else make_blocking_engine(blocking, lock_timeout=lock_timeout)
        )

    def exists(self) -> bool:
        """Whether there is something to open: False for a SQLite file that is not there. Blocking."""
        file = sqlite_file(self.url)
        return file is None or file.is_file()

    async def open(self) -> None:
        """Prove that it can be reached.

        Raises:
            StoreUnavailableError: It cannot.
        """
        try:
            await self.prove()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.engine.dispose()
            raise

    async def prove(self) -> None:
        """Ask the smallest question.

        Raises:
            StoreUnavailableError: There was no answer.
        """
        if self._blocking is not None and self.url.get_backend_name() == "sqlite":
            await anyio.to_thread.run_sync(prove_readable, self._blocking)
        else:
            await prove_reachable(self.engine)

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    async def run(self, work: Callable[[Connection], T], *, alembic: bool = False) -> T:
        """Do blocking work in one transaction, in a worker thread and on a connection of its own.

        It is committed when the work returns and rolled back when it raises or the caller is cancelled; then
        the statement that runs is interrupted. A database in memory, and one without a known blocking driver,
        is worked on through the async engine instead.

        Args:
            work: Gets the connection, inside the transaction.
            alembic: Revisions are going to run; wait for the process's only lane for them.
        """
        if self._blocking is not None:
            return await _Room(self._blocking).run(work, alembic=alembic)
        if alembic:
            await anyio.to_thread.run_sync(_take_lane, threading.Event())
        try:
            async with self.engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            if alembic:
                ALEMBIC_LANE.release()


class _Room:
    """A worker thread with a connection that can be interrupted from outside."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._connection: Any = None

    async def run(self, work: Callable[[Connection], T], *, alembic: bool) -> T:
        outcome: list[T] = []
        failure: Exception | None = None

        def work_here() -> T:
            with (
                _lane(self._stop) if alembic else contextlib.nullcontext(),
                self._engine.begin() as connection,
            ):
                self._connection = connection.connection.dbapi_connection
                try:
                    return work(connection)
                finally:
                    self._connection = None
                    if self._stop.is_set():
                        raise StoppedError  # whatever the work made of the interruption, it is not committed

        async with anyio.create_task_group() as group:
            group.start_soon(self._interrupt_when_cancelled)
            try:
                outcome.append(await anyio.to_thread.run_sync(work_here))
            except Exception as error:  # raised below, outside of the group that would wrap it
                failure = error
            finally:
                self._ended.set()
            group.cancel_scope.cancel()
        await anyio.lowlevel.checkpoint_if_cancelled()
        if failure is not None:
            raise failure
        return outcome[0]

    async def _interrupt_when_cancelled(self) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self._stop.set()
            # An interruption hits the statement that runs now. The thread may be between two, so it is
            # interrupted again until it ends. sqlite3 says interrupt, psycopg says cancel; both may be called
            # from another thread, and it is as good when the thread closes its connection in this very moment.
            with anyio.CancelScope(shield=True):
                while not self._ended.is_set():
                    used = self._connection
                    stop = getattr(used, "interrupt", None) or getattr(used, "cancel", None)
                    if stop is not None:
                        with contextlib.suppress(Exception):
                            stop()
                    await anyio.sleep(_POLL)


@contextlib.contextmanager
def _lane(stop: threading.Event) -> Iterator[None]:
    _take_lane(stop)
    try:
        yield
    finally:
        ALEMBIC_LANE.release()


def _take_lane(stop: threading.Event) -> None:
    while not ALEMBIC_LANE.acquire(timeout=_POLL):
        if stop.is_set():
            raise StoppedError
