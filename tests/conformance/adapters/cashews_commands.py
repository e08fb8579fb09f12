"""cashews: the tests of a backend's commands, on plughost's caches and locks."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from cashews import Cache
from cashews.backends.interface import NOT_EXIST, UNLIMITED, Backend
from hosted import TIERS, server_url
from tests import test_backend_commands as theirs

from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.locks import Locks, MemoryLocks
from plughost.plugins.cache.manager import NamedCaches
from plughost.plugins.cache.redis.link import RedisLink
from plughost.plugins.cache.redis.locks import RedisLocks
from plughost.testing.servers import empty

pytestmark = pytest.mark.anyio
_NO_END = float("inf")


class PlughostBackend(Backend):
    """A cache of plughost with the commands of a cashews backend that it has."""

    def __init__(self, cache, locks) -> None:
        super().__init__()
        self._cache, self._locks, self._held = cache, locks, {}

    is_init = True

    async def init(self):
        """It is running."""

    async def close(self):
        """The fixture closes it."""

    @property
    def store(self):
        return range(self._cache.stats().entries)

    async def set(self, key, value, expire=None, exist=None):
        ttl = _NO_END if expire is None else expire
        if exist is None:
            return await self._cache.set(key, value, ttl)
        if not exist:
            return await self._cache.add(key, value, ttl)
        while (found := await self._cache.entry(key)) is not None:
            if await self._cache.compare_and_set(key, found.value, value, ttl):
                return True
        return False

    async def set_many(self, pairs, expire=None):
        await self._cache.set_many(pairs, _NO_END if expire is None else expire)

    async def set_raw(self, key, value, **more):
        return await self.set(key, value, **more)

    async def get(self, key, default=None):
        return await self._cache.get(key, default)

    get_raw = get

    async def get_many(self, *keys, default=None):
        found = await self._cache.get_many(keys)
        return tuple(found.get(key, default) for key in keys)

    async def get_match(self, pattern, batch_size=100):
        async for key in self.scan(pattern):
            yield key, await self._cache.get(key)

    async def scan(self, pattern, batch_size=100):
        for key in await self._cache.keys():
            if fnmatchcase(key, pattern):
                yield key

    async def exists(self, key):
        return await self._cache.exists(key)

    async def incr(self, key, value=1, expire=None):
        return await self._cache.increment(key, value, _NO_END if expire is None else expire)

    async def delete(self, key):
        return await self._cache.delete(key)

    async def delete_many(self, *keys):
        await self._cache.delete_many(keys)

    async def delete_match(self, pattern):
        await self._cache.invalidate_glob(pattern)

    async def expire(self, key, timeout):
        return await self._cache.touch(key, timeout)

    async def get_expire(self, key):
        found = await self._cache.entry(key)
        if found is None:
            return NOT_EXIST
        return UNLIMITED if found.ttl == _NO_END else round(found.ttl)

    async def get_keys_count(self):
        return len(await self._cache.keys())

    async def ping(self, message=None):
        return b"PONG" if message in {None, b"PING"} else message

    async def clear(self):
        await self._cache.clear()

    async def set_add(self, key, *values, expire=None):
        await self._cache.set_add(key, *values, ttl=expire)

    async def set_remove(self, key, *values):
        await self._cache.set_remove(key, *values)

    async def set_lock(self, key, value, expire):
        held = await self._locks.acquire(key, lease=expire)
        if held is not None:
            self._held[key, value] = held
        return held is not None

    async def is_locked(self, key, wait=None, step=0.1):
        found = await self._locks.acquire(key, lease=1.0, wait=wait or 0.0)
        return found is None or not await self._locks.release(found)

    async def unlock(self, key, value):
        return await self._locks.release(self._held.pop((key, value)))

    async def _missing(self, *_, **__):
        raise NotImplementedError("a cache of plughost has no such command")

    set_pop = get_size = get_bits = incr_bits = slice_incr = _missing


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=TIERS)
async def backend(request):
    if request.param == "memory":
        config, link = CacheConfig(namespace="cashews"), None
    else:
        empty(server_url())
        config = CacheConfig(namespace="cashews", redis_url=server_url(), op_timeout=5.0)
        link = RedisLink(config)
    locks = Locks(MemoryLocks() if link is None else RedisLocks(link, config.keyspace))
    async with NamedCaches(config, link=link) as caches:
        yield PlughostBackend(caches.get("commands"), locks)


@pytest.fixture
def cache(backend):
    cache = Cache()
    cache._add_backend(backend)
    return cache


@pytest.fixture
async def backend_factory():
    async with NamedCaches() as caches:
        yield lambda _, size: PlughostBackend(caches.get("commands", max_entries=size), None)


for _name, _test in vars(theirs).items():
    if _name.startswith("test_"):
        globals()[_name] = _test
