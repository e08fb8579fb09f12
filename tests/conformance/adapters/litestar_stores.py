"""Litestar: a ``Store`` over a cache of plughost, and what Litestar's documentation promises of every store."""

from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest
from anyio import sleep
from hosted import TIERS, server_url
from litestar import Litestar, Request, get
from litestar.middleware.session.server_side import ServerSideSessionConfig
from litestar.stores.base import Store
from litestar.stores.registry import StoreRegistry

from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.manager import NamedCaches
from plughost.plugins.cache.redis.link import RedisLink
from plughost.testing.servers import empty

pytestmark = pytest.mark.anyio


class PlughostStore(Store):
    """The keys of one namespace of a cache; what renews itself is kept with how long."""

    def __init__(self, cache, namespace="") -> None:
        self._cache, self._namespace = cache, namespace

    def with_namespace(self, namespace):
        return PlughostStore(self._cache, f"{self._namespace}{namespace}/")

    async def set(self, key, value, expires_in=None):
        data = value.encode() if isinstance(value, str) else value
        seconds = expires_in.total_seconds() if isinstance(expires_in, timedelta) else expires_in
        await self._cache.set(self._key(key), data, float("inf") if seconds is None else seconds)

    async def get(self, key, renew_for=None):
        found = await self._cache.entry(self._key(key))
        if found is None:
            return None
        if renew_for is not None and found.ttl != float("inf"):
            await self._cache.touch(self._key(key), renew_for)
        return found.value

    async def delete(self, key):
        await self._cache.delete(self._key(key))

    async def delete_all(self):
        await self._cache.invalidate_glob(f"{self._namespace}*")

    async def exists(self, key):
        return await self._cache.exists(self._key(key))

    async def expires_in(self, key):
        found = await self._cache.entry(self._key(key))
        if found is None:
            return None
        return -1 if found.ttl == float("inf") else round(found.ttl)

    def _key(self, key):
        return self._namespace + key


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=TIERS)
async def store(request):
    if request.param == "memory":
        config, link = CacheConfig(namespace="litestar"), None
    else:
        empty(server_url())
        config = CacheConfig(namespace="litestar", redis_url=server_url(), op_timeout=5.0)
        link = RedisLink(config)
    async with NamedCaches(config, link=link) as caches:
        yield PlughostStore(caches.get("store"))


@pytest.mark.parametrize("key", ["key", "a/b", "ü 🙂", "with space"])
async def test_what_was_set_is_got_as_bytes(store, key):
    assert await store.get(key) is None
    await store.set(key, b"value")
    assert await store.get(key) == b"value"
    await store.set(key, "text")
    assert await store.get(key) == b"text"


async def test_a_value_ends_with_its_time(store):
    await store.set("key", b"value", expires_in=1)
    assert await store.get("key") == b"value"
    await sleep(1.05)
    assert await store.get("key") is None
    assert not await store.exists("key")


async def test_a_length_of_time_can_be_a_timedelta(store):
    await store.set("key", b"value", expires_in=timedelta(seconds=100))
    assert 98 <= await store.expires_in("key") <= 100


async def test_a_value_without_a_time_does_not_end(store):
    await store.set("key", b"value")
    assert await store.expires_in("key") == -1
    assert await store.expires_in("other") is None


@pytest.mark.parametrize("renew_for", [10, timedelta(seconds=10)])
async def test_reading_can_renew(store, renew_for):
    await store.set("key", b"value", expires_in=1)
    assert await store.get("key", renew_for=renew_for) == b"value"
    await sleep(1.05)
    assert await store.get("key") == b"value"


async def test_renewing_gives_no_end_to_what_has_none(store):
    await store.set("key", b"value")
    await store.get("key", renew_for=10)
    assert await store.expires_in("key") == -1


async def test_what_is_deleted_is_gone_and_deleting_again_is_no_error(store):
    await store.set("key", b"value")
    await store.delete("key")
    await store.delete("key")
    assert await store.get("key") is None
    assert not await store.exists("key")


async def test_setting_again_replaces_the_time(store):
    await store.set("key", b"one", expires_in=1)
    await store.set("key", b"two", expires_in=60)
    await sleep(1.05)
    assert await store.get("key") == b"two"


async def test_all_are_deleted(store):
    for number in range(20):
        await store.set(f"key{number}", b"value")
    await store.delete_all()
    assert [await store.exists(f"key{number}") for number in range(20)] == [False] * 20


async def test_namespaces_do_not_see_each_other(store):
    one, two = store.with_namespace("one"), store.with_namespace("two")
    await one.set("key", b"one")
    await two.set("key", b"two")
    assert (await one.get("key"), await two.get("key")) == (b"one", b"two")


async def test_deleting_all_of_a_namespace_spares_others(store):
    outer = store.with_namespace("outer")
    inner, other = outer.with_namespace("inner"), store.with_namespace("other")
    for one in (outer, inner, other):
        await one.set("key", b"value")
    await outer.delete_all()
    assert [await one.exists("key") for one in (outer, inner, other)] == [False, False, True]


async def test_deleting_all_of_a_store_includes_its_namespaces(store):
    inner = store.with_namespace("inner")
    await inner.set("key", b"value")
    await store.delete_all()
    assert not await inner.exists("key")


async def test_a_registry_gives_the_store_by_name(store):
    registry = StoreRegistry({"sessions": store})
    assert registry.get("sessions") is store


async def test_server_side_sessions_are_kept_in_it(store):
    @get("/")
    async def count(request: Request) -> int:
        views = request.session.get("views", 0) + 1
        request.set_session({"views": views})
        return views

    config = ServerSideSessionConfig(store="sessions")
    app = Litestar([count], middleware=[config.middleware], stores={"sessions": store})
    # In this very loop, as under a server; Litestar's test client has one of its own.
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
        assert [(await client.get("/")).json() for _ in range(3)] == [1, 2, 3]
    assert len(await store._cache.keys()) == 1
