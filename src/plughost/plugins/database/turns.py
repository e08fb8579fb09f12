"""One at a time: whoever migrates or seeds a database has its turn, among all processes that use it.

The lock is one that goes with its holder, however that ends: PostgreSQL's advisory lock of a session, and beside
a SQLite file a lock of the kernel, because SQLite's own would keep the seeds out that are sown under it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from plughost.contracts import get_logger
from plughost.plugins.database.urls import printable, sqlite_file

_log = get_logger("plughost.database")

_KEY: Final = 0x706C756768  # "plugh"; advisory locks are numbers, and each database has its own
_POLL: Final = 0.05  # seconds between two tries


class DatabaseTurn:
    """The turn of one database. Waiting for it is bounded by the limit of the hook that waits.

    Databases in memory and those of other servers are kept apart within this process only.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._here = anyio.Lock()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn, and have it until the end of the block."""
        file = sqlite_file(self._engine.url)
        async with self._here:
            if file is not None:
                async with self._of_file(file.with_name(f"{file.name}-turn")):
                    yield
            elif self._engine.url.get_backend_name() == "postgresql":
                async with self._of_server():
                    yield
            else:
                yield

    @asynccontextmanager
    async def _of_file(self, path: Path) -> AsyncIterator[None]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:

            async def take() -> bool:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            await self._wait(take)
            yield
        finally:
            os.close(descriptor)

    @asynccontextmanager
    async def _of_server(self) -> AsyncIterator[None]:
        async with self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            statement = sa.select(sa.func.pg_try_advisory_lock(_KEY))

            async def take() -> bool:
                return bool(await connection.scalar(statement))

            try:
                await self._wait(take)
                yield
            finally:
                # The lock goes with the session, also where its answer was lost; so the session goes.
                with anyio.CancelScope(shield=True):
                    await connection.invalidate()

    async def _wait(self, take: Callable[[], Awaitable[bool]]) -> None:
        if await take():
            return
        _log.info(
            "another process has its turn at the database, this one waits",
            database=printable(self._engine.url),
        )
        while not await take():  # noqa: ASYNC110 - another process cannot set an event
            await anyio.sleep(_POLL)
