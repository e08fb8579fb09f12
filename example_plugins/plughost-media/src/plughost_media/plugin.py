"""The plugin: one page for what the other plugins of the suite do, by their addresses; and what each person keeps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
import click

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    Artifact,
    BackupPlan,
    CacheManager,
    Clock,
    GuardedRoute,
    RestorePlan,
    items_of,
    restore_sqlite,
    sqlite_artifact,
)
from plughost.exceptions import ServiceError
from plughost_media import hookspecs
from plughost_media.people import Listed, People, who
from plughost_media.terms import Terms
from plughost_plex.protocols import Account
from plughost_tmdb.protocols import Tmdb

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PARTS: Final = (
    "sessions",
    "cache",
    "diskcache",
    "vault",
    "upstream",
    "tmdb",
    "plex",
    "images",
    "dashboard",
    "media",
)
"""What the suite consists of."""

_RENEW_AT: Final = "30 5 * * *"
_LATELY: Final = 60.0
"""Seconds for which a failure of a part is shown."""


class MediaPlugin(Plugin):
    """Serves the page at ``/media/``, and keeps lists, what was watched, and settings.

    Args:
        clock: Time.
    """

    name = "media"
    version = "1.0.0"
    after = ("cache",)

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock

    async def start(self, context: PluginContext) -> None:
        """Open the file."""
        self._context, self._file = context, context.data_dir / "media.db"
        # What a thread has opened is closed, whatever becomes of this start.
        with anyio.CancelScope(shield=True):
            self._people = await anyio.to_thread.run_sync(People, self._file)
            context.on_stop(partial(anyio.to_thread.run_sync, self._people.close))
        context.register_hookspecs(hookspecs)
        context.provide(People, self._people)
        terms = Terms(self._people, lambda: context.use(Tmdb), self._clock)
        context.cron(_RENEW_AT, terms.keep, name="renew names of TMDB")

    @hookimpl(optionalhook=True)
    async def media_watched(self, account: Account, machine: str, key: str, seen: bool, at: float) -> None:
        """Note it in the history of who watched."""
        when = at if seen else None
        await anyio.to_thread.run_sync(self._people.watched, who(account.user_id), machine, key, when)

    @hookimpl
    def provide_backup_artifacts(self, plan: BackupPlan) -> Sequence[Artifact]:
        """Give lists, history and settings."""
        return [] if plan.apps else [sqlite_artifact(self._file)]

    @hookimpl(blocking=True)
    def restore_artifact(self, artifact: Artifact, plan: RestorePlan) -> bool | None:
        """Put them back."""
        if artifact.plugin != self.name or artifact.path is None:
            return None
        restore_sqlite(artifact.path, self._file, overwrite=plan.overwrite)
        return True

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """Add ``plughost media``."""
        from plughost_media.commands import media_group

        return [media_group]

    async def _recommended(self, user: str, seeds: Sequence[Listed]) -> Sequence[Sequence[Listed]]:
        report = await self._context.hooks.recommend.report(user=user, seeds=tuple(seeds))
        found = []
        for outcome in report.outcomes:
            try:
                found.append(items_of(outcome.value, Listed))
            except TypeError as error:
                self._context.log.error(
                    "recommendations of plugin left out", plugin=outcome.plugin, reason=str(error)
                )
        return found

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Add the page, what people keep, and the address that says which parts are there and what was saved."""
        from plughost.http import SIGNED_IN, Route
        from plughost_media.own import OwnRoutes
        from plughost_media.page import Page

        return [
            *Page().routes(),
            *OwnRoutes(self._people, self._clock, self._recommended).routes(),
            Route("/api/media/state", self._state, methods=["GET"], guard=SIGNED_IN, rate="read",
                  summary="Which parts of the suite are there, and how many calls their caches saved."),
        ]  # fmt: skip

    async def _state(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        from plughost.http import runtime_of

        runtime = runtime_of(request)
        known, since = runtime.host.plugins, runtime.clock.time() - _LATELY
        failed = Counter(failure.plugin for failure in runtime.figures.failures() if failure.at > since)
        parts = [
            {
                "name": name,
                "state": str(known[name].state),
                "running": known[name].running,
                "failed": failed[name],
            }
            for name in PARTS
            if name in known
        ]
        return JSONResponse({"parts": parts, **self._saved(), "demo": self._demo()})

    def _saved(self) -> Mapping[str, int]:
        """How many answers the caches of the suite gave, and how many calls that took."""
        try:
            stats = self._context.use(CacheManager).stats()
        except ServiceError:
            return {"reads": 0, "calls": 0}
        ours = [one for name, one in stats.items() if name.startswith(("tmdb.", "plex."))]
        return {
            "reads": sum(one.hits + one.misses for one in ours),
            "calls": sum(one.loads + one.load_errors for one in ours),
        }

    def _demo(self) -> Any:
        from plughost_media.demo_service import Demo

        try:
            return self._context.use(Demo).shown()
        except ServiceError:
            return None
