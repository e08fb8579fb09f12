"""A real server for the cache's benchmarks, and a host whose cache plugin uses it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from hosting import hosted

from plughost.contracts import CacheManager
from servers import Server, free_port, server  # the tests' own servers

__all__ = ["Server", "free_port", "server", "shared"]


@asynccontextmanager
async def shared(url: str | None, **config: Any) -> AsyncIterator[CacheManager]:
    """The caches of a host, over a server or in memory alone."""
    settings = config if url is None else {"redis_url": url, **config}
    async with hosted(tables={"cache": {"config": settings}}) as host:
        yield host.use(CacheManager)
