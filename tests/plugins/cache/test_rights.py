"""A server that refuses commands: nothing is promised on what was not allowed, and what is missing is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import pytest

from plughost import Host
from plughost.contracts import CacheManager, LockManager, RateLimiter
from plughost.plugins.cache.manager import NamedCaches
from servers import Server, server

from .conftest import BRISK, PATIENT, shared

pytestmark = pytest.mark.anyio

ENOUGH = ("~acme:*", "&acme:bus", "+@all")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def guarded(*rules: str) -> Iterator[tuple[Server, str]]:
    """A server with a user ``app`` who may do that much; its url as that user."""
    with server() as running:
        allow(running, *rules)
        yield running, f"unix://app@{running.path}?password=word"


def allow(running: Server, *rules: str) -> None:
    assert running.command("ACL", "SETUSER", "app", "on", ">word", *rules) == b"+OK"


def connected(url: str, **config: Any) -> NamedCaches:
    return shared(url, namespace="acme", **config)


async def until_available(caches: NamedCaches) -> None:
    with anyio.fail_after(20):
        while not caches.status()["available"]:  # noqa: ASYNC110 # the reconnect task is waited for
            await anyio.sleep(0.01)


async def test_the_rights_the_page_names_are_enough() -> None:
    page = "+@connection +@scripting +@read +@write +@pubsub -keys -flushall -flushdb +info +time +client|tracking"
    with guarded("~acme:*", "&acme:bus", *page.split()) as (_, url):
        async with connected(url) as caches:
            assert await caches.default.set("k", 1, tags=["t"])
            assert await caches.default.invalidate_glob("k*") == 1
            status = caches.status()
            assert status["available"]
            assert status["missing_rights"] == []
            assert status["coherence"] == "tracking"


@pytest.mark.parametrize("refused", [(), ("-info",)], ids=["all rights", "no INFO"])
@pytest.mark.parametrize("how", ["tag", "key", "clear"])
async def test_what_was_invalidated_does_not_come_back_from_an_old_dump(
    refused: tuple[str, ...], how: str
) -> None:
    with guarded("~*", "&*", "+@all", *refused) as (running, url):
        async with connected(url) as caches:
            cache = caches.default
            await cache.set("k", "old", tags=["t"])
            running.command("SAVE")
            await {
                "tag": lambda: cache.invalidate_tag("t"),
                "key": lambda: cache.delete("k"),
                "clear": lambda: cache.clear(),
            }[how]()
            running.kill()  # its dump is from before the invalidation
            running.start()
            allow(running, "~*", "&*", "+@all", *refused)
            await until_available(caches)
            assert await cache.get("k") is None
        async with connected(url) as caches:
            assert await caches.default.get("k") is None


@pytest.mark.parametrize(
    ("rules", "word"),
    [
        (("~acme:*", "&acme:bus", "+@all", "-info"), "INFO"),
        (("~acme:*", "+@all", "resetchannels"), "SUBSCRIBE"),
        (("~acme:*", "&acme:bus", "+@all", "-publish"), "PUBLISH"),
        (("~acme:*", "&acme:bus", "+@all", "-client|tracking"), "CLIENT TRACKING"),
        (("~acme:*", "&acme:bus", "+@all", "-scan"), "SCAN"),
        (("~acme:*", "&acme:bus", "+@all", "-client"), "CLIENT TRACKING"),
    ],
)
async def test_a_missing_right_is_said_and_the_cache_goes_on_without_it(
    rules: tuple[str, ...], word: str
) -> None:
    with guarded(*rules) as (_, url):
        config = {"redis_url": url, "namespace": "acme", **PATIENT}
        async with Host("acme", config={"plugins": {"cache": {"config": config}}}) as host:
            caches = host.use(CacheManager)
            assert await caches.default.set("k", 1)
            assert await caches.default.get("k") == 1
            assert await caches.default.invalidate_glob("k*") in (0, 1)
            assert await caches.default.get("k") is None
            status = caches.status()
            assert status["available"]
            assert status["connections"] == 1
            assert any(right.startswith(word) for right in status["missing_rights"])  # type: ignore[attr-defined]
            report = await host.health()
            check = next(check for check in report.checks if check.plugin == "cache")
            assert check.status == "warn"
            assert word in check.detail


@pytest.mark.parametrize("refused", ["-hset", "-unlink", "-evalsha", "-time", "-lpop"])
async def test_without_a_right_that_is_needed_the_server_counts_as_away_and_the_right_is_named(
    refused: str,
) -> None:
    with guarded(*ENOUGH, refused, "-eval" if refused == "-evalsha" else "+eval") as (_, url):
        async with connected(url) as caches:
            assert await caches.default.set("k", 1)
            assert await caches.default.get("k") == 1
            status = caches.status()
            assert not status["available"]
            assert refused[1:].upper() in str(status["error"]).upper()
            assert "word" not in str(status["error"])


@pytest.mark.parametrize("first", [("+@all",), ("+@all", "-publish")], ids=["may publish", "may not publish"])
@pytest.mark.parametrize("how", ["tag", "glob", "clear", "delete", "set"])
async def test_memory_elsewhere_never_answers_what_was_invalidated_by_whoever_may_not_tell(
    first: tuple[str, ...], how: str
) -> None:
    with guarded("~acme:*", "&acme:bus", *first) as (running, url):
        full = f"unix://{running.path}"
        async with connected(url) as ours, connected(full) as theirs:
            await ours.default.set("k", "old", tags=["t"])
            assert await theirs.default.get("k") == "old"
            assert await theirs.default.get("k") == "old"
            await {
                "tag": lambda: ours.default.invalidate_tag("t"),
                "glob": lambda: ours.default.invalidate_glob("k*"),
                "clear": lambda: ours.default.clear(),
                "delete": lambda: ours.default.delete("k"),
                "set": lambda: ours.default.set("k", "new"),
            }[how]()
            with anyio.fail_after(20):
                while await theirs.default.get("k") == "old":  # noqa: ASYNC110 # a push is on its way
                    await anyio.sleep(0.005)
            assert await theirs.default.get("k") == ("new" if how == "set" else None)


@pytest.mark.parametrize("refused", ["-subscribe", "-client|tracking"])
async def test_whoever_cannot_hear_of_changes_asks_the_server_each_time(refused: str) -> None:
    with guarded(*ENOUGH, refused) as (running, url):
        async with connected(url) as ours, connected(f"unix://{running.path}") as theirs:
            await theirs.default.set("k", "old", tags=["t"])
            assert await ours.default.get("k") == "old"
            await theirs.default.invalidate_tag("t")
            assert await ours.default.get("k") is None  # at once: nothing is waited for
            await theirs.default.set("k", "new")
            assert await ours.default.get("k") == "new"


async def test_a_right_that_is_taken_away_later_ends_the_connection_and_nothing_old_comes_back() -> None:
    with guarded(*ENOUGH) as (running, url):
        async with connected(url) as caches:
            await caches.default.set("k", "old")
            running.command("ACL", "SETUSER", "app", "-unlink")
            await caches.default.delete("k")
            assert await caches.default.get("k") is None
            with anyio.fail_after(20):
                while "UNLINK" not in str(caches.status()["error"]):  # noqa: ASYNC110
                    await anyio.sleep(0.01)
            running.command("ACL", "SETUSER", "app", "+unlink")
            await until_available(caches)
            assert await caches.default.get("k") is None


async def test_what_a_lost_connection_had_under_way_is_not_carried_out_later(own_server: Server) -> None:
    async with shared(own_server.url, **BRISK) as caches:
        cache = caches.default
        await cache.set("k", "first")
        own_server.pause()
        await cache.set("k", "late")  # taken by nobody yet: the server reads it when it goes on
        await cache.delete("k")
        own_server.resume()
        await until_available(caches)
        for _ in range(20):
            assert await cache.get("k") is None
            await anyio.sleep(0.01)


async def test_hosts_of_two_names_on_one_server_keep_apart_unless_they_ask_to_share(redis_url: str) -> None:
    def host(name: str, **config: Any) -> Host:
        config = {"redis_url": redis_url, **PATIENT, **config}
        return Host(name, config={"plugins": {"cache": {"config": config}}})

    async with host("shop") as shop, host("bank") as bank, host("shop") as again:
        one, two, three = (which.use(CacheManager).default for which in (shop, bank, again))
        await one.set("k", "shop")
        assert await two.get("k") is None
        assert await three.get("k") == "shop"
        await two.set("k", "bank")
        await two.clear()
        assert await one.get("k") == "shop"
        await one.set("k", "shop", tags=["t"])
        await two.invalidate_tag("t")
        assert await one.get("k") == "shop"
        assert await shop.use(LockManager).acquire("l", lease=60)
        assert await bank.use(LockManager).acquire("l", wait=0, lease=60)
        assert await again.use(LockManager).acquire("l", wait=0, lease=60) is None
        assert (await shop.use(RateLimiter).check("k", 60, 1)).allowed
        assert (await bank.use(RateLimiter).check("k", 60, 1)).allowed
        assert not (await again.use(RateLimiter).check("k", 60, 1)).allowed
    async with host("shop", namespace="both") as shop, host("bank", namespace="both") as bank:
        await shop.use(CacheManager).default.set("k", "shared")
        assert await bank.use(CacheManager).default.get("k") == "shared"


@pytest.mark.parametrize("count", [10_000, 100_000])
async def test_what_a_large_call_says_it_stored_is_stored(redis_url: str, count: int) -> None:
    async with shared(redis_url, op_timeout=0.5) as caches:
        cache = caches.get("c", tier="redis")
        assert await cache.set_many({f"k:{number}": number for number in range(count)}) == count
        assert caches.status()["connections"] == 1
        found = 0
        for start in range(0, count, 10_000):
            found += len(await cache.get_many([f"k:{number}" for number in range(start, start + 10_000)]))
        assert found == count
        assert caches.status()["connections"] == 1
