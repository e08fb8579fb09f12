"""The server dies, hangs, refuses, forgets: nobody who asks the cache sees an error, and nothing old comes back."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from plughost.contracts import Cache
from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.manager import NamedCaches
from plughost.plugins.cache.redis.link import RedisLink
from plughost.testing.suites.cache_backend import Calls
from servers import Server, free_port, sentinel, server

from .conftest import BRISK, shared
from .proxy import Proxy

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["redis", "tiered"])
def tier(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the background does."""
    with anyio.fail_after(20):
        while not condition():  # noqa: ASYNC110 # the reconnect task is waited for
            await anyio.sleep(0.005)


def there(caches: NamedCaches) -> bool:
    return bool(caches.status()["available"])


async def everything(cache: Cache) -> None:
    """Every call there is: none may fail, whatever the server does."""
    await cache.set("a", 1, tags=["t"])
    await cache.get("a")
    await cache.set_many({"b": 2, "c": (3,)})
    await cache.get_many(["a", "b", "c", "d"])
    assert await cache.get_or_set("e", lambda: 5) == 5
    assert await cache.get_or_set_many(["f", "g"], lambda keys: dict.fromkeys(keys, 6)) == {"f": 6, "g": 6}
    await cache.exists("a")
    await cache.entry("a")
    await cache.increment("n")
    await cache.set_add("s", 1, 2)
    await cache.set_members("s")
    await cache.set_remove("s", 1)
    await cache.write_through("w", 1, lambda value: None)
    await cache.warm("h", lambda: 7)
    await cache.delete("a")
    await cache.invalidate_tag("t")
    await cache.invalidate_glob("b*")
    await cache.invalidate_regex("c")
    await cache.keys()
    await cache.cleanup()
    await cache.expected()
    await cache.clear()
    cache.stats()


async def test_a_killed_server_is_no_error_and_its_return_is_noticed(own_server: Server, tier: str) -> None:
    async with shared(own_server.url) as caches:
        cache = caches.get("c", tier=tier)
        await everything(cache)
        own_server.kill()
        await everything(cache)
        assert not there(caches)
        await cache.set("k", "meanwhile")
        assert await cache.get("k") == "meanwhile"
        own_server.start()
        await until(lambda: there(caches))
        await everything(cache)
        assert caches.status()["connections"] == 2


async def test_a_stopped_server_is_no_error(own_server: Server, tier: str) -> None:
    async with shared(own_server.url, **BRISK) as caches:
        cache = caches.get("c", tier=tier)
        own_server.pause()
        await everything(cache)
        assert not there(caches)
        own_server.resume()
        await until(lambda: there(caches))
        await everything(cache)
        assert there(caches)


async def test_a_refusing_server_is_no_error(tmp_path: Path, tier: str) -> None:
    async with shared("redis://127.0.0.1:1/0") as caches:
        await everything(caches.get("c", tier=tier))
    async with shared(f"unix://{tmp_path}/nothing") as caches:
        await everything(caches.get("c", tier=tier))


async def test_a_server_that_says_nothing_is_no_error(tier: str, own_server: Server) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        path = str(own_server.folder / "silent")
        silent.bind(path)
        silent.listen()
        async with shared(f"unix://{path}", connect_timeout=0.2) as caches:
            await everything(caches.get("c", tier=tier))


async def test_a_slow_server_is_no_error(own_server: Server, tier: str) -> None:
    async with Proxy(own_server.folder / "p", own_server.path) as proxy, shared(proxy.url, **BRISK) as caches:
        cache = caches.get("c", tier=tier)
        await cache.set("k", 1)
        proxy.delay = 1.0
        await everything(cache)
        assert not there(caches)
        proxy.delay = 0.0
        proxy.cut()
        await until(lambda: there(caches))
        await everything(cache)


async def test_a_cut_connection_is_no_error(own_server: Server, tier: str) -> None:
    async with Proxy(own_server.folder / "p", own_server.path) as proxy, shared(proxy.url) as caches:
        cache = caches.get("c", tier=tier)
        for _ in range(5):
            await until(lambda: there(caches))
            async with anyio.create_task_group() as group:
                group.start_soon(everything, cache)
                await anyio.sleep(0.002)
                proxy.cut()


async def test_a_connection_lost_before_anything_was_sent_leaves_nobody_waiting(own_server: Server) -> None:
    async with shared(own_server.url) as caches:
        cache = caches.get("c", tier="redis")
        link = caches.link
        assert isinstance(link, RedisLink)
        for turn in range(4):
            await until(lambda: link._lane is not None)
            lane = link._lane
            assert lane is not None
            questions = [asyncio.ensure_future(cache.get("k")), asyncio.ensure_future(cache.set("j", 1))]
            for _ in range(turn):
                await asyncio.sleep(0)
            lane.lose(ConnectionResetError("test"))
            await asyncio.gather(*questions)
            await until(lambda: there(caches))
            with anyio.fail_after(10):
                assert await cache.get("k") is None
                assert await cache.set("j", 1)


