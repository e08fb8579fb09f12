"""Copies of open databases for backups, and the way back."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import anyio.to_thread
from sqlalchemy.engine import URL

from plughost.contracts import Artifact, BackupPlan, RestorePlan, copy_sqlite, own_folder, restore_sqlite
from plughost.exceptions import BackupError
from plughost.plugins.database import postgres_dump
from plughost.plugins.database.config import DatabaseConfig
from plughost.plugins.database.database import Database
from plughost.plugins.database.registry import OpenDatabases
from plughost.plugins.database.settings import DatabaseSettings
from plughost.plugins.database.urls import parse_url, printable, sqlite_file


class Saving:
    """Gives artifacts to backups and takes them back.

    One artifact per database, however many apps are on it. Its labels say which apps; where it goes back to
    is read from the configuration of those apps.
    """

    def __init__(
        self, config: DatabaseConfig, databases: OpenDatabases, data_dir: Path, base: Path = Path()
    ) -> None:
        self._config = config
        self._databases = databases
        self._data_dir = data_dir
        self._base = base

    async def artifacts(self, plan: BackupPlan) -> list[Artifact]:
        """Copy every database that an app of the plan is on."""
        return [
            artifact
            for database in self._databases
            if any(plan.wants(name) for name in self._databases.apps_on(database))
            if self._config.save_postgresql or database.url.get_backend_name() != "postgresql"
            for artifact in [await self._copy(plan, database)]
        ]

    async def _copy(self, plan: BackupPlan, database: Database) -> Artifact:
        apps = self._databases.apps_on(database)
        backend = database.url.get_backend_name()
        suffix = {"sqlite": "sqlite", "postgresql": "dump"}.get(backend)
        target = self.folder(plan) / f"{apps[0]}.{suffix}"
        source = sqlite_file(database.url)
        if source is not None:
            limit = self._config.lock_timeout
            try:
                await anyio.to_thread.run_sync(lambda: copy_sqlite(source, target, lock_timeout=limit))
            except (sqlite3.Error, OSError) as error:
                raise BackupError(
                    f"copying {source} failed: {error}; is there room in {target.parent}?"
                ) from error
        elif backend == "postgresql":
            await postgres_dump.dump(database.url, target, program=self._config.pg_dump)
        else:
            raise BackupError(
                f"the database of app {', '.join(apps)} cannot be saved: {printable(database.url)} is neither a "
                "SQLite file that is named by its path nor on PostgreSQL; save it in another way and say so by "
                f"`backup = false` under [apps.{apps[0]}]"
            )
        return Artifact(
            name=f"{apps[0]}/database.{suffix}",
            path=target,
            size=target.stat().st_size,
            app_name=apps[0],
            labels={"apps": ",".join(apps), "backend": backend},
        )

    def folder(self, plan: BackupPlan) -> Path:
        """Return the folder of one backup's copies; it is made when it is not there."""
        return own_folder((plan.staging_dir or self._data_dir) / f"database-{plan.backup_id}")

    def clean(self, plan: BackupPlan) -> None:
        """Remove the copies of one backup."""
        shutil.rmtree((plan.staging_dir or self._data_dir) / f"database-{plan.backup_id}", ignore_errors=True)

    async def restore(self, artifact: Artifact, plan: RestorePlan) -> bool:
        """Put a database back.

        Raises:
            BackupError: No app of it is configured, what is there must not be replaced, or it failed.
        """
        url = self._where(artifact, plan)
        if artifact.path is None:
            raise BackupError(f"{artifact.name} is given as a stream; a database is restored from a file")
        database = self._databases.at(url)
        if database is not None:
            await database.close()  # idle connections; the engine opens new ones when it is used again
        if url.get_backend_name() == "sqlite":
            await self._restore_sqlite(artifact.path, url, overwrite=plan.overwrite)
        else:
            await self._restore_postgresql(artifact.path, url, overwrite=plan.overwrite)
        return True

    def _where(self, artifact: Artifact, plan: RestorePlan) -> URL:
        apps = artifact.labels.get("apps", artifact.app_name or "").split(",")
        for name in apps:
            text = DatabaseSettings.of(name, plan.apps.get(name, {})).url
            url = parse_url(name, text, self._base) if text else None
            if url is not None and url.get_backend_name() == artifact.labels.get("backend"):
                return url
        raise BackupError(
            f"{artifact.name} belongs to app {', '.join(apps)}, which has no "
            f"{artifact.labels.get('backend')} url in the configuration; add it under [apps], then restore"
        )

    async def _restore_sqlite(self, staged: Path, url: URL, *, overwrite: bool) -> None:
        target = sqlite_file(url)
        if target is None:
            raise BackupError(f"{printable(url)} is a database in memory; there is nothing to restore into")
        limit = self._config.lock_timeout
        try:
            await anyio.to_thread.run_sync(
                lambda: restore_sqlite(staged, target, overwrite=overwrite, lock_timeout=limit)
            )
        except (sqlite3.Error, OSError) as error:
            raise BackupError(f"restoring {target} failed: {error}; it is as it was before") from error

    async def _restore_postgresql(self, staged: Path, url: URL, *, overwrite: bool) -> None:
        database = Database(
            url, connect_timeout=self._config.connect_timeout, lock_timeout=self._config.lock_timeout
        )
        try:
            tables = await database.run(postgres_dump.count_tables)
        finally:
            await database.close()
        if tables and not overwrite:
            raise BackupError(
                f"{printable(url)} has {tables} tables; restore with overwrite=True (--yes) to replace them"
            )
        await postgres_dump.restore(url, staged, program=self._config.pg_restore)
