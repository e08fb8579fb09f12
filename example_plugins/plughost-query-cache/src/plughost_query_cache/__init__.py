"""A plugin that caches the results of queries on an app's database."""

from __future__ import annotations

from plughost_query_cache.plugin import QueryCache, QueryCacheConfig, QueryCachePlugin

__all__ = ["QueryCache", "QueryCacheConfig", "QueryCachePlugin"]
