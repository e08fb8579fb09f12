"""What can be configured: for the plugin, and for each named cache."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from plughost.contracts import Count, PositiveSeconds
from plughost.exceptions import ConfigError, did_you_mean
from plughost.plugins.cache.policies.names import policy_named

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


class CacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of one cache.

    Attributes:
        ttl: Seconds values live.
        max_entries: How many the tier in memory keeps.
        max_bytes: How many encoded bytes it keeps; None for no bound.
        max_value_bytes: Encoded values larger than this are not stored in any tier. A cache in memory alone encodes
            nothing, so there it holds only with ``max_bytes``.
        policy: ``lru``, ``s3fifo``, ``lfu`` (which is s3fifo), or ``module:Class`` of a cachetools cache.
        format: ``msgpack`` or ``json``.
        compress_above: Values longer than this are compressed on their way to Redis; None never.
        values: ``data``: only what comes back from every tier with the type it had; ``objects``: anything,
            by reference, for a cache in memory only.
        tier: ``auto`` (tiered with Redis, the store where one is named, else memory), ``memory``, ``redis`` or
            ``tiered``.
        memory_ttl: Longest time the tier in memory answers for Redis without asking again.
        refresh_threshold: When less than this share of the time is left, a reader begins a new load.
        stale_for: Seconds a value is kept past its time, for when its loader fails.
        stale_throttle: Seconds between attempts to load while stale values are served.
        soft_timeout: Seconds after which a stale value is served while the load goes on; None waits.
        load_timeout: Seconds after which a load is given up; None never.
        load_failures: Failures in a row after which loaders are not called for ``load_pause``; None never.
        load_pause: Seconds of that pause.
        jitter: Loaded values live up to this share shorter.
        negative_ttl: Seconds a loaded None lives; None treats it like any value, 0 does not keep it.
        lease: Whether processes agree on one loader through Redis.
        lease_wait: Seconds to wait for a loader in another process before loading all the same.
        idle_periods: A key kept warm is dropped after this many periods without a reader.
    """

    ttl: float = 300.0
    max_entries: int = 1000
    max_bytes: int | None = None
    max_value_bytes: int = 16 * 1024 * 1024
    policy: Any = "lru"
    format: Literal["msgpack", "json"] = "msgpack"
    compress_above: int | None = 4096
    values: Literal["data", "objects"] = "data"
    tier: Literal["auto", "memory", "redis", "tiered"] = "auto"
    memory_ttl: float = 30.0
    refresh_threshold: float = 0.0
    stale_for: float = 0.0
    stale_throttle: float = 5.0
    soft_timeout: float | None = None
    load_timeout: float | None = None
    load_failures: int | None = None
    load_pause: float = 5.0
    jitter: float = 0.05
    negative_ttl: float | None = None
    lease: bool = True
    lease_wait: float = 5.0
    idle_periods: int = 3

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        for name in ("ttl", "memory_ttl", "stale_throttle", "load_pause", "lease_wait"):
            _check(getattr(self, name) > 0, name, "must be above 0")
        for name in ("max_entries", "max_value_bytes", "idle_periods"):
            _check(getattr(self, name) >= 1, name, "must be at least 1")
        for name in ("stale_for", "negative_ttl", "compress_above"):
            value = getattr(self, name)
            _check(value is None or value >= 0, name, "must not be negative")
        for name in ("max_bytes", "soft_timeout", "load_timeout", "load_failures"):
            value = getattr(self, name)
            _check(value is None or value > 0, name, "must be above 0")
        _check(0 <= self.refresh_threshold < 1, "refresh_threshold", "is a share from 0 to below 1")
        _check(0 <= self.jitter < 1, "jitter", "is a share from 0 to below 1")
        policy_named(self.policy, 1)


def _check(fine: bool, name: str, rule: str) -> None:
    if not fine:
        raise ValueError(f"{name} {rule}")


REDIS_URLS: Final = ("redis://", "rediss://", "unix://", "redis+sentinel://", "redis+cluster://")
"""How the address of Redis begins."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ready-made rate limit: ``limit`` in ``window`` seconds, and what it does while Redis is away."""

    limit: Count
    window: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
    outage: Literal["local", "open", "closed"] = "local"


READY_LIMITS: Final[Mapping[str, LimitSettings]] = {
    "auth": LimitSettings(limit=5, window=900.0, outage="local"),
    "chat": LimitSettings(limit=30, window=60.0, outage="open"),
    "combat": LimitSettings(limit=10, window=5.0, outage="local"),
    "api": LimitSettings(limit=100, window=60.0, outage="local"),
}
"""Limits most applications need; the configuration changes them and adds to them."""


