"""The first-party disk cache: large things on the disk, served stale while they are fetched again."""

from __future__ import annotations

from plughost.plugins.diskcache.plugin import DiskCacheConfig, DiskCachePlugin

__all__ = ["DiskCacheConfig", "DiskCachePlugin"]
