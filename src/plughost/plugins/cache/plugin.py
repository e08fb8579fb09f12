"""The plugin: makes the services, runs what keeps them alive, and tells the hooks what happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import anyio
import click

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    SYSTEM_CLOCK,
    CacheManager,
    Clock,
    HealthCheck,
    Limit,
    LockManager,
    MetricFamily,
    MetricSample,
    PluginStateChanged,
    RateLimiter,
    SteadyTime,
    StoreSetup,
    WarmEntry,
)
from plughost.exceptions import ConfigError
from plughost.plugins.cache.config import READY_LIMITS, CacheConfig
from plughost.plugins.cache.limiter import Limiter, LimitStore
from plughost.plugins.cache.locks import Locks, LockStore, MemoryLocks
from plughost.plugins.cache.manager import Link, NamedCaches
from plughost.plugins.cache.stores.foreign import STORES, foreign_bytes_store
from plughost.plugins.cache.stores.link import StoreLink


class CachePlugin(Plugin):
    """Named caches, locks and rate limits; in memory, and shared through Redis when ``redis_url`` is set.

    ``store`` names a store of somebody else that keeps the caches instead; locks and limits stay in memory then.

    Args:
        clock: Time of the caches, for tests of what grows stale.
    """

    name = "cache"
    Config: ClassVar[type[Any] | None] = CacheConfig

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock

    async def check_config(self, config: CacheConfig) -> None:
        """Refuse a store that is not installed, or does not take its settings."""
        if config.store is not None:
            STORES.maker(config.store, config.store_settings)

    async def start(self, context: PluginContext) -> None:
        """Connect if a server is configured, and offer the services. A server that is away stops nothing."""
        config: CacheConfig = context.config.of_host(context.host_name)
        self._context, self._config = context, config
        link, locks, limits = _shared_parts(config, context, self._clock)

        async def wanted(cache: str) -> Sequence[WarmEntry]:
            answers = await self._context.hooks.warm_cache(cache=cache)
            return [entry for answer in answers for entry in answer]

        self.caches = NamedCaches(config, clock=self._clock, link=link, wanted=wanted, collect_events=True)
        self.locks = Locks(locks)
        named = {
            name: Limit(limit=chosen.limit, window=chosen.window, outage=chosen.outage, name=name)
            for name, chosen in {**READY_LIMITS, **config.limits}.items()
        }
        self.limiter = Limiter(limits, named)
        # Run the caches in a task of their own, and go on when they have tried to connect once.
        running = anyio.Event()

        async def serve() -> None:
            async with self.caches:
                running.set()
                await anyio.sleep_forever()

        context.spawn(serve)
        await running.wait()
        context.events.subscribe(PluginStateChanged, lambda _: self._see_who_listens())
        self._see_who_listens()
        context.every(config.event_interval, self._tell_events, name="publish cache events", scope="process")
        context.every(config.cleanup_interval, self.locks.cleanup, name="expire locks", scope="process")
        context.provide(CacheManager, self.caches)
        context.provide(LockManager, self.locks)
        context.provide(RateLimiter, self.limiter)
        for name in config.caches:
            self.caches.get(name)

    async def stop(self) -> None:
        """Tell the last events; the connection is closed with the plugin's tasks."""
        await self._tell_events()

    def status(self) -> Mapping[str, object]:
        """Where values are kept, and whether Redis answers."""
        return self.caches.status()

    def _see_who_listens(self) -> None:
        """Plugins came or went: collect events only where somebody implements ``cache_event``."""
        self.caches.collect(bool(self._context.hooks.cache_event.get_hookimpls()))

    async def _tell_events(self) -> None:
        events = self.caches.take_events()
        if events:
            await self._context.hooks.cache_event(events=events)

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """The group ``cache``."""
        from plughost.plugins.cache.commands import cache_group  # the command line alone pays for it

        return [cache_group]

    @hookimpl
    async def health_check(self, app_name: str | None) -> HealthCheck | None:
        """Whether Redis or the store answers; without it the caches work alone, so its absence is a warning."""
        if app_name is not None:
            return None
        figures = self.caches.status()
        missing = figures.get("missing_rights")
        if figures["available"] and isinstance(missing, list) and missing:
            detail = f"the Redis user may not do all that is wanted: {'; '.join(missing)}"
            return HealthCheck(name="redis", status="warn", detail=detail, figures=figures)
        is_redis = self.caches.link is not None and figures["mode"] != "store"
        name, what = ("redis", "Redis") if is_redis else ("cache", f"store {figures.get('server')}")
        if figures["available"]:
            return HealthCheck(name=name, figures=figures)
        detail = (
            f"{what} is away ({figures['error'] or 'not connected yet'}): every instance caches for itself"
        )
        return HealthCheck(name=name, status="warn", detail=detail, figures=figures)

    @hookimpl
    async def describe_metrics(self) -> Sequence[MetricFamily]:
        """Counters by cache and outcome, never by key."""
        stats = self.caches.stats()
        rows: dict[str, tuple[str, str]] = {
            "cache_hits_total": ("hits", "Answers from a tier."),
            "cache_misses_total": ("misses", "Questions no tier could answer."),
            "cache_stale_total": ("stale", "Answers past their time."),
            "cache_loads_total": ("loads", "Loader runs that ended well."),
            "cache_load_errors_total": ("load_errors", "Loader runs that failed."),
            "cache_discarded_total": ("discarded", "Loads that an invalidation had overtaken."),
            "cache_corrupt_total": ("corrupt", "Bytes under our keys that could not be read."),
            "cache_entries": ("entries", "Entries in memory."),
        }
        families = [
            MetricFamily(
                name=name,
                kind="counter" if name.endswith("_total") else "gauge",
                help=text,
                samples=tuple(
                    MetricSample(float(getattr(found, field)), {"cache": cache})
                    for cache, found in stats.items()
                ),
            )
            for name, (field, text) in rows.items()
        ]
        up = MetricSample(float(bool(self.caches.status()["available"])))
        return [
            *families,
            MetricFamily(name="cache_available", kind="gauge", help="Redis answers.", samples=(up,)),
        ]


def _shared_parts(
    config: CacheConfig, context: PluginContext, clock: Clock
) -> tuple[Link | None, LockStore, LimitStore | None]:
    """Return connection, locks and limits; redis-py is imported here, and only if it is needed."""
    if config.store is not None:
        now = SteadyTime(clock)
        setup = StoreSetup(host_name=context.host_name, data_dir=context.data_dir, now=now)
        store = foreign_bytes_store(config.store, config.store_settings, setup)
        return StoreLink(config, store, now, clock=clock), MemoryLocks(), None
    if config.redis_url is None:
        return None, MemoryLocks(), None
    try:
        from plughost.plugins.cache.redis.lane import require_asyncio
        from plughost.plugins.cache.redis.limiter import RedisLimits
        from plughost.plugins.cache.redis.link import RedisLink
        from plughost.plugins.cache.redis.locks import RedisLocks
    except ImportError as error:
        message = f"redis_url is set, but {error.name} is not installed: pip install 'plughost[redis]'"
        raise ConfigError(message, path="redis_url") from error
    require_asyncio()
    link = RedisLink(config)
    return link, RedisLocks(link, config.keyspace), RedisLimits(link, config.keyspace)
