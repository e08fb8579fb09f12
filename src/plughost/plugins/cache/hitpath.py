"""The synchronous hit, flattened: what a method call costs is most of what such a hit costs.

Each function returns a ``get`` with policy, clock and counter at hand; what is no hit goes to ``slow``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plughost.plugins.cache.policies import EvictionPolicy, LRUCache, S3FIFOCache
from plughost.plugins.cache.stats import Counts

Get = Callable[..., Any]


def flattened(
    policy: EvictionPolicy, now: Callable[[], float], counts: Counts, slow: Callable[[str, Any], Any]
) -> Get | None:
    """Return a ``get(key, default=None)`` for one of our policies; None for any other."""
    if type(policy) is LRUCache:
        return _of_lru(policy, now, counts, slow)
    if type(policy) is S3FIFOCache:
        return _of_s3fifo(policy, now, counts, slow)
    return None


def _of_lru(
    policy: LRUCache, now: Callable[[], float], counts: Counts, slow: Callable[[str, Any], Any]
) -> Get:
    look, to_end = policy.look, policy.to_end

    def get(key: str, default: Any = None) -> Any:
        entry = look(key)
        if entry is not None and now() < entry.fresh_until:
            try:
                to_end(key)
            except KeyError:
                return slow(key, default)
            counts.hits += 1
            return entry.value
        return slow(key, default)

    return get


def _of_s3fifo(
    policy: S3FIFOCache, now: Callable[[], float], counts: Counts, slow: Callable[[str, Any], Any]
) -> Get:
    look = policy.look

    def get(key: str, default: Any = None) -> Any:
        entry = look(key)
        if entry is not None and now() < entry.fresh_until:
            if entry.uses < 3:
                entry.uses += 1
            counts.hits += 1
            return entry.value
        return slow(key, default)

    return get
