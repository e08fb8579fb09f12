"""The plugin: puts the parts together, and gives the host its routes, panel and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Final

import anyio.to_thread
from msgspec import Meta, Struct, json

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    AdminPanel,
    Artifact,
    BackupPlan,
    CacheManager,
    Clock,
    GuardedRoute,
    HealthCheck,
    RestorePlan,
    RestoreResult,
    Secret,
    error_line,
    restore_sqlite,
    sqlite_artifact,
)
from plughost.exceptions import ServiceError
from plughost_images.protocols import ImageOrigin
from plughost_tmdb.enriching import is_number, number_in, with_more
from plughost_tmdb.keys import Keys
from plughost_tmdb.meter import FLUSH_EACH, Meter
from plughost_tmdb.pictures import tmdb_pictures
from plughost_tmdb.protocols import KeyNeededError, KeyRefusedError, Tmdb
from plughost_tmdb.service import CachedTmdb
from plughost_tmdb.store import Store
from plughost_upstream.protocols import Origin, Upstream, UpstreamError, Upstreams
from plughost_vault.protocols import Reseal, Vault

_Positive = Annotated[float, Meta(gt=0)]
_WARM_AT: Final = "15 4 * * *"
_WARMED: Final = ("trending/movie/day", "trending/tv/day", "trending/all/week")


class TmdbConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.tmdb.config]``.

    Attributes:
        shared_key: An API Read Access Token for all who have none of their own, as ``{"$env" = "TMDB_SHARED_KEY"}``.
            Without it everybody needs their own. Whoever sets it has agreed to TMDB's terms for all of them.
        url: Where TMDB is.
        image_url: Where its pictures are.
        shared_rate: Calls per second with the shared key.
        own_rate: Calls per second with a user's own.
        ceiling: Calls per second in all.
        own_key_fallback: Whether the shared key stands in for one that TMDB does not accept.
        deadline: Seconds that somebody waits for TMDB when nothing is kept.
        warning_header: Whether stale answers say so in ``Warning``, too, which is obsolete since RFC 9111.
    """

    shared_key: Secret | None = None
    url: str = "https://api.themoviedb.org"
    image_url: str = "https://image.tmdb.org"
    shared_rate: _Positive = 2.0
    own_rate: _Positive = 20.0
    ceiling: _Positive = 40.0
    own_key_fallback: bool = True
    deadline: _Positive = 8.0
    warning_header: bool = False


