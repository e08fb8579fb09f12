"""A real server for the cache's benchmarks, and ways to make a manager over it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from plughost.plugins.cache.config import CacheConfig  # after the path
from plughost.plugins.cache.manager import NamedCaches  # after the path
from plughost.plugins.cache.redis.link import RedisLink  # after the path
from servers import Server, free_port, server  # the tests' own servers

__all__ = ["Server", "free_port", "server", "shared"]


def shared(url: str, **config: Any) -> NamedCaches:
    """A manager over a server; enter it to connect."""
    settings = CacheConfig(redis_url=url, **config)
    return NamedCaches(settings, link=RedisLink(settings))