async def test_a_read_only_server_counts_as_away(own_server: Server, tier: str) -> None:
    async with shared(own_server.url) as caches:
        cache = caches.get("c", tier=tier)
        await cache.set("k", "old")
        own_server.command("REPLICAOF", "127.0.0.1", "1")
        await cache.set("k", "new")
        assert await cache.get("k") == "new"
        await everything(cache)
        assert not there(caches)
        own_server.command("REPLICAOF", "NO", "ONE")
        await until(lambda: there(caches))
        assert await cache.get("k") is None  # what Redis had is older than what was set meanwhile


async def test_a_full_server_stores_nothing_and_still_invalidates(own_server: Server, tier: str) -> None:
    async with shared(own_server.url) as caches:
        cache = caches.get("c", tier=tier)
        await cache.set("k", "old", tags=["t"])
        await cache.set("j", "old", tags=["t"])
        await cache.set("i", "old", tags=["t"])
        own_server.command("CONFIG", "SET", "maxmemory", "1")
        assert not await cache.set("k", "new")
        assert await cache.get("k") is None  # neither the new value nor the old one
        assert await cache.delete("j")
        await cache.invalidate_tag("t")
        assert await cache.get("i") is None
        await everything(cache)
        assert there(caches)
        own_server.command("CONFIG", "SET", "maxmemory", "0")
        await everything(cache)
        assert await cache.set("k", "new")
        assert await cache.get("k") == "new"


async def test_what_was_missed_is_invalidated_before_anybody_reads_again(
    own_server: Server, tier: str
) -> None:
    keys = {"deleted": 1, "tagged": 1, "user:1": 1, "regex7": 1, "written": "before"}
    async with shared(own_server.url, **BRISK) as caches:
        cache = caches.get("c", tier=tier)
        for key, value in keys.items():
            await cache.set(key, value, tags=["t"] if key == "tagged" else ())
        await cache.set("kept", "kept")
        own_server.pause()
        await cache.delete("deleted")
        await cache.invalidate_tag("t")
        await cache.invalidate_glob("user:*")
        await cache.invalidate_regex(r"regex\d")
        await cache.set("written", "meanwhile")
        assert caches.status()["journal"] == 5
        own_server.resume()
        await until(lambda: there(caches))
        assert await cache.get_many(keys) == {}
        assert await cache.get("kept") == "kept"
        assert caches.status()["journal"] == 0


async def test_a_clear_that_was_missed_is_made_up_for(own_server: Server, tier: str) -> None:
    async with shared(own_server.url, **BRISK, journal=3) as caches:
        cache, many = caches.get("c", tier=tier), caches.get("many", tier=tier)
        await cache.set("k", 1)
        await many.set("other", 1)
        own_server.pause()
        await cache.clear()
        for number in range(10):  # more than the journal takes one by one
            await many.delete(f"k{number}")
        own_server.resume()
        await until(lambda: there(caches))
        assert await cache.get("k") is None
        assert await many.get("other") is None


async def test_a_write_that_was_under_way_is_not_carried_out_later(own_server: Server, tier: str) -> None:
    """The stopped server holds the write in its buffer; when it wakes up it must not overwrite what came after."""
    async with shared(own_server.url, **BRISK) as caches:
        cache = caches.get("c", tier=tier)
        own_server.pause()
        await cache.set("k", "under way")
        own_server.resume()
        await until(lambda: there(caches))
        await anyio.sleep(0.05)
        assert await cache.get("k") is None


async def test_a_load_begun_before_an_outage_does_not_bring_back_what_was_invalidated_in_it(
    own_server: Server, tier: str
) -> None:
    async with shared(own_server.url, **BRISK) as caches:
        cache = caches.get("c", tier=tier)
        calls = Calls("old")
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: cache.get_or_set("k", calls.held, tags=["t"]))
            await calls.reached.wait()
            own_server.pause()
            await cache.invalidate_tag("t")
            own_server.resume()
            await until(lambda: there(caches))
            calls.go_on.set()
        assert await cache.get("k") is None


async def test_a_server_restored_from_its_snapshot_begins_a_new_clock(own_server: Server, tier: str) -> None:
    """It may have missed invalidations that came after the snapshot: what it has is not used."""
    async with shared(own_server.url) as caches:
        cache = caches.get("c", tier=tier)
        await cache.set("k", "old")
        own_server.command("SAVE")
        own_server.kill()
        own_server.start()
        assert own_server.command("EXISTS", "plughost:e:{c:0}:k") == b":1"
        await cache.get("k")
        await until(lambda: caches.status()["connections"] == 2 and there(caches))
        assert await cache.get("k") is None


