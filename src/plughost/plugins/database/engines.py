"""Engines: how a database is opened, proved reachable and closed."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, create_engine, event, pool
from sqlalchemy.engine import URL, Connection
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from plughost.contracts import KnownDatabase
from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.database.urls import printable, scrub, sqlite_file

_KNOWN: Final = "plughost_file"
"""Where a pooled connection has what its file was when it was opened."""


def require_asyncio() -> None:
    """Raise unless the running event loop is asyncio's, the only one SQLAlchemy's async engines work on.

    Raises:
        ConfigError: The host runs on trio.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigError(
            "the database plugin works on asyncio only, because SQLAlchemy's async engines do, and this host "
            "runs on another event loop (trio); run it on asyncio, or disable the plugin"
        ) from None


def make_engine(url: URL, *, connect_timeout: float) -> AsyncEngine:
    """Return an engine for an app; nothing is opened yet.

    Raises:
        ConfigError: The driver that the url needs is not installed.
    """
    arguments: dict[str, Any] = {"connect_args": _connect_arguments(url, connect_timeout)}
    if url.get_backend_name() != "sqlite":
        arguments["pool_pre_ping"] = True
    try:
        engine = create_async_engine(url, **arguments)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"{printable(url)} needs the Python package {error.name!r}; install it beside plughost"
        ) from error
    if url.get_backend_name() == "sqlite":
        _own_transactions(engine.sync_engine, begin="BEGIN")
        if (path := sqlite_file(url)) is not None:
            _leave_a_file_that_is_gone(engine.sync_engine, path)
    return engine


def make_blocking_engine(url: URL, *, lock_timeout: float) -> Engine:
    """Return an engine for a worker thread, which opens one connection and keeps none.

    On SQLite a transaction takes the write lock at once: a read that later turns into a write would fail at
    once when another connection wrote in between, however long the time limit for locks.
    """
    engine = create_engine(url, poolclass=pool.NullPool, connect_args=_connect_arguments(url, lock_timeout))
    if url.get_backend_name() == "sqlite":
        _own_transactions(engine, begin="BEGIN IMMEDIATE")
    return engine


def _connect_arguments(url: URL, seconds: float) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": seconds}
    if url.get_driver_name() == "psycopg" and "connect_timeout" not in url.query:
        return {"connect_timeout": max(2, round(seconds))}
    return {}


def _own_transactions(engine: Engine, *, begin: str) -> None:
    # Python's sqlite3 module begins a transaction before INSERT, UPDATE and DELETE only, so CREATE TABLE
    # commits by itself and a failed migration would leave half of its tables. With isolation_level None it
    # begins nothing; SQLAlchemy says BEGIN every time, and SQLite then rolls back tables as well as rows.
    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        if sqlite_file(engine.url) is not None:
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)


def _leave_a_file_that_is_gone(engine: Engine, path: Path) -> None:
    # A connection to a file that was deleted or replaced goes on writing into it, and each write says that it worked.
    latest = KnownDatabase(path)

    @event.listens_for(engine, "do_connect")
    def forget_old_log(*_: object) -> None:
        if latest.is_another:
            latest.drop_old_log()

    @event.listens_for(engine, "connect")
    def note(connection: Any, record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA schema_version")  # with the first look its log is there, too
        cursor.close()
        latest.note()
        record.info[_KNOWN] = known = KnownDatabase(path)
        known.note()

    @event.listens_for(engine, "checkout")
    def look(_connection: Any, record: Any, _proxy: object) -> None:
        if record.info[_KNOWN].is_another:
            raise DisconnectionError(f"{path} was deleted or replaced")


async def prove_reachable(engine: AsyncEngine) -> None:
    """Open one connection and ask the smallest question.

    Raises:
        StoreUnavailableError: The server is away or refuses the password.
    """
    try:
        async with engine.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")
    except (SQLAlchemyError, OSError) as error:
        raise unavailable(engine.url, error) from None


def prove_readable(engine: Engine) -> None:
    """Open a SQLite file and have it read. Blocking.

    Not through the async driver: when a file cannot be opened, its thread outlives the attempt. And not in a
    transaction, which would wait for whoever writes.

    Raises:
        StoreUnavailableError: It cannot be opened, or it is not a database.
    """
    try:
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA schema_version")  # SQLite answers SELECT 1 without looking at the file
            cursor.close()
        finally:
            connection.close()
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise unavailable(engine.url, error) from None


def unavailable(url: URL, error: BaseException) -> StoreUnavailableError:
    """Return the one error this plugin raises for a database it cannot reach, without the password in it."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = " ".join(scrub(url, str(original)).split())
    advice = "check the file and its folder" if sqlite_file(url) else "check host, user and password"
    return StoreUnavailableError(f"cannot open {printable(url)}: {said}; {advice}")
