"""Caches over a store of somebody else: three methods over bytes, named in the configuration."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

import unfit_stores
from plughost import Host
from plughost.contracts import BytesStore, CacheManager, ListingStore
from plughost.contracts.clock import SteadyTime
from plughost.exceptions import PluginError
from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.manager import NamedCaches
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.cache.stores.foreign import STORES
from plughost.plugins.cache.stores.link import StoreLink
from plughost.testing import BytesStoreSuite, CacheBackendSuite, CacheValuesSuite, FakeClock
from plughost.testing.distributions import make_distribution
from plughost.testing.suites.cache_backend import Calls, PassTime, invalidate

from .byte_stores import Dictionary, Fading, Listing

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def caches_over(store: BytesStore, clock: FakeClock, **config: Any) -> AsyncIterator[NamedCaches]:
    settings = CacheConfig(store="given", **{"store_timeout": 30.0, **config})
    link = StoreLink(settings, store, SteadyTime(clock), clock=clock)
    async with NamedCaches(settings, clock=clock, link=link) as caches:
        yield caches


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestThreeMethods(BytesStoreSuite):
    @pytest.fixture(params=[Dictionary, Listing])
    def store(self, request: pytest.FixtureRequest) -> BytesStore:
        made: BytesStore = request.param()
        return made


class OverAStore:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> PassTime:
        return clock.advance


class TestOverThreeMethods(OverAStore, CacheValuesSuite):
    @pytest.fixture
    async def cache(self, clock: FakeClock) -> AsyncIterator[Any]:
        async with caches_over(Dictionary(), clock) as caches:
            yield caches.get("suite")


class TestOverAStoreThatListsItsKeys(OverAStore, CacheBackendSuite):
    @pytest.fixture
    async def cache(self, clock: FakeClock) -> AsyncIterator[Any]:
        async with caches_over(Listing(), clock) as caches:
            yield caches.get("suite")


# two processes, which are two managers over one store


@asynccontextmanager
async def two_over(store: BytesStore, clock: FakeClock) -> AsyncIterator[tuple[Any, Any]]:
    async with caches_over(store, clock) as one, caches_over(store, clock) as other:
        yield one.get("shared"), other.get("shared")


async def test_what_one_process_stores_the_other_reads(clock: FakeClock) -> None:
    async with two_over(Dictionary(), clock) as (here, there):
        await here.set("k", {"n": (1, 2)}, ttl=60, tags=["t"])
        entry = await there.entry("k")
        assert (entry.value, entry.tags, entry.tier) == ({"n": (1, 2)}, ("t",), "store")
        assert there.stats().backend == "store"


@pytest.mark.parametrize("kind", [Dictionary, Listing])
@pytest.mark.parametrize("how", ["delete", "tag", "glob", "regex", "clear", "set"])
async def test_an_invalidation_in_one_process_wins_over_a_load_in_the_other(
    clock: FakeClock, how: str, kind: type[Dictionary]
) -> None:
    async with two_over(kind(), clock) as (here, there):
        calls = Calls("old")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: here.get_or_set("user:1", calls.held, tags=["users"]))
            await calls.reached.wait()
            await invalidate(there, how)
            calls.go_on.set()
        assert await here.get("user:1") == ("new" if how == "set" else None)
        assert await there.get_or_set("user:1", Calls("new"), tags=["users"]) == "new"


async def test_a_value_that_came_and_went_meanwhile_is_not_taken_for_nothing(clock: FakeClock) -> None:
    async with two_over(Dictionary(), clock) as (here, there):
        calls = Calls("old")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: here.get_or_set("k", calls.held))
            await calls.reached.wait()
            await there.set("k", "new")
            await there.delete("k")
            calls.go_on.set()
        assert await there.get("k") is None


async def test_a_load_of_ten_minutes_is_stored_nowhere(clock: FakeClock) -> None:
    async with two_over(Dictionary(), clock) as (here, there):
        calls = Calls("old")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: here.get_or_set("k", calls.held))
            await calls.reached.wait()
            await clock.advance(601)
            calls.go_on.set()
        assert await there.get("k") is None


async def test_no_change_of_two_processes_is_lost(clock: FakeClock) -> None:
    async with two_over(Dictionary(), clock) as (here, there):

        async def add(cache: Any, number: int) -> None:
            await cache.increment("n")
            await cache.set_add("s", number)

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(add, (here, there)[number % 2], number)
        assert await here.get("n") == 10
        assert await there.set_members("s") == set(range(10))


async def test_a_store_that_lost_everything_serves_nothing_old(clock: FakeClock) -> None:
    store = Listing()
    async with two_over(store, clock) as (here, there):
        await here.set("old", 1, tags=["t"])
        at = next(key for key in store.values if ":e" in key)
        kept = store.values[at]
        store.values.clear()
        assert await there.get("old") is None
        store.values[at] = kept  # from a backup, without the clock that it was stored under
        assert await there.get("old") is None


async def test_what_nobody_wrote_is_a_miss_and_is_replaced(clock: FakeClock) -> None:
    store = Dictionary()
    async with caches_over(store, clock) as caches:
        cache = caches.get("c")
        await cache.set("k", 1, tags=["t"])
        for at in list(store.values):
            store.values[at] = (b"\xc1 not ours", store.values[at][1])
        assert await cache.get("k") is None
        assert await cache.get_or_set("k", lambda: 2, tags=["t"]) == 2
        assert await cache.get("k") == 2


async def test_without_a_list_of_keys_a_pattern_clears_the_cache(clock: FakeClock) -> None:
    async with caches_over(Dictionary(), clock) as caches:
        cache, other = caches.get("one"), caches.get("other")
        await cache.set_many({"a:1": 1, "b:1": 2})
        await other.set("a:1", 3)
        await cache.invalidate_glob("a:*")
        assert await cache.get_many(["a:1", "b:1"]) == {}
        assert await other.get("a:1") == 3
        assert await other.keys() == []


@pytest.mark.parametrize(("one", "other"), [("shop", "shop"), ("shop", "bank")])
async def test_hosts_share_caches_by_their_namespace(clock: FakeClock, one: str, other: str) -> None:
    store = Dictionary()
    async with (
        caches_over(store, clock, namespace=one) as here,
        caches_over(store, clock, namespace=other) as there,
    ):
        await here.get("c").set("k", 1)
        assert await there.get("c").get("k") == (1 if one == other else None)


# away and back


@pytest.mark.parametrize("away", ["raises", "says so", "hangs"])
async def test_without_the_store_everybody_goes_on_in_memory(clock: FakeClock, away: str) -> None:
    store = Fading()
    limit = 0.2 if away == "hangs" else 30.0
    async with caches_over(store, clock, store_timeout=limit) as caches:
        cache = caches.get("c")
        await cache.set("kept", "old")
        await cache.set("tagged", "old", tags=["t"])
        store.away = away
        assert await cache.get_or_set("k", lambda: 1) == 1
        assert not caches.status()["available"]
        assert await cache.get("k") == 1
        await cache.delete("kept")
        await cache.invalidate_tag("t")
        await cache.set("tagged", "of the meantime")
        store.away = ""
        await _until_back(caches, clock)
        assert await cache.get_many(["kept", "tagged"]) == {}
        assert await cache.set("k", 2)
        assert await cache.get("k") == 2


@pytest.mark.parametrize("how", ["clear", "glob"])
async def test_what_was_invalidated_in_its_absence_is_not_there_when_it_is_back(
    clock: FakeClock, how: str
) -> None:
    store = Fading()
    async with caches_over(store, clock) as caches:
        cache = caches.get("c")
        await cache.set_many({"user:1": "old", "other": "old"})
        store.away = "raises"
        await invalidate(cache, how)
        store.away = ""
        await _until_back(caches, clock)
        assert await cache.get("user:1") is None
        assert await cache.get("other") == (None if how == "clear" else "old")


async def test_a_store_that_comes_late_is_opened_when_it_comes(clock: FakeClock) -> None:
    store = Fading()
    store.away = "raises"
    async with caches_over(store, clock) as caches:
        cache = caches.get("c")
        assert await cache.get_or_set("k", lambda: 1) == 1
        store.away = ""
        await _until_back(caches, clock)
        assert store.opened == 1
        assert await cache.set("k", 2)
    assert store.opened == 0


async def _until_back(caches: NamedCaches, clock: FakeClock) -> None:
    with anyio.fail_after(30):
        while not caches.status()["available"]:
            await clock.advance(1)
            await anyio.lowlevel.checkpoint()


async def test_a_thread_without_a_loop_reads_and_writes_there(clock: FakeClock) -> None:
    async with two_over(Dictionary(), clock) as (here, there):

        def use() -> Any:
            here.sync.set("k", 1)
            return here.sync.get("k"), here.sync.get_or_set("other", lambda: 2)

        assert await anyio.to_thread.run_sync(use) == (1, 2)
        assert await there.get_many(["k", "other"]) == {"k": 1, "other": 2}


# by the name that the configuration has for it

SOURCE = """
import msgspec
from byte_store_of_tests import Listing