async def test_a_replica_that_takes_over_begins_a_new_clock() -> None:
    with server("--repl-diskless-sync-delay", "0", port=free_port()) as primary, server() as replica:
        replica.command("REPLICAOF", "127.0.0.1", str(primary.port))
        async with Proxy(primary.folder / "p", primary.path) as proxy, shared(proxy.url) as caches:
            cache = caches.get("c")
            await cache.set("k", "old")
            await until(lambda: replica.command("EXISTS", "plughost:e:{c:0}:k") == b":1")
            proxy._target = replica.path
            replica.command("REPLICAOF", "NO", "ONE")
            proxy.cut()
            await until(lambda: caches.status()["connections"] == 2 and there(caches))
            assert replica.command("EXISTS", "plughost:e:{c:0}:k") == b":1"
            assert await cache.get("k") is None
            await cache.set("k", "new")
            assert await cache.get("k") == "new"


async def test_a_sentinel_url_finds_the_primary() -> None:
    with server(port=free_port()) as primary, sentinel(primary, "mymaster") as watching:
        url = f"redis+sentinel://127.0.0.1:{watching.port}/mymaster"
        async with shared(url) as caches:
            await caches.default.set("k", 1)
            assert there(caches)
            assert caches.status()["mode"] == "sentinel"
            await everything(caches.default)
            assert there(caches)
        assert int(primary.command("DBSIZE")[1:]) > 0


async def test_a_server_is_left_when_the_sentinels_name_another_though_it_still_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plughost.plugins.cache.redis.link._PING_EVERY", 0.02)
    with (
        server(port=free_port()) as old,
        server(port=free_port()) as new,
        sentinel(old, "mymaster") as watching,
    ):
        url = f"redis+sentinel://127.0.0.1:{watching.port}/mymaster"
        async with shared(url) as caches:
            await caches.default.set("k", "old")
            assert int(old.command("DBSIZE")[1:]) > 0
            watching.command("SENTINEL", "REMOVE", "mymaster")
            watching.command("SENTINEL", "MONITOR", "mymaster", "127.0.0.1", str(new.port), "1")
            await until(lambda: caches.status()["connections"] == 2 and there(caches))
            await caches.default.set("k", "new")
            assert new.command("EXISTS", "plughost:e:{default:0}:k") == b":1"
            assert await caches.default.get("k") == "new"


async def test_a_server_that_answers_is_not_left_because_no_sentinel_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("plughost.plugins.cache.redis.link._PING_EVERY", 0.02)
    asked = 0

    async def nobody(*_: object) -> tuple[str, int]:
        nonlocal asked
        asked += 1
        raise RedisConnectionError("away")

    with server(port=free_port()) as primary, sentinel(primary, "mymaster") as watching:
        async with shared(f"redis+sentinel://127.0.0.1:{watching.port}/mymaster") as caches:
            monkeypatch.setattr("redis.asyncio.Redis.sentinel_masters", nobody)
            await until(lambda: asked > 2)
            assert there(caches)
            assert caches.status()["connections"] == 1


CALLS: dict[str, Callable[[Cache], Awaitable[Any]]] = {
    "get": lambda cache: cache.get("k"),
    "get_many": lambda cache: cache.get_many(["k", "l"]),
    "set": lambda cache: cache.set("k", "new"),
    "delete": lambda cache: cache.delete("k"),
    "get_or_set": lambda cache: cache.get_or_set("k", lambda: "loaded"),
    "get_or_set_many": lambda cache: cache.get_or_set_many(["k", "l"], lambda keys: dict.fromkeys(keys, 1)),
    "invalidate_tag": lambda cache: cache.invalidate_tag("t"),
    "invalidate_glob": lambda cache: cache.invalidate_glob("k*"),
    "clear": lambda cache: cache.clear(),
    "increment": lambda cache: cache.increment("n"),
    "set_add": lambda cache: cache.set_add("s", 1),
    "write_through": lambda cache: cache.write_through("k", "new", lambda value: None),
    "warm": lambda cache: cache.warm("k", lambda: "warm"),
}


@pytest.mark.parametrize("name", CALLS)
async def test_a_caller_cancelled_at_any_await_harms_nobody(redis_url: str, name: str) -> None:
    async with shared(redis_url) as caches:
        cache = caches.get("c")
        for steps in range(14):
            await cache.set("other", "value")
            task = asyncio.ensure_future(CALLS[name](cache))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with anyio.fail_after(10):
                assert await cache.get_or_set("other", lambda: "value") == "value"
                await cache.get_or_set("k", lambda: "again")
        assert there(caches)
        assert caches.status()["connections"] == 1


