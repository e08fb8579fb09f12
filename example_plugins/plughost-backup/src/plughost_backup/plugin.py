"""The plugin: it says where archives stay, and asks the host for backups at the right moments."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    Archive,
    BackupLocation,
    BackupPlan,
    BackupResult,
    BackupService,
    HealthCheck,
    UnregisterOptions,
    working_directory_of,
)
from plughost.exceptions import AppRefused, BackupError
from plughost_backup.config import BackupConfig
from plughost_backup.folder import ArchiveFolder

_LONG = 3600.0
"""Seconds: the host bounds the steps of a backup, so the wait for all of them needs no own limit."""


class BackupPlugin(Plugin):
    """Stores archives in a folder."""

    name = "backup"
    version = "1.0.0"
    Config: ClassVar[type[Any] | None] = BackupConfig

    async def start(self, context: PluginContext) -> None:
        """Open the folder and set the schedule."""
        self._context = context
        self._config: BackupConfig = context.config
        self._folder = ArchiveFolder(
            working_directory_of(context) / (self._config.directory or context.data_dir)
        )
        self._last: BackupResult | None = None
        self._problem = ""
        if self._config.schedule:
            context.cron(self._config.schedule, self._scheduled, name="backup")

    def status(self) -> Mapping[str, object]:
        """How many archives there are."""
        return {"archives": len(self._folder.archives()), "problem": self._problem}

    async def _scheduled(self) -> None:
        await self._context.use(BackupService).run(reason="scheduled")

    @hookimpl
    def before_backup(self, plan: BackupPlan) -> BackupPlan | None:
        """Have the archive put together where it stays, so that storing it is a rename."""
        return None if plan.staging_dir else replace(plan, staging_dir=self._folder.path)

    @hookimpl(blocking=True)
    def store_backup(self, archive: Archive) -> BackupLocation:
        """Give the archive its final name."""
        return self._folder.store(archive)

    @hookimpl(blocking=True)
    def list_backups(self) -> Sequence[BackupLocation]:
        """Return what is in the folder."""
        return self._folder.locations()

    @hookimpl(blocking=True)
    def after_backup(self, result: BackupResult) -> None:
        """Let the oldest archives go."""
        self._last, self._problem = result, ""
        gone = self._folder.prune(self._config.keep)
        if gone:
            self._context.log.info("old backups were removed", names=gone)

    @hookimpl
    def backup_failed(self, error: Exception) -> None:
        """Remember what went wrong, for the health check."""
        self._problem = str(error)

    @hookimpl(timeout=_LONG)
    async def app_unregistration_started(self, app_name: str, options: UnregisterOptions) -> None:
        """Save the app before a rollback destroys what its operations made; without a backup it stays."""
        if not (self._config.before_unregistration and options.rollback):
            return
        try:
            await self._context.use(BackupService).run(reason="unregistration", apps=[app_name])
        except BackupError as error:
            raise AppRefused(
                f"app {app_name!r} stays: it could not be saved before its rollback: {error}"
            ) from error

    @hookimpl(timeout=_LONG)
    async def operation_failed(self, app_name: str, operation: str) -> None:
        """Save everything as it is after a failure."""
        if not self._config.on_failure:
            return
        try:
            await self._context.use(BackupService).run(reason="failure")
        except BackupError as error:
            self._context.log.warning(
                "the backup before an operation failed", app=app_name, step=operation, error=str(error)
            )

    @hookimpl
    def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Say how old the newest backup is, and whether the last one failed."""
        if app_name is not None:
            return None
        if self._problem:
            return HealthCheck(
                name="backup", status="fail", detail=f"the last backup failed: {self._problem}"
            )
        archives = self._folder.archives()
        age = time.time() - archives[-1].stat().st_mtime if archives else None
        figures = {"archives": len(archives), "age": age}
        if self._config.max_age is not None and (age is None or age > self._config.max_age):
            said = "there is no backup yet" if age is None else f"the newest backup is {age:.0f} s old"
            return HealthCheck(name="backup", status="warn", detail=said, figures=figures)
        return HealthCheck(name="backup", figures=figures)
