"""How long values are fresh, when they are loaded anew, and what happens when that fails; on a clock of the test's."""

from __future__ import annotations

from typing import Any

import anyio
import cachetools
import pytest

from plughost.contracts import WarmEntry
from plughost.exceptions import ConfigError, LoadTimeoutError, StoreUnavailableError
from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.manager import NamedCaches
from plughost.plugins.cache.redis.link import RedisLink
from plughost.testing.clock import FakeClock
from plughost.testing.suites.cache_backend import Calls

from .conftest import PATIENT, shared

pytestmark = pytest.mark.anyio


async def settle() -> None:
    """Let what was begun in the background come to rest."""
    await anyio.wait_all_tasks_blocked()


async def test_a_value_near_its_end_is_loaded_anew_in_the_background(
    caches: NamedCaches, clock: FakeClock
) -> None:
    cache = caches.get("c", ttl=100, jitter=0)
    calls = Calls(1)
    await cache.get_or_set("k", calls, refresh_threshold=0.2)
    await clock.advance(79)
    await cache.get_or_set("k", calls, refresh_threshold=0.2)
    await settle()
    assert calls.count == 1
    await clock.advance(2)
    calls.value = 2
    assert await cache.get_or_set("k", calls, refresh_threshold=0.2) == 1  # nobody waits
    await settle()
    assert calls.count == 2
    assert await cache.get("k") == 2
    assert cache.stats().refreshes == 1
    await clock.advance(99)
    assert await cache.get("k") == 2  # a new life, not the rest of the old one


