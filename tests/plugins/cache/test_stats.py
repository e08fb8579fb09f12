"""Every figure moves when its cause happens: a figure that cannot move lies to whoever reads it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import anyio
import pytest

from plughost.contracts import CacheStats
from plughost.plugins.cache import manager
from plughost.plugins.cache.manager import NamedCaches
from plughost.testing.clock import FakeClock

from .conftest import shared

pytestmark = pytest.mark.anyio

_TOLD_BY_REDIS = {"backend", "available", "corrupt", "fallback"}


async def make_all_happen(cache: Any, clock: FakeClock) -> None:
    """Have a small cache go through everything that is counted without Redis."""
    await cache.set("a", 1, tags=["t"])
    await cache.get("a")
    await cache.get("nothing")
    await cache.delete("a")
    await cache.invalidate_tag("t")
    await cache.set("large", "x" * 100_000)

    async def slow() -> int:
        await clock.advance(0.5)
        return 1

    async def failing() -> int:
        raise RuntimeError("the source is away")

    await cache.get_or_set("slow", slow)
    await cache.get_or_set("old", lambda: 1, ttl=1, stale_for=60)
    await clock.advance(2)
    await cache.get_or_set("old", failing, ttl=1, stale_for=60)
    await cache.get_or_set("fresh", lambda: 1, ttl=10)
    await clock.advance(9)
    await cache.get_or_set("fresh", lambda: 2, ttl=10, refresh_threshold=0.5)
    await anyio.wait_all_tasks_blocked()
    await load_at_once(cache)
    await cache.set("gone", 1, ttl=1)
    await clock.advance(2)
    await cache.get("gone")
    for number in range(10):
        await cache.set(f"k{number}", number)
    await clock.advance(1)


async def load_at_once(cache: Any) -> None:
    """Two want the same while an invalidation overtakes its load."""
    go_on = anyio.Event()

    async def held() -> int:
        await go_on.wait()
        return 1

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(cache.get_or_set, "held", held)
        await anyio.wait_all_tasks_blocked()
        await cache.invalidate_tag("t")
        await cache.clear()
        go_on.set()


@pytest.mark.parametrize("name", sorted({field.name for field in fields(CacheStats)} - _TOLD_BY_REDIS))
async def test_a_figure_moves_when_its_cause_happens(
    name: str, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "_LONGEST_QUEUE", 4)
    async with NamedCaches(clock=clock, collect_events=True) as caches:
        cache = caches.get("small", max_entries=3, max_bytes=10_000, max_value_bytes=1000)
        await make_all_happen(cache, clock)
        assert getattr(cache.stats(), name) != getattr(CacheStats(name=""), name)


async def test_dropped_events_are_counted_against_the_cache_they_were_about(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager, "_LONGEST_QUEUE", 4)
    async with NamedCaches(clock=clock, collect_events=True) as caches:
        for number in range(7):
            await caches.get("busy").set(f"k{number}", 1)
        for number in range(2):
            await caches.get("calm").set(f"k{number}", 1)
        lost = {name: stats.lost_events for name, stats in caches.stats().items()}
        assert lost["busy"] == 5
        assert lost["calm"] == 0
        caches.reset_stats()
        assert caches.get("busy").stats().lost_events == 0


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_time_without_redis_is_told_and_reset(own_server: Any) -> None:
    async with shared(own_server.url) as caches:
        cache = caches.get("films")
        with anyio.fail_after(10):
            while not cache.stats().available:  # noqa: ASYNC110 - a real server says nothing when it is there
                await anyio.sleep(0.01)
        before = cache.stats()
        assert before.backend == "tiered"
        own_server.kill()
        with anyio.fail_after(10):
            while cache.stats().available or cache.stats().fallback <= before.fallback:
                await cache.get("k")
                await anyio.sleep(0.01)
        told = cache.stats().fallback
        assert told > before.fallback
        cache.reset_stats()
        assert cache.stats().fallback < told


async def test_an_event_is_made_when_somebody_takes_it_and_not_with_every_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    plain = manager.CacheEvent
    from plughost.plugins.cache import listeners

    def counted(**of: Any) -> Any:
        made.append(of["key"])
        return plain(**of)

    monkeypatch.setattr(manager, "CacheEvent", counted)
    monkeypatch.setattr(listeners, "CacheEvent", counted)
    caches = NamedCaches(collect_events=True)
    for key in ("a", "b"):
        await caches.get("quiet").set(key, 1)
    assert made == []
    events = caches.take_events()
    assert [(one.cache, one.key, one.kind, one.cause) for one in events] == [
        ("quiet", "a", "set", ""),
        ("quiet", "b", "set", ""),
    ]
    heard: list[Any] = []
    caches.get("quiet").on("set", heard.append)
    await caches.get("quiet").set("c", 1)
    assert [one.key for one in heard] == ["c"]


@pytest.mark.parametrize(
    "value", [2**70, [2**70], {"n": {"m": [2**64, 1]}}, {"t": (1, 2)}, {1: "a"}, [float("inf")]]
)
async def test_a_value_in_memory_comes_back_as_it_is_and_is_nobody_elses(value: Any) -> None:
    cache = NamedCaches().get("values")
    await cache.set("k", value)
    found = await cache.get("k")
    assert (found, type(found)) == (value, type(value))
    assert isinstance(value, int) or found is not value


async def test_a_value_with_no_time_to_live_takes_away_what_was_there() -> None:
    caches = NamedCaches(collect_events=True)
    cache = caches.get("brief")
    await cache.set("k", 1)
    assert not await cache.set("k", 2, ttl=0)
    assert await cache.get("k") is None
    assert [one.kind for one in caches.take_events()] == ["set", "deleted", "miss"]