class TmdbPlugin(Plugin):
    """Provides ``Tmdb``.

    Args:
        clock: Time.
    """

    name = "tmdb"
    version = "1.0.0"
    requires = ("cache",)
    after = ("upstream", "vault", "images")
    Config: ClassVar[type[Any] | None] = TmdbConfig

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock

    async def start(self, context: PluginContext) -> None:
        """Open the file and provide the service; what it needs of others is asked for at each use."""
        self._context = context
        config: TmdbConfig = context.config
        self._api = Origin(name="tmdb", url=config.url, ceiling=config.ceiling)
        self._images = Origin(name="tmdb-images", url=config.image_url)
        self._file = context.data_dir / "tmdb.db"
        # What a thread has opened is closed, whatever becomes of this start.
        with anyio.CancelScope(shield=True):
            self._store = store = await anyio.to_thread.run_sync(Store, self._file)
            context.on_stop(partial(anyio.to_thread.run_sync, store.close))
        self._keys = Keys(
            store,
            lambda: context.use(Vault),
            config.shared_key,
            shared_rate=config.shared_rate,
            own_rate=config.own_rate,
            fallback=config.own_key_fallback,
        )
        await self._keys.load()
        self._meter, self._warn = Meter(store, self._clock), config.warning_header
        self._tmdb = CachedTmdb(
            self._api_of, context.use(CacheManager), self._keys, self._meter, self._clock, config.deadline
        )
        context.provide(Tmdb, self._tmdb)
        context.every(FLUSH_EACH, self._meter.flush, name="write usage", scope="process")
        if config.shared_key is not None:
            context.cron(_WARM_AT, self.warm, name="warm trending")

    async def stop(self) -> None:
        """Write what was counted."""
        await self._meter.flush()

    def _api_of(self) -> Upstream:
        return self._context.use(Upstreams).register(self._api)

    def _images_of(self) -> Upstream:
        return self._context.use(Upstreams).register(self._images)

    async def warm(self) -> None:
        """Ask what the front page asks, and the details of what stands there, before anybody does."""
        try:
            for path in _WARMED:
                answer = await self._tmdb.answer(path, priority="warm")
                results = json.decode(answer.body)["results"] if answer is not None else []
                for item in results:
                    kind = item.get("media_type") or path.split("/")[1]
                    if kind in ("movie", "tv") and is_number(item.get("id")):
                        await self._tmdb.answer(f"{kind}/{item['id']}", priority="warm")
        except (UpstreamError, ServiceError, KeyNeededError, KeyRefusedError) as error:
            self._context.log.info("warming ended early", reason=error_line(error))

    def status(self) -> Mapping[str, object]:
        """Which keys there are."""
        shared = "none" if self._keys.shared is None else "refused" if self._tmdb.shared_refused else "set"
        return {"shared_key": shared, "own_keys": self._keys.count}

    @hookimpl(optionalhook=True)
    async def find_tmdb_id(self, guid: str) -> int | None:
        """Read the number out of a guid that names TMDB."""
        return number_in(guid)

    @hookimpl(optionalhook=True)
    async def enrich_media(self, item: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Add what TMDB says of a film or series in a Plex library."""
        return await with_more(item, self._tmdb, self._context.hooks)

    @hookimpl
    def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Warn when TMDB does not accept the shared key, or there is no way to TMDB."""
        if app_name is not None:
            return None
        figures = self.status()
        if self._tmdb.shared_refused:
            detail = "TMDB does not accept the shared key: set another shared_key in [plugins.tmdb.config]"
            return HealthCheck(name="tmdb", status="warn", detail=detail, figures=figures)
        try:
            self._context.use(Upstreams)
        except ServiceError:
            detail = "the plugin upstream is away: only what is cached is answered"
            return HealthCheck(name="tmdb", status="warn", detail=detail, figures=figures)
        return HealthCheck(name="tmdb", figures=figures)

    @hookimpl
    def register_routes(self) -> Sequence[GuardedRoute]:
        """Add TMDB's paths, and those for a user's own key."""
        from plughost_tmdb.routes import TmdbRoutes

        return TmdbRoutes(self._tmdb, self._keys, self._meter, warn=self._warn).routes()

    @hookimpl
    def register_admin_panels(self) -> Sequence[AdminPanel]:
        """Add the tab."""
        return [AdminPanel(name="tmdb", title="TMDB", scope="tmdb:read", data=self._panel)]

    async def _panel(self) -> Mapping[str, Any]:
        stats = {
            name: one
            for name, one in self._context.use(CacheManager).stats().items()
            if name.startswith("tmdb.")
        }
        hits = sum(one.hits for one in stats.values())
        asked = hits + sum(one.misses for one in stats.values())
        try:
            paces = self._context.use(Upstreams).paces()
        except ServiceError:
            paces = {}
        return {
            **self.status(),
            "saved": f"{hits / asked:.1%}" if asked else "",
            "paces": [
                {
                    "allowance": key,
                    "per_second": pace.rate,
                    "waiting": pace.waiting,
                    "paused_for": pace.paused,
                }
                for key, pace in paces.items()
                if key.startswith("tmdb:")
            ],
            "caches": [
                {
                    "cache": name,
                    "entries": one.entries,
                    "hits": one.hits,
                    "misses": one.misses,
                    "stale": one.stale,
                }
                for name, one in sorted(stats.items())
            ],
        }

    @hookimpl
    def provide_backup_artifacts(self, plan: BackupPlan) -> Sequence[Artifact]:
        """Give users' own keys, sealed, and what was asked; the key of the vault that opens them is in no backup."""
        return [] if plan.apps else [sqlite_artifact(self._file)]

    @hookimpl(blocking=True)
    def restore_artifact(self, artifact: Artifact, plan: RestorePlan) -> bool | None:
        """Put that back."""
        if artifact.plugin != self.name or artifact.path is None:
            return None
        restore_sqlite(artifact.path, self._file, overwrite=plan.overwrite)
        return True

    @hookimpl
    async def after_restore(self, result: RestoreResult) -> None:
        """Read again who has a key."""
        await self._keys.load()

    @hookimpl(optionalhook=True)
    async def reseal_secrets(self, reseal: Reseal) -> int:
        """Put users' keys under the vault's newest key."""
        return await self._keys.reseal(reseal)

    @hookimpl(optionalhook=True)
    async def image_source(self, name: str) -> ImageOrigin | None:
        """Say where TMDB's pictures come from."""
        return tmdb_pictures(self._images_of) if name == "tmdb" else None
