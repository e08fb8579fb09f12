"""The plugin in a host: found services, told hooks, figures, and a server that may be away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import CacheEvent, CacheManager, LockManager, RateLimiter, WarmEntry
from plughost.plugins.cache import CachePlugin
from servers import Server

from .conftest import PATIENT

pytestmark = pytest.mark.anyio


def host_with(config: Mapping[str, Any]) -> Host:
    """A host in which the plugin was found by its entry point."""
    return Host("acme", config={"plugins": {"cache": {"config": dict(config)}}})


class Listening(Plugin):
    name = "listening"

    def __init__(self) -> None:
        self.heard: list[CacheEvent] = []
        self.loads = 0

    @hookimpl
    def cache_event(self, events: Sequence[CacheEvent]) -> None:
        self.heard.extend(events)

    @hookimpl
    def warm_cache(self, cache: str) -> Sequence[WarmEntry] | None:
        return [WarmEntry(key="rates", loader=self.load)] if cache == "money" else None

    async def load(self) -> dict[str, float]:
        self.loads += 1
        return {"EUR": 1.0}


async def test_the_services_are_there() -> None:
    async with host_with({"ttl": 60}) as host:
        caches = host.use(CacheManager)
        await caches.default.set("k", 1)
        assert await caches.get("default").get("k") == 1
        async with host.use(LockManager).hold("l") as lock:
            assert lock.token > 0
        assert (await host.use(RateLimiter).check("user:123:combat", window=5, limit=10)).allowed
        assert set(host.use(RateLimiter).limits) >= {"auth", "chat", "combat", "api"}


async def test_events_are_told_in_batches_and_hits_are_not() -> None:
    async with host_with({"event_interval": 0.01}) as host:
        plugin = Listening()
        await host.load_plugin(plugin)
        caches = host.use(CacheManager)
        await caches.default.set("k", 1)
        await caches.default.get("k")
        await caches.default.get("none")
        with anyio.fail_after(20):
            while len(plugin.heard) < 2:  # noqa: ASYNC110 # another plugin's hook is waited for
                await anyio.sleep(0.01)
        assert [(event.kind, event.key) for event in plugin.heard] == [("set", "k"), ("miss", "none")]


async def test_events_are_kept_only_while_somebody_hears_them() -> None:
    config = {"host": {"allow": ["cache"]}, "plugins": {"cache": {"config": {"event_interval": 60}}}}
    async with Host("acme", config=config) as host:  # without the admin page, which hears them too
        caches: Any = host.use(CacheManager)

        async def kept() -> list[str]:
            await caches.default.set("k", 1)
            return [event.kind for event in caches.take_events()]

        assert await kept() == []
        await host.load_plugin(Listening())
        assert await kept() == ["set"]
        await host.reload_plugin("listening")
        assert await kept() == ["set"]
        await host.unload_plugin("listening")
        assert await kept() == []


async def test_plugins_say_what_is_to_be_warm() -> None:
    async with host_with({"event_interval": 60}) as host:
        plugin = Listening()
        await host.load_plugin(plugin)
        caches = host.use(CacheManager)
        money = caches.get("money")
        assert await caches.warm("money") == 1
        assert await money.get("rates") == {"EUR": 1.0}
        assert await caches.warm() >= 1


async def test_health_and_metrics_tell_how_it_does() -> None:
    async with host_with({}) as host:
        caches = host.use(CacheManager)
        await caches.default.get("none")
        report = await host.health()
        check = next(check for check in report.checks if check.plugin == "cache")
        assert check.status == "pass"
        families = [family for answer in await host.hooks.describe_metrics() for family in answer]
        misses = next(family for family in families if family.name == "cache_misses_total")
        assert [(sample.value, sample.labels) for sample in misses.samples] == [(1.0, {"cache": "default"})]


class TestWithRedis:
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    async def test_values_outlive_the_host(self, redis_url: str) -> None:
        for expected in (None, 1):
            async with host_with({"redis_url": redis_url, **PATIENT}) as host:
                caches = host.use(CacheManager)
                assert await caches.default.get("k") == expected
                await caches.default.set("k", 1)
                assert caches.status()["available"]

    async def test_what_plugins_want_warm_is_loaded_by_the_first_host_that_starts(
        self, redis_url: str
    ) -> None:
        plugins = [Listening(), Listening()]
        async with AsyncExitStack() as stack:
            for plugin in plugins:
                host = await stack.enter_async_context(host_with({"redis_url": redis_url, **PATIENT}))
                await host.load_plugin(plugin)
                money = host.use(CacheManager).get("money")
                with anyio.fail_after(20):
                    while await money.get("rates") is None:  # noqa: ASYNC110 - the cache does it by itself
                        await anyio.sleep(0.01)
                await anyio.sleep(0.05)  # for a load that was one too many
            assert [plugin.loads for plugin in plugins] == [1, 0]

    async def test_a_host_starts_without_its_redis_and_warns(self, own_server: Server) -> None:
        own_server.kill()
        async with host_with({"redis_url": own_server.url}) as host:
            caches = host.use(CacheManager)
            assert host.plugin("cache").state == "ready"  # type: ignore[union-attr]
            await caches.default.set("k", 1)
            assert await caches.default.get("k") == 1
            report = await host.health()
            check = next(check for check in report.checks if check.plugin == "cache")
            assert (check.name, check.status) == ("redis", "warn")
            own_server.start()
            with anyio.fail_after(20):
                while not caches.status()["available"]:  # noqa: ASYNC110 # the reconnect task is waited for
                    await anyio.sleep(0.01)

    async def test_a_password_is_shown_nowhere(self, caplog: pytest.LogCaptureFixture) -> None:
        url = "redis://user:hunter2@127.0.0.1:1/0"
        async with host_with({"redis_url": url}) as host:
            caches = host.use(CacheManager)
            shown = [caches.status(), host.plugin("cache"), await host.health(), caplog.text]
            assert "hunter2" not in repr(shown)
            assert "hunter2" not in repr(CachePlugin.Config(redis_url=url))  # type: ignore[misc]


async def test_redis_on_trio_is_refused_in_words(redis_url: str, anyio_backend: str) -> None:
    async with host_with({"redis_url": redis_url, **PATIENT}) as host:
        if anyio_backend == "asyncio":
            assert host.plugin("cache").state == "ready"  # type: ignore[union-attr]
            return
        failed = next(failed for failed in host.report.failed if failed.name == "cache")
        assert "asyncio" in failed.error.message