@pytest.mark.parametrize("name", ["delete", "invalidate_tag", "invalidate_glob", "clear"])
async def test_an_invalidation_whose_caller_is_cancelled_is_made_all_the_same(
    redis_url: str, name: str
) -> None:
    async with shared(redis_url) as caches, shared(redis_url) as others:
        cache, other = caches.get("c"), others.get("c")
        for steps in range(1, 10):
            await cache.set("k", "old", tags=["t"])
            task = asyncio.ensure_future(CALLS[name](cache))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            for one in (cache, other):
                with anyio.fail_after(10):
                    while await one.get("k") is not None:  # noqa: ASYNC110 # the sweep and its message travel
                        await anyio.sleep(0.001)


CHANGES: dict[str, Callable[[Cache], Awaitable[Any]]] = {
    "set": lambda cache: cache.set("k", "new"),
    "set_many": lambda cache: cache.set_many({"k": "new", "l": "new"}),
    "increment": lambda cache: cache.increment("k"),
    "delete": lambda cache: cache.delete("k"),
    "delete_many": lambda cache: cache.delete_many(["k", "l"]),
    "invalidate_tag": lambda cache: cache.invalidate_tag("t"),
    "invalidate_glob": lambda cache: cache.invalidate_glob("k*"),
    "clear": lambda cache: cache.clear(),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("coherence", ["tracking", "pubsub"])
async def test_what_is_read_behind_a_cancelled_change_does_not_stay_in_memory(
    redis_server: Server, redis_url: str, coherence: str, name: str
) -> None:
    async with shared(redis_url, coherence=coherence) as caches:
        cache = caches.get("c")
        for steps in range(1, 5):
            await cache.set("k", 1, tags=["t"])
            redis_server.command("SCRIPT", "FLUSH")  # the change has to be sent a second time
            await cache.get("nothing")  # a read has not, so it overtakes it
            task = asyncio.ensure_future(CHANGES[name](cache))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            with anyio.fail_after(10):
                while await cache.get("k") == 1:  # noqa: ASYNC110 # the change is under way
                    await anyio.sleep(0.001)


def test_a_cache_goes_on_after_its_loop_was_closed(own_server: Server) -> None:
    caches: list[NamedCaches] = []

    async def run() -> None:
        manager = shared(own_server.url)
        caches.append(manager)
        await manager.__aenter__()
        await manager.default.set("k", 1)
        assert await manager.default.get("k") == 1
        await manager.__aexit__(None, None, None)

    asyncio.run(run())
    cache = caches[0].default
    assert cache.sync.get("k") == 1
    assert cache.sync.get_or_set("l", lambda: "loaded") == "loaded"

    async def again() -> None:
        assert await cache.get("l") == "loaded"
        assert await cache.get_or_set("m", lambda: 2) == 2

    asyncio.run(again())


def test_a_load_that_ended_with_its_loop_is_begun_anew() -> None:
    cache = NamedCaches().get("c")
    calls = Calls()

    async def cut_off() -> None:
        task = asyncio.ensure_future(cache.get_or_set("k", calls.held))
        await calls.reached.wait()
        task.cancel()

    asyncio.run(cut_off())
    assert cache.sync.get_or_set("k", lambda: "second") == "second"


def test_a_forked_child_works_without_the_parents_loop(own_server: Server) -> None:
    async def run() -> None:
        async with shared(own_server.url) as caches:
            cache = caches.get("c")
            await cache.set("k", 1)
            await cache.get("k")
            read, write = os.pipe()
            child = os.fork()
            if child == 0:
                _report(cache, write)
            os.close(write)
            await anyio.to_thread.run_sync(os.waitpid, child, 0)
            assert os.read(read, 1000) == b"child"
            os.close(read)
            assert await cache.get("k") == 1
            assert await cache.get("m") is None
            assert there(caches)

    asyncio.run(run())


def _report(cache: Cache, write: int) -> None:
    """In the child: load, and say so; nothing of pytest may run here."""
    try:
        value = cache.sync.get_or_set("m", lambda: "child")
        os.write(write, value.encode())
    finally:
        os._exit(0)


async def test_nothing_is_left_behind(own_server: Server) -> None:
    before = set(asyncio.all_tasks())
    for _ in range(3):
        async with shared(own_server.url) as caches:
            await everything(caches.get("c"))
    async with shared("redis://127.0.0.1:1/0") as caches:
        await everything(caches.get("c"))
    gc.collect()
    await anyio.sleep(0.05)
    assert set(asyncio.all_tasks()) == before
    assert own_server.command("CLIENT", "LIST").count(b"id=") <= 1


async def test_the_configuration_is_checked() -> None:
    for wrong in ("http://x", "redis+sentinel://host", "x"):
        with pytest.raises(ValueError, match=r"redis_url|sentinel"):
            shared(wrong)
    with pytest.raises(ValueError, match="namespace"):
        CacheConfig(namespace="a:b")
