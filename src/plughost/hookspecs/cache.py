"""What happens in caches, and what they keep warm."""

from __future__ import annotations

from collections.abc import Sequence

from plughost.contracts.cache_events import CacheEvent, WarmEntry
from plughost.hookspecs._markers import hookspec


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def cache_event(events: Sequence[CacheEvent]) -> None:
    """Things happened in a cache.

    Called in the background with what happened since the last call, oldest first; never while somebody waits
    for a value. When events come faster than they are taken, the oldest are dropped and counted in the
    statistics.

    Args:
        events: What happened; never empty.

    Refusing:
        There is nothing to stop: it is over.

    Failure:
        Reported; the others are still told. These events are not sent again.

    Example:
        from collections import Counter

        evictions: Counter[str] = Counter()

        @hookimpl
        def cache_event(events: Sequence[CacheEvent]) -> None:
            evictions.update(event.cache for event in events if event.kind == "evicted")
    """


@hookspec(mode="collect", timeout=60.0, concurrent=True)
def warm_cache(cache: str) -> Sequence[WarmEntry] | None:
    """Say what this cache shall load before anybody asks for it.

    Called when the cache is started and when somebody asks for it to be warmed. All implementations are
    asked; what they return is loaded in the background.

    Args:
        cache: Name of the cache.

    Returns:
        Keys with their loaders; None or an empty sequence for a cache this plugin has nothing for.

    Refusing:
        There is nothing to stop.

    Failure:
        Reported; the entries of the others are loaded.

    Example:
        async def load_rates() -> dict[str, float]:
            return {"EUR": 1.0, "CHF": 0.94}

        @hookimpl
        def warm_cache(cache: str) -> Sequence[WarmEntry] | None:
            return [WarmEntry(key="rates", loader=load_rates, ttl=3600)] if cache == "money" else None
    """
