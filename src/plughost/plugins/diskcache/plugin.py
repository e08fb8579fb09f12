"""The plugin: provides the cache, cleans it up, and tells its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from msgspec import Meta, Struct

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import SYSTEM_CLOCK, Clock, DiskCache, MetricFamily, MetricKind, MetricSample
from plughost.plugins.diskcache.cache import FileCache
from plughost.plugins.diskcache.shelf import Shelf

_Size = Annotated[int, Meta(ge=1)]
_Time = Annotated[float, Meta(gt=0)]


class DiskCacheConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[plugins.diskcache.config]``.

    Attributes:
        max_bytes: Bytes of all things together.
        max_file_bytes: Bytes of one thing.
        ttl: Seconds a thing is fresh.
        stale_for: Seconds it may be given out after that, while it is fetched again.
        fetch_timeout: Seconds a fetch may take.
        cleanup_interval: Seconds between two clean-ups.
    """

    max_bytes: _Size = 512 << 20
    max_file_bytes: _Size = 32 << 20
    ttl: _Time = 86_400.0
    stale_for: Annotated[float, Meta(ge=0)] = 604_800.0
    fetch_timeout: _Time = 30.0
    cleanup_interval: _Time = 300.0


class DiskCachePlugin(Plugin):
    """Provides ``DiskCache``; its files are in the plugin's own folder.

    Args:
        clock: Time.
    """

    name = "diskcache"
    Config = DiskCacheConfig

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._cache: FileCache | None = None

    async def start(self, context: PluginContext) -> None:
        """Read what earlier runs have left, and provide the cache."""
        config: DiskCacheConfig = context.config
        self._cache = cache = FileCache(
            Shelf(context.data_dir / "files"),
            self._clock,
            max_bytes=config.max_bytes,
            max_file_bytes=config.max_file_bytes,
            ttl=config.ttl,
            stale_for=config.stale_for,
            fetch_timeout=config.fetch_timeout,
        )
        await cache.recall()
        context.spawn(cache.run)
        context.every(config.cleanup_interval, cache.cleanup, name="clean up files")
        context.provide(DiskCache, cache)

    def status(self) -> Mapping[str, object]:
        """Return how much there is."""
        if self._cache is None:
            return {}
        stats = self._cache.stats()
        return {"entries": stats.entries, "bytes": stats.bytes}

    @hookimpl
    def health_check(self, app_name: str | None) -> Mapping[str, Any] | None:
        """Tell how much there is; a cache that fails to fetch is a warning."""
        if app_name is not None or self._cache is None:
            return None
        stats = self._cache.stats()
        troubled = stats.fetch_errors > 10 and stats.fetch_errors > stats.fetches
        return {
            "status": "warn" if troubled else "pass",
            "detail": f"{stats.fetch_errors} fetches failed; see the log for why" if troubled else "",
            "entries": stats.entries,
            "bytes": stats.bytes,
        }

    @hookimpl
    def describe_metrics(self) -> Sequence[MetricFamily]:
        """Give the figures of ``stats()``."""
        if self._cache is None:
            return []
        stats = self._cache.stats()
        counters = ("hits", "stale", "misses", "fetches", "fetch_errors", "evicted", "expired")
        kinds: list[tuple[str, MetricKind]] = [("entries", "gauge"), ("bytes", "gauge")]
        return [
            MetricFamily(
                name=f"diskcache_{name}",
                kind=kind,
                help=f"Disk cache: {name.replace('_', ' ')}",
                samples=(MetricSample(getattr(stats, name)),),
            )
            for name, kind in [*kinds, *((name, _COUNTER) for name in counters)]
        ]


_COUNTER: MetricKind = "counter"
