"""The plugin that gives apps their databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import anyio
import click
from sqlalchemy.ext.asyncio import AsyncEngine

from plughost.contracts import (
    Artifact,
    BackupPlan,
    BackupResult,
    HealthCheck,
    OperationResult,
    Plugin,
    PluginContext,
    RestorePlan,
    UnregisterOptions,
    error_text,
    working_directory_of,
)
from plughost.hookspecs import hookimpl
from plughost.plugins.database.config import DatabaseConfig
from plughost.plugins.database.database import Database
from plughost.plugins.database.engines import require_asyncio
from plughost.plugins.database.operations import Operations
from plughost.plugins.database.registry import OpenDatabases
from plughost.plugins.database.saving import Saving
from plughost.plugins.database.settings import DatabaseSettings
from plughost.plugins.database.urls import parse_url


class DatabasePlugin(Plugin):
    """Opens databases through SQLAlchemy, migrates them through Alembic, saves and restores them."""

    name = "database"
    Config: ClassVar[type[Any] | None] = DatabaseConfig

    async def start(self, context: PluginContext) -> None:
        """Keep the context; nothing is opened before an app comes."""
        self._context = context
        self._config: DatabaseConfig = context.config
        self._base = working_directory_of(context)
        self._databases = OpenDatabases()
        self._operations = Operations()
        self._saving = Saving(self._config, self._databases, context.data_dir, self._base)

    async def stop(self) -> None:
        """Close what apps left open."""
        for database in self._databases:
            await database.close()
            self._databases.remove(database)

    def status(self) -> Mapping[str, object]:
        """How many databases are open."""
        return {"databases": len(self._databases)}

    @hookimpl
    async def open_connection(self, app_name: str, config: Mapping[str, Any]) -> AsyncEngine | None:
        """Open the app's database and prove that it can be reached."""
        settings = DatabaseSettings.of(app_name, config, self._base)
        url = parse_url(app_name, settings.url, self._base) if settings.url else None
        if url is None:
            return None
        require_asyncio()
        config_ = self._config
        database = Database(url, connect_timeout=config_.connect_timeout, lock_timeout=config_.lock_timeout)
        await database.open()
        self._databases.add(database)
        return database.engine

    @hookimpl
    def connection_created(self, app_name: str, connection: object) -> None:
        """Note which app is on which database."""
        database = self._databases.behind(connection)
        if database is not None:
            self._databases.connect(app_name, database)

    @hookimpl
    async def run_migrations(
        self, app_name: str, connection: object, config: Mapping[str, Any]
    ) -> OperationResult | None:
        """Run the app's Alembic revisions."""
        database, settings = self._asked(app_name, connection, config)
        if database is None or settings.migrations is None:
            return None
        return await self._operations.migrate(app_name, database, settings)

    @hookimpl
    async def run_seeds(
        self, app_name: str, connection: object, config: Mapping[str, Any]
    ) -> OperationResult | None:
        """Sow the app's seeds, once per database."""
        database, settings = self._asked(app_name, connection, config)
        if database is None or settings.seeds is None:
            return None
        return await self._operations.seed(app_name, database, settings)

    @hookimpl
    async def load_models(
        self, app_name: str, connection: object, config: Mapping[str, Any]
    ) -> OperationResult | None:
        """Import the app's models."""
        database, settings = self._asked(app_name, connection, config)
        if database is None or settings.models is None:
            return None
        return await self._operations.load_models(app_name, settings)

    def _asked(
        self, app_name: str, connection: object, config: Mapping[str, Any]
    ) -> tuple[Database | None, DatabaseSettings]:
        """Return the database of an app, if it is one of ours, and what the app wants of it."""
        return self._databases.behind(connection), DatabaseSettings.of(app_name, config, self._base)

    @hookimpl
    def app_registered(self, app_name: str) -> None:
        """The registration stands; what its undo would have needed is dropped."""
        self._operations.forget(app_name)

    @hookimpl
    async def rollback_app(
        self, app_name: str, connection: object, options: UnregisterOptions
    ) -> OperationResult | None:
        """Take the schema back to what was found."""
        database = self._databases.behind(connection)
        if database is None:
            return None
        settings = DatabaseSettings.of(app_name, options.config, self._base)
        return await self._operations.roll_back(app_name, database, settings, options)

    @hookimpl
    async def connection_shutdown(
        self, app_name: str, connection: object, options: UnregisterOptions
    ) -> None:
        """Close the database when nobody else is on it."""
        database = self._databases.behind(connection)
        if database is None:
            return
        self._operations.forget(app_name)
        self._databases.disconnect(app_name)
        if options.shared:
            return
        self._databases.remove(database)
        with anyio.fail_after(options.limit):
            await database.close()

    @hookimpl
    async def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Ask the app's database the smallest question."""
        database = self._databases.of_app(app_name) if app_name else None
        if database is None:
            return None
        started = anyio.current_time()
        try:
            await database.prove()
        except Exception as error:  # whatever is wrong with the database is the answer
            return HealthCheck(name="database", status="fail", detail=error_text(error), app_name=app_name)
        took = anyio.current_time() - started
        return HealthCheck(name="database", app_name=app_name, figures={"answered_in": round(took, 6)})

    @hookimpl
    async def provide_backup_artifacts(self, plan: BackupPlan) -> list[Artifact]:
        """Give a consistent copy of every open database."""
        return await self._saving.artifacts(plan)

    @hookimpl
    def after_backup(self, result: BackupResult) -> None:
        """Remove the copies that are in the archive now."""
        self._saving.clean(result.plan)

    @hookimpl
    def backup_failed(self, plan: BackupPlan) -> None:
        """Remove the copies that are of no use."""
        self._saving.clean(plan)

    @hookimpl
    async def restore_artifact(self, artifact: Artifact, plan: RestorePlan) -> bool | None:
        """Put a database back."""
        if artifact.plugin != self._context.name:
            return None
        return await self._saving.restore(artifact, plan)

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """Give the commands ``plughost database``."""
        from plughost.plugins.database.commands import database  # the command line alone pays for it

        return [database]
