"""All caches of a host: makes them, tells them when Redis comes and goes, and looks after them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, Self

import anyio
import anyio.abc

from plughost.contracts import SYSTEM_CLOCK, CacheEvent, CacheStats, Clock, WarmEntry, error_line, get_logger
from plughost.exceptions import ConfigError
from plughost.plugins.cache.cache import NamedCache
from plughost.plugins.cache.codec import Codec
from plughost.plugins.cache.config import CacheConfig, CacheSettings
from plughost.plugins.cache.engine import Engine
from plughost.plugins.cache.listeners import Happening
from plughost.plugins.cache.memory import MemoryEntries
from plughost.plugins.cache.remote import Remote
from plughost.plugins.cache.stats import Counts
from plughost.plugins.cache.tasks import OwnLoop

_LONGEST_QUEUE = 10_000
_log = get_logger("plughost.cache")


class Link(Protocol):
    """The connection to the shared tier, as far as the manager knows it."""

    available: bool

    def attach(self, name: str, settings: CacheSettings, codec: Codec) -> Remote:
        """Return the shared tier of one cache."""

    def bind(self, name: str, memory: MemoryEntries, counts: Counts) -> None:
        """Say whose memory is to hear of changes, and where what was corrupt is counted."""

    def on_change(self, callback: Callable[[bool], None]) -> None:
        """Call ``callback(flush)`` when it comes, goes, or hears no more."""

    async def run(self, *, task_status: anyio.abc.TaskStatus[None] = ...) -> None:
        """Connect, stay connected, and come back until cancelled."""

    def status(self) -> Mapping[str, object]:
        """How it does."""


Wanted = Callable[[str], Awaitable[Sequence[WarmEntry]]]
"""Asks plugins what they want warm in a cache."""


class NamedCaches:
    """Implements ``plughost.contracts.CacheManager``.

    ``async with NamedCaches(config):`` runs it; without, caches in memory work all the same, but nothing is
    kept warm or cleaned up by itself.

    Args:
        config: What is configured.
        clock: Time.
        link: The connection to Redis; None without one.
        wanted: Asks plugins what they want warm.
        collect_events: Whether events are queued for ``take_events``.
    """

    def __init__(
        self,
        config: CacheConfig | None = None,
        *,
        clock: Clock = SYSTEM_CLOCK,
        link: Link | None = None,
        wanted: Wanted | None = None,
        collect_events: bool = False,
    ) -> None:
        self.config = config or CacheConfig()
        self.home = OwnLoop()
        self.link = link
        self._clock = clock
        self._wanted = wanted
        self._caches: dict[str, NamedCache] = {}
        self._made_with: dict[str, tuple[CacheSettings, Any]] = {}
        self._lock = threading.Lock()
        self._events: deque[Happening] | None = deque(maxlen=_LONGEST_QUEUE) if collect_events else None
        self._tell = self._queue if collect_events else None
        self._group: anyio.abc.TaskGroup | None = None
        if link is not None:

            def link_changed(flush: bool) -> None:
                for cache in tuple(self._caches.values()):
                    cache.link_changed(flush=flush)

            link.on_change(link_changed)

    @property
    def default(self) -> NamedCache:
        """The cache for what needs no name."""
        return self.get("default")

    @property
    def debug(self) -> bool:
        """Whether listing what is cached is allowed."""
        return self.config.debug

    def get(self, name: str, **settings: Any) -> NamedCache:
        """Return the cache of that name, made on first use."""
        value_type = settings.pop("type", None)
        cache = self._caches.get(name)
        if cache is not None and not settings and value_type is None:
            return cache
        with self._lock:
            cache = self._caches.get(name)
            if cache is None:
                cache = self._caches[name] = self._make(name, settings, value_type)
            elif settings or value_type is not None:
                made, made_type = self._made_with[name]
                asked = self.config.settings_of(name, settings)
                differs = [key for key in settings if getattr(asked, key) != getattr(made, key)]
                if value_type is not None and value_type is not made_type:
                    differs.append("type")
                if differs:
                    message = (
                        f"cache {name!r} exists already with another {', '.join(sorted(differs))}:"
                        " give its settings once, where it is first used or in the configuration"
                    )
                    raise ConfigError(message, path=f"caches.{name}")
            return cache

    def _make(self, name: str, overrides: Mapping[str, Any], value_type: Any) -> NamedCache:
        settings = self.config.settings_of(name, overrides)
        codec = Codec(settings.format, value_type, settings.compress_above)
        shared = self.link is not None and settings.tier != "memory"
        remote = self.link.attach(name, settings, codec) if self.link is not None and shared else None
        engine = Engine(
            name,
            settings,
            clock=self._clock,
            home=self.home,
            codec=codec,
            remote=remote,
            tell=self._tell,
        )
        if remote is not None and self.link is not None:
            self.link.bind(name, engine.memory, engine.counts)
        self._made_with[name] = (settings, value_type)
        cache = NamedCache(
            engine, warm_concurrency=self.config.warm_concurrency, warm_timeout=self.config.warm_timeout
        )
        if self._wanted is not None and self.home.running and self.home.here:

            async def warm_quietly() -> None:
                try:
                    await self._warm(cache, forced=False)
                except Exception as error:
                    _log.warning("warming a cache failed", cache=cache.name, error=error_line(error))

            self.home.spawn(warm_quietly)
        return cache

    def collect(self, wanted: bool) -> None:
        """Queue events from now on, or let them be: an event that nobody hears costs its cause nothing."""
        self._tell = self._queue if wanted and self._events is not None else None
        for cache in tuple(self._caches.values()):
            cache.tell_everything(self._tell)

    def _queue(self, happening: Happening) -> None:
        assert self._events is not None  # noqa: S101 # only handed out when there is a queue
        if len(self._events) == _LONGEST_QUEUE:
            self._caches[self._events[0][0]].count_lost_event()  # the oldest makes room
        self._events.append(happening)

    def take_events(self) -> list[CacheEvent]:
        """Return what happened since the last call; empties the queue."""
        if not self._events:
            return []
        taken = []
        while self._events:
            cache, key, kind, cause = self._events.popleft()
            taken.append(CacheEvent(cache=cache, key=key, kind=kind, cause=cause))
        return taken

    def names(self) -> tuple[str, ...]:
        """Names of the caches there are."""
        return tuple(self._caches)

    def stats(self) -> dict[str, CacheStats]:
        """Figures by cache."""
        return {name: cache.stats() for name, cache in tuple(self._caches.items())}

    def reset_stats(self) -> None:
        """Count from zero again, in all caches."""
        for cache in tuple(self._caches.values()):
            cache.reset_stats()

    def status(self) -> Mapping[str, object]:
        """What the backend is and how it does."""
        if self.link is None:
            return {"mode": "memory", "available": True, "caches": len(self._caches)}
        return {**self.link.status(), "caches": len(self._caches)}

    async def warm(self, name: str | None = None) -> int:
        """Load what plugins want warm in one cache or all, the caches side by side; how many were loaded."""
        caches = tuple(self._caches.values()) if name is None else (self.get(name),)
        loaded: list[int] = []

        async def one(cache: NamedCache) -> None:
            loaded.append(await self._warm(cache, forced=True))

        async with anyio.create_task_group() as group:
            for cache in caches:
                group.start_soon(one, cache)
        return sum(loaded)

    async def _warm(self, cache: NamedCache, *, forced: bool) -> int:
        if self._wanted is None:
            return 0
        return await cache.warmer.warm_many(await self._wanted(cache.name), forced=forced)

    async def clear(self) -> None:
        """Clear every cache."""
        for cache in tuple(self._caches.values()):
            await cache.clear()

    async def cleanup(self) -> int:
        """Clean every cache up."""
        return sum([await cache.cleanup() for cache in tuple(self._caches.values())])

    async def tick(self) -> int:
        """Load what is due among the keys that are kept warm, side by side; how many were loaded."""
        due = [load for cache in tuple(self._caches.values()) for load in cache.warmer.due()]
        loaded: list[bool] = []

        async def one(load: Callable[[], Awaitable[bool]]) -> None:
            async with self._warming:
                loaded.append(await load())

        async with anyio.create_task_group() as group:
            for load in due:
                group.start_soon(one, load)
        return sum(loaded)

    async def __aenter__(self) -> Self:
        self._warming = anyio.CapacityLimiter(self.config.warm_concurrency)
        group = anyio.create_task_group()
        await group.__aenter__()
        try:
            await group.start(self.home.run)
            if self.link is not None:
                await group.start(self.link.run)
        except BaseException as error:
            group.cancel_scope.cancel()
            await group.__aexit__(type(error), error, error.__traceback__)
            raise

        async def keep_warm() -> None:
            while True:
                await self._clock.sleep(self.config.warm_interval)
                group.start_soon(self.tick)  # not waited for: a source that hangs holds up nobody but itself

        async def keep_clean() -> None:
            while True:
                await self._clock.sleep(self.config.cleanup_interval)
                for cache in tuple(self._caches.values()):
                    await cache.sweep()

        group.start_soon(keep_warm)
        group.start_soon(keep_clean)
        self._group = group
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._group is not None:
            group, self._group = self._group, None
            group.cancel_scope.cancel()
            await group.__aexit__(None, None, None)
