"""The first-party cache plugin: named caches, locks and rate limits, in memory and in Redis."""

from __future__ import annotations

from plughost.plugins.cache.plugin import CachePlugin

__all__ = ["CachePlugin"]