async def test_the_threshold_may_be_the_caches_own(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", ttl=100, jitter=0, refresh_threshold=0.5)
    calls = Calls(1)
    await cache.get_or_set("k", calls)
    await clock.advance(51)
    await cache.get_or_set("k", calls)
    await settle()
    assert calls.count == 2


async def test_a_refresh_that_fails_costs_nobody_anything_and_is_not_tried_at_once(
    caches: NamedCaches, clock: FakeClock
) -> None:
    cache = caches.get("c", ttl=100, jitter=0, refresh_threshold=0.5, stale_throttle=10)
    calls = Calls(1)
    await cache.get_or_set("k", calls)
    await clock.advance(60)
    calls.error = RuntimeError("source")
    for _ in range(5):
        assert await cache.get_or_set("k", calls) == 1
        await settle()
    assert calls.count == 2
    await clock.advance(11)
    await cache.get_or_set("k", calls)
    await settle()
    assert calls.count == 3


async def test_an_invalidation_wins_over_a_refresh(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", ttl=100, jitter=0, refresh_threshold=0.5)
    await cache.get_or_set("k", lambda: "old", tags=["t"])
    await clock.advance(60)
    calls = Calls("old")
    await cache.get_or_set("k", calls.held, tags=["t"])
    await calls.reached.wait()
    await cache.invalidate_tag("t")
    calls.go_on.set()
    await settle()
    assert await cache.get("k") is None
    assert cache.stats().discarded == 1


async def test_a_stale_value_has_its_bound(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", ttl=10, jitter=0, stale_for=20, stale_throttle=1)
    calls = Calls("old")
    await cache.get_or_set("k", calls)
    calls.error = RuntimeError("source")
    await clock.advance(15)
    assert await cache.get_or_set("k", calls) == "old"
    entry = await cache.entry("k")
    assert entry is not None
    assert (entry.stale, entry.ttl) == (True, pytest.approx(-5))
    await clock.advance(16)
    with pytest.raises(RuntimeError, match="source"):
        await cache.get_or_set("k", calls)


async def test_a_recovered_source_replaces_the_stale_value(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", ttl=10, jitter=0, stale_for=100, stale_throttle=5)
    calls = Calls("old")
    await cache.get_or_set("k", calls)
    await clock.advance(11)
    calls.error = RuntimeError("source")
    assert await cache.get_or_set("k", calls) == "old"
    calls.error, calls.value = None, "new"
    assert await cache.get_or_set("k", calls) == "old"
    await clock.advance(6)
    assert await cache.get_or_set("k", calls) == "new"


async def test_an_invalidated_value_is_not_served_stale(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", ttl=10, jitter=0, stale_for=100)
    await cache.get_or_set("k", lambda: "old", tags=["t"])
    await clock.advance(11)
    await cache.invalidate_tag("t")
    with pytest.raises(RuntimeError, match="source"):
        await cache.get_or_set("k", Calls(error=RuntimeError("source")), tags=["t"])


async def test_a_slow_load_is_not_waited_for_when_there_is_a_stale_value(clock: FakeClock) -> None:
    async with NamedCaches() as caches:
        cache = caches.get("c", ttl=0.02, jitter=0, stale_for=60, soft_timeout=0.01)
        await cache.get_or_set("k", lambda: "old")
        await anyio.sleep(0.03)
        calls = Calls("new")
        assert await cache.get_or_set("k", calls.held, ttl=60) == "old"
        calls.go_on.set()
        await settle()
        assert await cache.get("k") == "new"


async def test_a_load_has_a_limit() -> None:
    async with NamedCaches() as caches:
        cache = caches.get("c", load_timeout=0.01)
        with pytest.raises(LoadTimeoutError) as caught:
            await cache.get_or_set("k", anyio.sleep_forever)
        assert caught.value.limit == 0.01
        assert await cache.get_or_set("k", lambda: 1) == 1


async def test_a_source_that_keeps_failing_is_left_alone_for_a_while(
    caches: NamedCaches, clock: FakeClock
) -> None:
    cache = caches.get("c", load_failures=3, load_pause=10)
    calls = Calls(error=RuntimeError("source"))
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await cache.get_or_set("k", calls)
    for _ in range(5):
        with pytest.raises(StoreUnavailableError, match="3 times"):
            await cache.get_or_set("k", calls)
    assert calls.count == 3
    await clock.advance(10)
    calls.error = None
    assert await cache.get_or_set("k", calls) == "loaded"
    assert await cache.get_or_set("other", calls) == "loaded"


async def test_one_probe_alone_tries_a_source_that_failed(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", load_failures=1, load_pause=10)
    with pytest.raises(RuntimeError):
        await cache.get_or_set("k", Calls(error=RuntimeError("source")))
    await clock.advance(10)
    probe = Calls()
    refused: list[str] = []

    async def ask(key: str) -> None:
        try:
            await cache.get_or_set(key, probe.held)
        except StoreUnavailableError:
            refused.append(key)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(ask, f"k{number}")
        await probe.reached.wait()
        await settle()
        assert probe.count == 1
        assert len(refused) == 9
        probe.go_on.set()


async def test_nothing_found_may_live_shorter(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", ttl=100, negative_ttl=5)
    calls = Calls(None)
    await cache.get_or_set("k", calls)
    await cache.get_or_set("k", calls)
    assert calls.count == 1
    await clock.advance(6)
    await cache.get_or_set("k", calls)
    assert calls.count == 2
    never = caches.get("never", negative_ttl=0)
    await never.get_or_set("k", calls)
    await never.get_or_set("k", calls)
    assert calls.count == 4


async def test_what_is_loaded_together_ends_apart_and_never_late(
    caches: NamedCaches, clock: FakeClock
) -> None:
    cache = caches.get("c", ttl=100, jitter=0.1)
    for number in range(50):
        await cache.get_or_set(f"k{number}", lambda: 1)
    entries = [await cache.entry(f"k{number}") for number in range(50)]
    lives = {entry.ttl for entry in entries if entry is not None}
    assert len(lives) > 40
    assert all(90 <= life <= 100 for life in lives)
    await cache.set("exact", 1)
    exact = await cache.entry("exact")
    assert exact is not None
    assert exact.ttl == 100


async def test_a_key_is_kept_warm_while_it_is_read(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", ttl=100, jitter=0, idle_periods=2)
    calls = Calls(0)
    cache.keep_warm("k", calls, ttl=10)
    for _ in range(20):
        calls.value += 1
        await clock.advance(2)
        assert await cache.get("k") is not None
    assert 5 <= calls.count <= 8  # each 8 seconds at most, and up to a tenth earlier, looked at each 2
    assert cache.stats().misses == 0


async def test_a_key_nobody_reads_is_not_kept_warm_for_ever(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", jitter=0, idle_periods=2)
    calls = Calls()
    cache.keep_warm("k", calls, ttl=10)
    for _ in range(50):
        await clock.advance(2)
    assert calls.count <= 3
    assert cache.warmer.keys() == ()
    assert await cache.get("k") is None


async def test_keeping_warm_can_be_ended_and_survives_failures(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", jitter=0, idle_periods=100)
    calls = Calls(error=RuntimeError("source"))
    stop = cache.keep_warm("k", calls, ttl=10)
    await clock.advance(30)
    assert calls.count >= 3
    stop()
    stop()
    seen = calls.count
    await clock.advance(30)
    assert calls.count == seen


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_several_processes_keep_warm_is_loaded_by_one_of_them(redis_url: str) -> None:
    settings = CacheConfig(redis_url=redis_url, **PATIENT)
    loads = Calls("loaded")

    def one() -> NamedCaches:
        return NamedCaches(settings, clock=FakeClock(), link=RedisLink(settings))

    async with one() as here, one() as there:
        both = (here, there)
        for caches in both:
            caches.get("c", jitter=0).keep_warm("k", loads, ttl=2.0)
        assert await here.tick() == 1
        assert await there.tick() == 0
        assert await there.get("c").get("k") == "loaded"
        assert loads.count == 1
        await anyio.sleep(1.6)  # until it is due, by the server's time
        async with anyio.create_task_group() as tasks:
            for caches in both:
                tasks.start_soon(caches._clock.advance, 1.7)  # type: ignore[attr-defined]
        for caches in both:
            await caches.tick()
        assert loads.count == 2


async def test_a_value_is_computed_each_period_read_or_not(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c", jitter=0)
    calls = Calls()
    stop = cache.precompute("dashboard", calls, every=60)
    for _ in range(320):
        await clock.advance(2)
    assert 10 <= calls.count <= 13
    assert await cache.get("dashboard") == "loaded"
    assert [key.key for key in await cache.expected()] == ["dashboard"]
    stop()
    with pytest.raises(ValueError, match="every"):
        cache.precompute("k", calls, every=0)
    with pytest.raises(ValueError, match="warm"):
        cache.keep_warm("k", calls, ttl=0)


async def test_many_are_warmed_and_failures_are_counted(caches: NamedCaches) -> None:
    cache = caches.get("c")
    entries = [WarmEntry(key=f"k{number}", loader=lambda: 1, tags=("t",)) for number in range(10)]
    broken = WarmEntry(key="broken", loader=Calls(error=RuntimeError("source")))
    assert await cache.warm_many([*entries, broken]) == 10
    assert await cache.get("k3") == 1
    assert cache.stats().load_errors == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "ttl", [10**400, -(10**400), float("inf"), -float("inf")], ids=["+n", "-n", "+f", "-f"]
)
async def test_a_time_longer_than_any_is_the_longest_on_every_tier(redis_url: str, ttl: float) -> None:
    async with NamedCaches() as here, shared(redis_url) as there:
        for caches in (here, there):
            cache = caches.get("long")
            assert await cache.set("k", 1, ttl=ttl) is (ttl > 0)
            assert await cache.get("k") == (1 if ttl > 0 else None)
            assert await cache.increment("n", 2, ttl) == 2
            assert await cache.get("n") == (2 if ttl > 0 else None)


async def test_entries_and_bytes_are_bounded_and_evictions_have_a_cause(caches: NamedCaches) -> None:
    told: list[tuple[str, str]] = []
    few = caches.get("few", max_entries=3)
    few.on("evicted", lambda event: told.append((event.key, event.cause)))
    await few.set_many({"a": 1, "b": 2, "c": 3})
    await few.get("a")
    await few.set("d", 4)
    assert told == [("b", "size")]
    assert few.stats().evicted == {"size": 1}
    small = caches.get("small", max_bytes=1000)
    for number in range(10):
        await small.set(f"k{number}", "x" * 200)
    assert small.stats().bytes <= 1000
    assert small.stats().entries == 4
    assert small.stats().evicted == {"bytes": 6}
    assert not await small.set("k9", "x" * 2000)
    assert await small.get("k9") is None  # the old value does not stand in for the one that was too large
    assert small.stats().refused == 1


async def test_what_is_too_large_is_answered_and_not_kept(caches: NamedCaches) -> None:
    cache = caches.get("c", max_value_bytes=100, max_bytes=10_000)
    calls = Calls("x" * 200)
    assert await cache.get_or_set("k", calls) == "x" * 200
    assert await cache.get("k") is None
    assert cache.stats().refused == 1


async def test_expiry_is_told(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c")
    told: list[str] = []
    cache.on("expired", lambda event: told.append(event.key))
    await cache.set("k", 1, ttl=5)
    await cache.set("j", 1, ttl=5)
    await clock.advance(6)
    assert await cache.get("k") is None
    await cache.cleanup()
    assert sorted(told) == ["j", "k"]
    assert cache.stats().expired == 2


async def test_memory_is_cleaned_in_the_background(caches: NamedCaches, clock: FakeClock) -> None:
    cache = caches.get("c")
    await cache.set("k", 1, ttl=5)
    await clock.advance(61)
    assert cache.stats().entries == 0


async def test_an_asynchronous_listener_is_called(caches: NamedCaches) -> None:
    told: list[Any] = []

    async def listen(event: Any) -> None:
        told.append(event.key)
        raise RuntimeError("listener")

    caches.default.on("set", listen)
    await caches.default.set("k", 1)
    await settle()
    assert told == ["k"]


async def test_caches_have_settings_of_their_own() -> None:
    config = CacheConfig(ttl=10, caches={"tmdb": {"ttl": 3600, "policy": "lfu", "max_entries": 5}})
    caches = NamedCaches(config)
    assert caches.get("tmdb").stats().name == "tmdb"
    assert caches.get("tmdb", ttl=3600) is caches.get("tmdb")
    with pytest.raises(ConfigError, match="ttl"):
        caches.get("tmdb", ttl=5)
    with pytest.raises(ConfigError, match="max_entries"):
        caches.get("new", max_entry=5)
    with pytest.raises(ConfigError, match="name"):
        caches.get("a b")
    with pytest.raises(ValueError, match="max_entrie"):
        CacheConfig(caches={"x": {"max_entrie": 1}})
    for wrong in (
        {"ttl": 0},
        {"max_entries": 0},
        {"refresh_threshold": 1},
        {"jitter": -0.1},
        {"tier": "redis"},
    ):
        with pytest.raises(ValueError):
            CacheConfig(caches={"x": wrong})
    assert caches.names() == ("tmdb",)


async def test_any_cachetools_cache_is_a_policy() -> None:
    caches = NamedCaches()
    told: list[str] = []
    cache = caches.get("c", policy="cachetools:FIFOCache", max_entries=2)
    cache.on("evicted", lambda event: told.append(event.key))
    await cache.set_many({"a": 1, "b": 2})
    await cache.get("a")
    await cache.set("c", 3)
    assert told == ["a"]
    await cache.clear()
    assert told == ["a"]
    for wrong in ("fifo", "cachetools:Nothing", "nowhere:Cache", cachetools.TTLCache, 3):
        with pytest.raises(ConfigError):
            NamedCaches().get("x", policy=wrong)


async def test_objects_may_live_in_memory_by_reference() -> None:
    cache = NamedCaches().get("c", values="objects")
    thing = object()
    await cache.set("k", thing)
    assert await cache.get("k") is thing


async def test_a_model_of_pydantic_is_refused_with_what_does_work(caches: NamedCaches) -> None:
    class Model:
        def model_dump(self) -> dict[str, int]:
            return {"n": 1}

    with pytest.raises(TypeError, match=r"model_dump\(\)"):
        await caches.default.set("k", Model())
