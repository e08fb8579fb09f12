"""Migrations, seeds, models and the way back of one app."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

import anyio.to_thread
from msgspec.structs import replace
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from plughost.contracts import OperationResult, UnregisterOptions, counted
from plughost.exceptions import AppError, ConfigError
from plughost.plugins.database.commits import Commits
from plughost.plugins.database.database import Database
from plughost.plugins.database.found import MigrationNotes, Note, drop_enums, note_seeds
from plughost.plugins.database.migrations import Before, Migrations, RevisionFailedError
from plughost.plugins.database.references import import_callable, import_module, tables_of
from plughost.plugins.database.settings import DatabaseSettings
from plughost.plugins.database.urls import scrub

T = TypeVar("T")

_TAKES_TABLES_BACK = frozenset({"sqlite", "postgresql", "mssql"})
"""Backends where a transaction that fails takes its tables with it."""


class Operations:
    """What is done to databases when apps come and go.

    It remembers, for each app that is being registered, what its database was like before; and in the
    database itself what it was like before the app first came (see ``found``).
    """

    def __init__(self) -> None:
        self._before: dict[str, Before] = {}

    def forget(self, app_name: str) -> None:
        """Drop what is remembered of a registration."""
        self._before.pop(app_name, None)

    async def migrate(self, app_name: str, database: Database, settings: DatabaseSettings) -> OperationResult:
        """Run the revisions that the database does not have yet, in one transaction."""
        self.forget(app_name)
        migrations = await _load(app_name, settings)

        def work(connection: Connection) -> tuple[str, ...]:
            moved = migrations.upgrade(connection, app_name, settings.version_table)
            self._before[app_name] = moved.before
            return moved.applied

        applied = await _in_turn(app_name, "run_migrations", database, work)
        return OperationResult(
            operation="migrations", detail=_count(applied, "applied"), figures={"applied": applied}
        )

    async def seed(self, app_name: str, database: Database, settings: DatabaseSettings) -> OperationResult:
        """Await the seeds with the engine, unless they were sown in this database before."""
        reference = settings.seeds or ""
        path = f"apps.{app_name}.seeds"
        sow = await anyio.to_thread.run_sync(lambda: import_callable(reference, path=path))
        async with database.turn.taken():
            async with database.engine.connect() as connection:
                note = await connection.run_sync(lambda sync: MigrationNotes(sync).read(app_name))
            if note is not None and note.seeds == reference:
                return OperationResult(operation="seeds", detail="sown before", figures={"sown": False})
            self._before.setdefault(app_name, Before(note, "", table_there=True, revisions=()))
            try:
                answer = sow(database.engine)
                if inspect.isawaitable(answer):
                    await answer
            except Exception as error:
                raise AppError(
                    f"seeds of app {app_name!r} failed: {_said(database, error)}",
                    app_name=app_name,
                    step="run_seeds",
                ) from None
            sown = replace(note or Note(app_name, "", table_found=True), seeds=reference)
            async with database.engine.begin() as connection:
                if note is not None:
                    await connection.run_sync(note_seeds, sown)
                else:
                    await connection.run_sync(lambda sync: MigrationNotes(sync).write(sown))
        return OperationResult(operation="seeds", detail=f"{reference} sown", figures={"sown": True})

    async def load_models(self, app_name: str, settings: DatabaseSettings) -> OperationResult:
        """Import the models."""
        name = settings.models or ""
        path = f"apps.{app_name}.models"
        module = await anyio.to_thread.run_sync(lambda: import_module(name, path=path))
        tables = tables_of(module)
        return OperationResult(operation="models", detail=f"{name} is imported", figures={"tables": tables})

    async def roll_back(
        self, app_name: str, database: Database, settings: DatabaseSettings, options: UnregisterOptions
    ) -> OperationResult:
        """Take the schema back: to what it was before this registration, or before the app ever came."""
        migrations = await _load(app_name, settings) if settings.migrations is not None else None
        before = self._before.pop(app_name, None)
        if options.reason == "failure":
            if before is None:
                return OperationResult(operation="rollback", detail="nothing was done")
            return await _go_back(app_name, database, migrations, before)

        def work(connection: Connection) -> Before | None:
            ledger = MigrationNotes(connection)
            note = ledger.read(app_name)
            if note is None:
                return None
            if others := ledger.neighbours(note):
                raise AppError(
                    f"app {app_name!r} cannot be rolled back: {', '.join(map(repr, others))} shares its schema "
                    f"(version table {note.version_table!r}); roll back the apps that share it first, "
                    "or unregister this one without a rollback",
                    app_name=app_name,
                    step="rollback_app",
                )
            return Before(None, note.version_table, note.table_found, note.revisions_found)

        first = await database.run(work)
        if first is None:
            return OperationResult(operation="rollback", detail="nothing to roll back")
        return await _go_back(app_name, database, migrations, first)


async def _go_back(
    app_name: str, database: Database, migrations: Migrations | None, before: Before
) -> OperationResult:
    path = f"apps.{app_name}.migrations"

    def work(connection: Connection) -> tuple[str, ...]:
        undone: tuple[str, ...] = ()
        if before.version_table:
            if migrations is None:
                raise ConfigError(
                    f"{path} is not set, so what its migrations did cannot be rolled back", path=path
                )
            undone = migrations.downgrade(connection, before.version_table, before.revisions)
        if before.enums:
            drop_enums(connection, before.enums)
        ledger = MigrationNotes(connection)
        if before.version_table and not before.table_there:
            ledger.drop(before.version_table)
        if before.note is None:
            ledger.remove(app_name)
        else:
            ledger.write(before.note)
        return undone

    undone = await _in_turn(app_name, "rollback_app", database, work)
    return OperationResult(operation="rollback", detail=_count(undone, "undone"), figures={"undone": undone})


async def _load(app_name: str, settings: DatabaseSettings) -> Migrations:
    folder, path = settings.migrations, f"apps.{app_name}.migrations"
    if folder is None:
        raise ConfigError(f"{path} is not set", path=path)
    return await anyio.to_thread.run_sync(lambda: Migrations(folder, path=path))


async def _in_turn(app_name: str, step: str, database: Database, work: Callable[[Connection], T]) -> T:
    commits = Commits()

    def watched(connection: Connection) -> T:
        with commits.watched(connection):
            return work(connection)

    async with database.turn.taken():
        try:
            return await database.run(watched, alembic=True)
        except RevisionFailedError as error:
            cause = error.__cause__ or error
            raise AppError(
                f"revision {error.revision} of app {app_name!r} failed: {_said(database, cause)}; "
                f"{_left(database, commits)}",
                app_name=app_name,
                step=step,
            ) from None
        except DBAPIError as error:
            raise AppError(
                f"{step} of app {app_name!r}: {_said(database, error)}; {_left(database, commits)}",
                app_name=app_name,
                step=step,
            ) from None


def _left(database: Database, commits: Commits) -> str:
    if commits.seen:
        return (
            "it had committed a part of its work before, and that part stays: look at the database, take it "
            "back by hand or make the revision able to go on from there, then register the app again"
        )
    if database.url.get_backend_name() not in _TAKES_TABLES_BACK:
        return "this kind of database cannot take back changes of tables, so a part of its work may stay"
    return "the database is as it was before"


def _said(database: Database, error: BaseException) -> str:
    # SQLAlchemy's own text repeats the statement with its values, which may be anybody's data.
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(original).__name__}: {scrub(database.url, ' '.join(str(original).split()))}"


def _count(revisions: tuple[str, ...], verb: str) -> str:
    return f"{counted(len(revisions), 'migration')} {verb}"