class CacheConfig(CacheSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.cache.config]``: the settings of every cache, and of what they share.

    Attributes:
        redis_url: ``redis://``, ``rediss://``, ``unix://``, ``redis+sentinel://host,host/service`` or
            ``redis+cluster://host,host``; None keeps everything in memory.
        store: A store of somebody else that keeps the values instead: ``module:Class``, or the name of an entry point
            in ``plughost.cache_stores``; None for none.
        store_settings: Settings of that store.
        store_timeout: Seconds it may take to answer before it counts as away.
        namespace: First part of every key in Redis or a store; None takes the host's name. Hosts of another name share
            caches, locks and limits only when they are given the same namespace.
        coherence: How tiers in memory hear of changes: ``tracking`` (by publish/subscribe where the server
            cannot), ``pubsub``, or ``off`` (they may be ``memory_ttl`` late).
        shards: Hash slots a cache is spread over; None is 1, and 16 in a cluster.
        connect_timeout: Seconds a connection may take.
        op_timeout: Seconds an operation may take before Redis counts as away.
        backoff: First pause between attempts to reconnect, in seconds.
        backoff_cap: Longest pause.
        lease_time: Seconds a loader's lease lasts when its process dies.
        journal: Invalidations remembered while Redis is away; beyond it everything is invalidated.
        warm_interval: Seconds between looks at what is kept warm.
        warm_concurrency: How many are loaded at once, by ``warm_many`` and of what is kept warm in all caches.
        warm_timeout: Seconds a load may take that nobody waits for, unless ``load_timeout`` says less.
        cleanup_interval: Seconds between clean-ups of the tier in memory.
        event_interval: Seconds between batches of the hook ``cache_event``.
        debug: Whether what is cached may be listed; for development.
        caches: Settings by cache, over those above.
        limits: Rate limits by name, over the ready-made ``auth``, ``chat``, ``combat`` and ``api``.
    """

    redis_url: str | None = None
    store: str | None = None
    store_settings: dict[str, Any] = msgspec.field(default_factory=dict)
    store_timeout: float = 1.0
    namespace: str | None = None
    coherence: Literal["tracking", "pubsub", "off"] = "tracking"
    shards: int | None = None
    connect_timeout: float = 0.2
    op_timeout: float = 0.15
    backoff: float = 0.05
    backoff_cap: float = 1.0
    lease_time: float = 3.0
    journal: Annotated[int, msgspec.Meta(ge=0)] = 10_000
    warm_interval: float = 2.0
    warm_concurrency: Count = 4
    warm_timeout: float = 30.0
    cleanup_interval: PositiveSeconds = 60.0
    event_interval: PositiveSeconds = 0.5
    debug: bool = False
    caches: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    limits: dict[str, LimitSettings] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what could not work, naming the setting."""
        super().__post_init__()
        if self.namespace is not None:
            check_name(self.namespace, "namespace")
        _check(self.store is None or self.redis_url is None, "store", "cannot be given beside redis_url")
        _check(
            self.store is not None or not self.store_settings,
            "store_settings",
            "are for a store: name it in store",
        )
        for name in (
            "store_timeout",
            "connect_timeout",
            "op_timeout",
            "backoff",
            "backoff_cap",
            "lease_time",
            "warm_interval",
            "warm_timeout",
        ):
            _check(getattr(self, name) > 0, name, "must be above 0")
        _check(self.backoff <= self.backoff_cap, "backoff", "cannot be above backoff_cap")
        _check(
            self.redis_url is None or self.redis_url.startswith(REDIS_URLS),
            "redis_url",
            f"begins with {', '.join(REDIS_URLS)}; take it out to keep everything in memory",
        )
        _check(self.shards is None or 1 <= self.shards <= 256, "shards", "must be from 1 to 256")
        for limit in self.limits:
            check_name(limit, "limit")
        for cache in self.caches:
            self.settings_of(cache)

    def __repr__(self) -> str:
        """Show nothing of the url but its scheme, and no settings of a store: they may hold a password."""
        url = None if self.redis_url is None else self.redis_url.partition("://")[0] + "://***"
        return f"CacheConfig(redis_url={url!r}, namespace={self.namespace!r}, ttl={self.ttl!r})"

    @property
    def keyspace(self) -> str:
        """The first part of every key in Redis or a store."""
        return self.namespace or "plughost"

    def of_host(self, host: str) -> CacheConfig:
        """Return the configuration as it is in a host: what names no namespace has the host's own."""
        if self.namespace is not None:
            return self
        name = host
        if not _NAME.match(host):  # one with other signs gets a mark, so that no two hosts become one
            plain = re.sub(r"[^A-Za-z0-9._-]", "-", host)[:40]
            name = f"h-{plain}-{zlib.crc32(host.encode()):08x}"
        return msgspec.structs.replace(self, namespace=name)

    def settings_of(self, name: str, overrides: Mapping[str, Any] | None = None) -> CacheSettings:
        """Return the settings of one cache.

        Raises:
            ConfigError: One of them is unknown or of the wrong type.
        """
        check_name(name, "cache")
        fields = CacheSettings.__struct_fields__
        chosen = {field: getattr(self, field) for field in fields}
        for origin in (self.caches.get(name, {}), overrides or {}):
            for key, value in origin.items():
                if key not in chosen:
                    message = f"caches.{name} has no setting {key!r}.{did_you_mean(key, fields)}"
                    raise ConfigError(message, path=f"caches.{name}.{key}")
                chosen[key] = value
        try:
            settings = msgspec.convert(chosen, CacheSettings, strict=False)
        except (msgspec.ValidationError, ValueError) as error:
            raise ConfigError(f"caches.{name}: {error}", path=f"caches.{name}") from error
        is_shared = self.redis_url is not None or self.store is not None
        shared = settings.tier in {"redis", "tiered"} or (settings.tier == "auto" and is_shared)
        if settings.tier in {"redis", "tiered"} and self.redis_url is None:
            raise ConfigError(
                f"caches.{name}: tier {settings.tier!r} needs redis_url", path=f"caches.{name}.tier"
            )
        if settings.values == "objects" and shared:
            message = f"caches.{name}: objects live in memory only; set tier = 'memory' or values = 'data'"
            raise ConfigError(message, path=f"caches.{name}.values")
        return settings


def check_name(name: str, what: str) -> None:
    """Refuse a name that would not survive as a part of a key.

    Raises:
        ConfigError: It is not made of letters, digits, dot, dash and underscore.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        message = f"{what} name {name!r}: use letters, digits, dot, dash and underscore, up to 64"
        raise ConfigError(message, path=what)
