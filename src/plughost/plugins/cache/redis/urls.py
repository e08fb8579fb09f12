"""From a ``redis_url`` to connections, with limits far below redis-py's own.

redis-py retries ten times with pauses by default, which makes a refused connection take four seconds. Nothing
is retried here: one task reconnects, and everybody else goes on without.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import msgspec
from redis.asyncio import ConnectionPool, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from plughost.exceptions import ConfigError
from plughost.plugins.cache.config import REDIS_URLS


class Target(msgspec.Struct, frozen=True):
    """What a url points at.

    Attributes:
        kind: ``single``, ``sentinel`` or ``cluster``.
        shown: The url without user and password, for people.
        connect: Returns a connection that is not open yet; None for a cluster.
        nodes: Hosts and ports that were named.
        options: What a cluster's client is made with.
        helpers: Clients of the sentinels.
        primary: Asks the sentinels which server is the primary now; None where there are none.
    """

    kind: str
    shown: str
    connect: Callable[[], Any] | None
    nodes: tuple[tuple[str, int], ...]
    options: dict[str, Any]
    helpers: tuple[Any, ...] = ()
    primary: Callable[[], Awaitable[tuple[str, int]]] | None = None

    async def close(self) -> None:
        """Close what was needed to find the server; called when nothing connects any more."""
        for client in self.helpers:
            await client.aclose()


def target_of(url: str, *, connect_timeout: float) -> Target:
    """Understand a url.

    Raises:
        ConfigError: It is none of ours; the message does not repeat it, for it may hold a password.
    """
    scheme = url.partition("://")[0]
    if not url.startswith(REDIS_URLS):
        raise ConfigError(f"redis_url begins with {', '.join(REDIS_URLS)}", path="redis_url")
    options: dict[str, Any] = {
        "protocol": 3,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": None,  # the lane looks at the time; a timer for each read would cost more than the read
        "socket_keepalive": True,
    }
    try:
        if scheme in {"redis", "rediss", "unix"}:
            if url.startswith("unix://"):
                options = {key: value for key, value in options.items() if key != "socket_keepalive"}
            pool = ConnectionPool.from_url(url, **options)
            parts = urlsplit(url)
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
            return Target("single", shown, pool.make_connection, (), options)
        return _several(url, scheme, options, connect_timeout)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"redis_url cannot be read: {type(error).__name__}", path="redis_url") from None


def _several(url: str, scheme: str, options: dict[str, Any], connect_timeout: float) -> Target:
    parts = urlsplit(url)
    credentials, _, hosts = parts.netloc.rpartition("@")
    nodes = tuple(_node(host, 26379 if scheme.endswith("sentinel") else 6379) for host in hosts.split(","))
    user, _, password = credentials.partition(":")
    if password:
        options |= {"password": unquote(password)}
    if user:
        options |= {"username": unquote(user)}
    shown = f"{scheme}://{hosts}{parts.path}"
    if scheme == "redis+cluster":
        return Target("cluster", shown, None, nodes, options)
    service = parts.path.strip("/").partition("/")[0]
    if not service:
        raise ConfigError(
            "a sentinel url ends with the service: redis+sentinel://host/mymaster", path="redis_url"
        )
    query = parse_qs(parts.query)
    options |= {"db": int(query.get("db", ["0"])[0])}
    sentinel: Any = Sentinel(  # type: ignore[no-untyped-call] # redis-py types it by half
        list(nodes),
        socket_connect_timeout=connect_timeout,
        socket_timeout=connect_timeout,
        retry=Retry(NoBackoff(), 0),
    )
    pool = sentinel.master_for(service, **options).connection_pool
    primary = partial(sentinel.discover_master, service)
    return Target("sentinel", shown, pool.make_connection, nodes, options, tuple(sentinel.sentinels), primary)


def _node(text: str, port: int) -> tuple[str, int]:
    host, colon, given = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), port
    return host.strip("[]"), int(given)
