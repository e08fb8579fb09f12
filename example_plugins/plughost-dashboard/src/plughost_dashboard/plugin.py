"""The plugin: puts the parts together, and gives the host its routes, panel and service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, Final

import anyio.to_thread

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    AdminPanel,
    Artifact,
    BackupPlan,
    CacheManager,
    Clock,
    GuardedRoute,
    HttpContext,
    RestorePlan,
    restore_sqlite,
    sqlite_artifact,
)
from plughost_dashboard import hookspecs
from plughost_dashboard.protocols import Usage
from plughost_dashboard.statistics import Statistics
from plughost_dashboard.usage import CountedUsage, Hours
from plughost_plex.protocols import Account, Plex
from plughost_upstream.protocols import CallRecord

_COUNT_EACH: Final = 60.0
_REPORT_AT: Final = "0 6 * * 1"
_WEEK: Final = 7 * 24


class DashboardPlugin(Plugin):
    """Provides ``Usage``.

    Args:
        clock: Time.
    """

    name = "dashboard"
    version = "1.0.0"
    requires = ("cache",)
    after = ("plex", "tmdb", "upstream")

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock

    async def start(self, context: PluginContext) -> None:
        """Open the file and begin to compute; the plugin plex is asked for at each use."""
        self._context, self._file = context, context.data_dir / "usage.db"
        context.register_hookspecs(hookspecs)
        # What a thread has opened is closed, whatever becomes of this start.
        with anyio.CancelScope(shield=True):
            self._hours = await anyio.to_thread.run_sync(Hours, self._file)
            context.on_stop(partial(anyio.to_thread.run_sync, self._hours.close))
        self._usage = CountedUsage(self._hours, self._clock)
        self._usage.read(context.use(CacheManager).stats())  # what was read before is not this hour's
        self._statistics = Statistics(self._plex, context.use(CacheManager), self._sections, self._clock)
        context.provide(Usage, self._usage)
        context.on_stop(self._statistics.begin())
        context.every(_COUNT_EACH, self._count, name="count reads", scope="process")
        context.cron(_REPORT_AT, self._report, name="weekly report")

    async def stop(self) -> None:
        """Write what was counted."""
        await self._usage.flush()

    def _plex(self) -> Plex:
        return self._context.use(Plex)

    async def _sections(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = await self._context.hooks.dashboard_section()
        return found

    async def _count(self) -> None:
        self._usage.read(self._context.use(CacheManager).stats())
        await self._usage.flush()

    async def _report(self) -> None:
        sources = await anyio.to_thread.run_sync(self._usage.sources, self._usage.hour - _WEEK)
        for source in sources:
            self._context.log.info("use of a media source in a week", **asdict(source))

    @hookimpl(optionalhook=True)
    async def upstream_calls(self, batch: Sequence[CallRecord]) -> None:
        """Count calls."""
        self._usage.called(batch)

    @hookimpl(optionalhook=True)
    async def plex_linked(self, account: Account) -> None:
        """Compute now: there may be a server to ask since somebody signed in."""
        await self._statistics.renew()

    @hookimpl
    async def provide_backup_artifacts(self, plan: BackupPlan) -> Sequence[Artifact]:
        """Give the figures, those of this minute with them."""
        if plan.apps:
            return []
        await self._usage.flush()
        return [sqlite_artifact(self._file)]

    @hookimpl(blocking=True)
    def restore_artifact(self, artifact: Artifact, plan: RestorePlan) -> bool | None:
        """Put them back."""
        if artifact.plugin != self.name or artifact.path is None:
            return None
        restore_sqlite(artifact.path, self._file, overwrite=plan.overwrite)
        return True

    @hookimpl
    def register_routes(self, context: HttpContext) -> Sequence[GuardedRoute]:
        """Add statistics, usage, and the addresses that pages made for other hosts ask."""
        from plughost_dashboard.routes import DashboardRoutes

        return DashboardRoutes(
            self._statistics,
            self._usage,
            self._plex,
            lambda: self._context.use(CacheManager),
            context.admin_path,
        ).routes()

    @hookimpl
    def register_admin_panels(self) -> Sequence[AdminPanel]:
        """Add the tab."""
        return [AdminPanel(name="media-usage", title="Media usage", scope="stats:read", data=self._panel)]

    async def _panel(self) -> Mapping[str, Any]:
        sources = await anyio.to_thread.run_sync(self._usage.sources, self._usage.hour - 24)
        listed = [asdict(source) for source in sources]
        return {"sources_of_a_day": listed or "Nobody has asked for anything within a day."}