class Settings(msgspec.Struct, forbid_unknown_fields=True):
    address: str = "here"

class Shelf(Listing):
    name = "shelf"
    Config = Settings
    made = []

    def __init__(self, setup):
        super().__init__(setup)
        self.made.append(self)

"""


@pytest.fixture(params=["shelf_cache", "acme_cache"])
def module(
    request: pytest.FixtureRequest, write_module: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.setitem(sys.modules, "byte_store_of_tests", sys.modules[Listing.__module__])
    return write_module(request.param, SOURCE + unfit_stores.SOURCE)


@asynccontextmanager
async def host_with(tmp_path: Path, **config: Any) -> AsyncIterator[Host]:
    section = {"data_dir": str(tmp_path / "data")}
    async with Host("acme", config={"host": section}, environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        await host.load_plugin(CachePlugin, {"store_timeout": 30.0, **config}, name="cache")
        yield host


@pytest.mark.parametrize("door", ["reference", "entry point"])
async def test_a_host_keeps_its_caches_in_the_store_that_is_named(
    module: str, tmp_path: Path, door: str
) -> None:
    points = {STORES.group: {"shelf": f"{module}:Shelf"}}
    make_distribution(tmp_path / "site", "acme-stores", modules={}, entry_points=points)
    name = f"{module}:Shelf" if door == "reference" else "shelf"
    async with host_with(tmp_path, store=name, store_settings={"address": "there"}) as host:
        cache = host.use(CacheManager).get("pages")
        assert await cache.get_or_set("k", lambda: 7, ttl=60) == 7
        store = sys.modules[module].Shelf.made[-1]
        assert isinstance(store, ListingStore)
        assert (store.setup.host_name, store.setup.settings.address) == ("acme", "there")
        assert any(":e" in key for key in store.values)
        (check,) = [check for check in (await host.health()).checks if check.name == "cache"]
        assert (check.status, check.figures["server"]) == ("pass", "shelf")
        assert store.opened == 1
        await host.reload_plugin("cache")
        assert await host.use(CacheManager).get("pages").get_or_set("k", lambda: 8) in (7, 8)
    assert all(made.opened == 0 for made in sys.modules[module].Shelf.made)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"store": "shelf"}, "there is no cache store 'shelf': use module:Class, or install a distribution"),
        *(({"store": store}, why) for store, why in unfit_stores.REFUSED.items()),
        ({"store": "{module}:Half"}, "is not a BytesStore: it has no commit, delete"),
        ({"store": "{module}:Shelf", "store_settings": {"pace": "PASSWORD"}}, "pace"),
        ({"store_settings": {"address": "a"}}, "are for a store"),
        ({"store": "{module}:Shelf", "redis_url": "redis://h"}, "beside redis_url"),
    ],
)
async def test_what_cannot_be_a_store_is_refused_in_words(
    module: str, tmp_path: Path, config: dict[str, Any], why: str
) -> None:
    if "store" in config:
        config = config | {"store": config["store"].format(module=module)}
    with pytest.raises(PluginError) as refused:
        async with host_with(tmp_path, **config):
            pass
    assert why in str(refused.value)
    assert "PASSWORD" not in str(refused.value)


async def test_processes_over_one_store_share_what_they_keep_warm_and_one_goes_on_alone(
    clock: FakeClock,
) -> None:
    store, loads = Dictionary(), Calls("loaded")
    async with caches_over(store, clock) as here:
        async with caches_over(store, clock) as there:
            for caches in (here, there):
                caches.get("c", jitter=0).precompute("k", loads, every=60)
            for _ in range(600):
                await clock.advance(2)
        together = loads.count
        for _ in range(300):
            await clock.advance(2)
    assert 20 <= together <= 24  # of 20 periods, which are up to a tenth shorter
    assert 9 <= loads.count - together <= 12
