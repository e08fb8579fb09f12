"""One thread that writes to one SQLite file, and commits together whatever has piled up.

A commit that survives a power cut costs a flush of the disk. Whoever asks while one is under way shares the
next: with many requests at once a durable write costs little more than one that is not. Each waits until its
own write is on the disk.

What the tasks of one turn of the event loop ask for is handed over at the end of that turn, all at once: the
thread is woken once, and does not compete with the loop for the interpreter at every statement.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

import anyio
import anyio.to_thread

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.tickets import Tickets, tickets_of_this_loop

T = TypeVar("T")
Operation = Callable[[sqlite3.Connection], T]
"""Runs in the writer's thread inside a transaction, perhaps twice: it touches nothing but the connection."""

ENOUGH = 512
"""A batch of so many takes in no other turn of the loop."""


class _Job:
    """One operation and who waits for it; nobody when ``done`` is None."""

    __slots__ = ("done", "error", "operation", "result")

    def __init__(self, operation: Operation[Any], done: Any) -> None:
        self.operation = operation
        self.done = done
        self.result: Any = None
        self.error: BaseException | None = None


class GroupCommitWriter:
    """Owns the only connection of this process that writes.

    Args:
        connect: Called in the writer's thread; returns a connection in autocommit mode.
        turn: Returns what to enter around each transaction: the turn of this process, where several write.
        is_stale: Called before each batch; whether the file is another one by now, so that it must be opened again.
        reopened: Called in the event loop after the file was opened again, before anybody hears of a result.
        refusals: Exceptions an operation raises before it wrote anything: they are its caller's alone. Any
            other error rolls the whole batch back, and each of its operations is tried again by itself.
        committed: Called in the writer's thread after each commit.
        rolled_back: Called in the writer's thread after each rollback.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        *,
        turn: Callable[[], AbstractContextManager[None]] = nullcontext,
        is_stale: Callable[[], bool] = lambda: False,
        reopened: Callable[[], None] = lambda: None,
        refusals: tuple[type[Exception], ...] = (),
        committed: Callable[[], None] = lambda: None,
        rolled_back: Callable[[], None] = lambda: None,
    ) -> None:
        self._connect = connect
        self._turn = turn
        self._is_stale = is_stale
        self._reopened = reopened
        self._refusals = refusals
        self._committed = committed
        self._rolled_back = rolled_back
        self._asked: list[_Job] = []  # in this turn of the loop, and touched in the loop alone
        self._jobs: SimpleQueue[list[_Job] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._tickets: Tickets | None = None
        self._connection: sqlite3.Connection | None = None
        self._failure: BaseException | None = None
        self._stopping = False

    async def start(self) -> None:
        """Open the connection in a thread of its own.

        Raises:
            Exception: Whatever ``connect`` raised.
        """
        self._tickets = tickets_of_this_loop()
        self._stopping, self._failure = False, None
        self._jobs = SimpleQueue()  # the word to stop may be left in the one of a start that failed
        opened = self._tickets.issue()
        # A daemon: a program that forgets to close must still be able to end. What was acknowledged is on
        # disk.
        self._thread = threading.Thread(
            target=self._work, args=(opened,), name="plughost-sessions-writer", daemon=True
        )
        self._thread.start()
        await self._tickets.wait(opened)
        if self._failure is not None:
            raise as_unavailable(self._failure)

    async def run(self, operation: Operation[T]) -> T:
        """Return what the operation returns, once it is durable.

        The operation is on its way before this first waits: a caller that is cancelled does not know whether
        it happened, but it happens as a whole or not at all.

        Raises:
            StoreUnavailableError: The file cannot be written now.
        """
        tickets = self._tickets
        if tickets is None:
            raise _closed()
        job = _Job(operation, tickets.issue())
        self._put(job)
        await tickets.wait(job.done)
        if job.error is not None:
            raise as_unavailable(job.error)
        result: T = job.result
        return result

    def post(self, operation: Operation[object]) -> None:
        """Have it done with the next commit, without waiting and without hearing of a failure."""
        self._put(_Job(operation, None))

    async def stop(self) -> None:
        """Finish what is queued and close the connection."""
        if self._thread is None or not self._thread.is_alive():
            return
        self._stopping = True  # who asks from here on would wait for ever
        self._hand_over()
        self._jobs.put(None)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._thread.join)

    def _put(self, job: _Job) -> None:
        if self._tickets is None or self._stopping or self._thread is None or not self._thread.is_alive():
            raise _closed()
        self._asked.append(job)
        if len(self._asked) == 1:
            self._tickets.soon(self._hand_over)

    def _hand_over(self) -> None:
        asked, self._asked = self._asked, []
        if asked:
            self._jobs.put(asked)

    def _work(self, opened: object) -> None:
        try:
            self._connection = self._connect()
        except BaseException as error:
            self._failure = error
            self._tell([opened])
            return
        self._tell([opened])
        try:
            while (jobs := self._next_batch()) is not None:
                try:
                    self._do(self._fresh_connection(), jobs)
                except Exception as error:
                    for job in jobs:
                        job.error = error
                self._tell([job.done for job in jobs if job.done is not None])
        finally:
            self._close()

    def _fresh_connection(self) -> sqlite3.Connection:
        """Return the connection; a new one when the file is another by now, or could not be opened the last time."""
        if self._connection is not None and self._is_stale():
            self._close()
        if self._connection is None:
            self._connection = self._connect()
            self._call(self._reopened)
        return self._connection

    def _close(self) -> None:
        # The last connection to close copies the log back, which is writing. Whatever fails, it is closed.
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            with self._turn():
                connection.close()
        except StoreUnavailableError:
            connection.close()

    def _next_batch(self) -> list[_Job] | None:
        jobs = self._jobs.get()
        if jobs is None:
            return None
        while len(jobs) < ENOUGH:
            try:
                more = self._jobs.get_nowait()
            except Empty:
                break
            if more is None:
                self._jobs.put(None)  # stop after this batch
                break
            jobs += more
        return jobs

    def _do(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        began = False
        try:
            with self._turn():
                connection.execute("BEGIN IMMEDIATE")
                began = True
                self._commit(connection, jobs)
        except Exception as error:
            if not began or len(jobs) == 1:
                for job in jobs:
                    job.error = error
                return
            for job in jobs:
                job.error = None
                self._do(connection, [job])

    def _commit(self, connection: sqlite3.Connection, jobs: list[_Job]) -> None:
        try:
            for job in jobs:
                try:
                    job.result = job.operation(connection)
                except self._refusals as refusal:
                    job.error = refusal
            connection.execute("COMMIT")
        except Exception:
            try:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            finally:
                self._rolled_back()
            raise
        self._committed()

    def _tell(self, holders: list[Any]) -> None:
        self._call(_honour, self._tickets, holders)

    def _call(self, function: Callable[..., None], *args: object) -> None:
        assert self._tickets is not None  # noqa: S101 - start() has set it before this thread began
        try:
            self._tickets.call(function, *args)
        except RuntimeError:
            # The loop has ended: nobody waits any more.
            return


def _honour(tickets: Tickets, holders: list[Any]) -> None:
    for ticket in holders:
        tickets.honour(ticket)


def _closed() -> StoreUnavailableError:
    return StoreUnavailableError("the session database is closed")


def as_unavailable(error: BaseException) -> BaseException:
    """Return an error of SQLite as one of a store; any other as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    unavailable = StoreUnavailableError(f"the session database cannot be written: {error}")
    unavailable.__cause__ = error
    return unavailable
