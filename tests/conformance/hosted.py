"""The services of a running host for adapters without an event loop: in memory, or over a Redis server of our own."""

from __future__ import annotations

import atexit
import tempfile
from contextlib import ExitStack
from functools import cache

from plughost.blocking import BlockingHost
from plughost.testing.servers import redis_server

TIERS = ("memory", "redis")
_open = ExitStack()
atexit.register(_open.close)


@cache
def server_url() -> str:
    """Return the url of a server that lives as long as this process."""
    return _open.enter_context(redis_server())


@cache
def host(tier: str) -> BlockingHost:
    """Return a host with the cache plugin over this tier; it ends with the process."""
    server = {"redis_url": server_url(), "op_timeout": 5.0} if tier == "redis" else {}
    config = {
        "host": {"data_dir": tempfile.mkdtemp(prefix="conformance-")},
        "plugins": {"cache": {"config": server}},
    }
    return _open.enter_context(
        BlockingHost("conformance", config=config, environ={"PLUGHOST_LOAD_PLUGINS": "cache"})
    )
