"""Locks in Redis: taken, extended and given back by scripts that compare the owner's secret.

The fencing token is the server's time in microseconds, or one more than the last: it grows over releases, and
still grows when the server forgot what the last one was.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import anyio
from redis.exceptions import ResponseError

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.cache.redis import names
from plughost.plugins.cache.redis.batch import unavailable
from plughost.plugins.cache.redis.lane import Command
from plughost.plugins.cache.redis.line import Line
from plughost.plugins.cache.redis.scripts import script

_OF_LOCKS: Final = "@locks"

# KEYS 1 lock, 2 last token. ARGV 1 secret, 2 milliseconds.
TAKE = script(
    """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local t = redis.call('TIME')
local token = t[1] * 1000000 + t[2]
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
if token <= last then token = last + 1 end
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text, 'PX', ARGV[2] + 86400000)
return text
""",
    prelude=False,
)
EXTEND = script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
""",
    prelude=False,
    when_full=True,
)
FREE = script(
    """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.pcall('PUBLISH', ARGV[2], cmsgpack.pack({ARGV[3], 'r', '@locks', {ARGV[4]}}))
return 1
""",
    prelude=False,
    when_full=True,
)


class RedisLocks:
    """Implements ``locks.LockStore``.

    Args:
        line: The connection.
        namespace: First part of every key.
    """

    backend = "redis"

    def __init__(self, line: Line, namespace: str) -> None:
        self._line = line
        self._namespace = namespace

    def _name(self, kind: str, name: str) -> bytes:
        return f"{self._namespace}:{kind}:{{{name}}}".encode()

    async def _ask(self, command: Command) -> Any:
        if not self._line.available:
            raise StoreUnavailableError("Redis is away, and nobody goes on without the lock: try again later")
        self._line.put(command)
        try:
            return await command.reply
        except ResponseError as error:
            raise unavailable(error) from error

    async def take(self, name: str, token: str, lease: float) -> int:
        """Take a lock; returns the fencing token, or 0. Cancelled, it gives back what it may have taken."""
        keys = (self._name("k", name), self._name("f", name))
        command = Command(TAKE, (b"2", *keys, token.encode(), b"%d" % max(1, lease * 1000)))
        try:
            return int(await self._ask(command))
        except StoreUnavailableError:
            raise
        except BaseException:
            if self._line.available:
                self._line.put(self._freeing(name, token))
            raise

    async def extend(self, name: str, token: str, lease: float) -> bool:
        """Begin the lease again."""
        arguments = (b"1", self._name("k", name), token.encode(), b"%d" % max(1, lease * 1000))
        return bool(int(await self._ask(Command(EXTEND, arguments))))

    def _freeing(self, name: str, token: str) -> Command:
        channel = names.bus(self._namespace)
        arguments = (b"1", self._name("k", name), token.encode(), channel, self._line.sender, name.encode())
        return Command(FREE, arguments)

    async def free(self, name: str, token: str) -> bool:
        """Give it back."""
        return bool(int(await self._ask(self._freeing(name, token))))

    def watch(self, name: str) -> AbstractContextManager[Callable[[], anyio.Event]]:
        """Be woken when it may be free."""
        return self._line.coherence.watch(_OF_LOCKS, name)
