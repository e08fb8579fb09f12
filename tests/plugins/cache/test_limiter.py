"""Rate limits: never more than the limit in any window, in memory and in Redis alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import limits as oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plughost.contracts import Limit
from plughost.http.rates import EXACT, PARTS, WindowCounts
from plughost.plugins.cache.limiter import Limiter
from plughost.plugins.cache.redis.limiter import RedisLimits
from plughost.plugins.cache.redis.link import RedisLink
from plughost.testing.clock import FakeClock
from servers import Server

from .conftest import shared

pytestmark = pytest.mark.anyio


class LimiterPromises:
    async def test_the_limit_is_the_limit(self, limiter: Limiter) -> None:
        results = [await limiter.check("k", window=60, limit=3) for _ in range(5)]
        assert [result.allowed for result in results] == [True, True, True, False, False]
        assert [result.remaining for result in results] == [2, 1, 0, 0, 0]
        assert 59 < results[3].retry_after <= 60
        assert 59 < results[3].reset_after <= 60
        assert results[0].retry_after == 0
        assert bool(results[2])
        assert not results[3]

    async def test_above_a_thousand_parts_are_counted(self, limiter: Limiter) -> None:
        assert (await limiter.check("k", window=60, limit=5000, cost=4999)).remaining == 1
        assert (await limiter.check("k", window=60, limit=5000)).allowed
        refused = await limiter.check("k", window=60, limit=5000)
        assert not refused.allowed
        assert 54 < refused.retry_after <= 66

    async def test_a_cost_counts_for_several(self, limiter: Limiter) -> None:
        assert (await limiter.check("k", window=60, limit=10, cost=7)).remaining == 3
        assert not (await limiter.check("k", window=60, limit=10, cost=4)).allowed
        assert (await limiter.check("k", window=60, limit=10, cost=3)).allowed

    @pytest.mark.parametrize("limit", [10, EXACT + 500])
    async def test_a_cost_above_the_limit_is_never_allowed_and_counts_nothing(
        self, limiter: Limiter, limit: int
    ) -> None:
        await limiter.check("k", 60, limit, cost=3)
        result = await limiter.check("k", 60, limit, cost=limit + 1)
        assert (result.allowed, result.remaining, result.retry_after) == (False, limit - 3, 60)
        both = [("k", Limit(limit=limit, window=60)), ("other", Limit(limit=10 * limit, window=60))]
        assert not (await limiter.check_all(both, cost=limit + 1)).allowed
        assert (await limiter.check("k", 60, limit, cost=limit - 3)).allowed

    async def test_peeking_counts_nothing(self, limiter: Limiter) -> None:
        for _ in range(5):
            assert (await limiter.check("k", window=60, limit=1, peek=True)).allowed
        assert (await limiter.check("k", window=60, limit=1, cost=0)).remaining == 1
        assert (await limiter.check("k", window=60, limit=1)).allowed

    async def test_keys_and_windows_are_counted_apart(self, limiter: Limiter) -> None:
        assert (await limiter.check("a", window=60, limit=1)).allowed
        assert (await limiter.check("b", window=60, limit=1)).allowed
        assert (await limiter.check("a", window=30, limit=1)).allowed
        assert not (await limiter.check("a", window=60, limit=1)).allowed

    async def test_several_limits_are_counted_all_or_none(self, limiter: Limiter) -> None:
        tight, wide = Limit(limit=1, window=60, name="tight"), Limit(limit=10, window=60, name="wide")
        assert (await limiter.check_all({"a": tight, "b": wide})).name == "tight"
        refused = await limiter.check_all([("a", tight), ("b", wide)])
        assert not refused.allowed
        assert refused.name == "tight"
        assert (await limiter.check("b", window=60, limit=10, peek=True)).remaining == 9

    async def test_callers_at_once_get_no_more_than_the_limit(self, limiter: Limiter) -> None:
        allowed: list[bool] = []

        async def ask() -> None:
            allowed.append((await limiter.check("k", window=60, limit=10)).allowed)

        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(ask)
        assert sum(allowed) == 10

    async def test_what_was_counted_can_be_forgotten(self, limiter: Limiter) -> None:
        await limiter.check("k", window=60, limit=1)
        await limiter.reset("k", window=60, limit=1)
        assert (await limiter.check("k", window=60, limit=1)).allowed

    async def test_ready_made_limits_are_asked_by_name(self, limiter: Limiter) -> None:
        assert (await limiter.check_named("chat", "user:1")).limit == 2
        assert (await limiter.check_named("chat", "user:1")).remaining == 0
        assert not (await limiter.check_named("chat", "user:1")).allowed
        assert (await limiter.check_named("chat", "user:2")).allowed
        assert limiter.limits["chat"].limit == 2
        with pytest.raises(LookupError, match="chat"):
            await limiter.check_named("chap", "user:1")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"limit": 0},
            {"limit": True},
            {"window": 0},
            {"window": -1},
            {"cost": -1},
            {"limit": 1.5},
        ],
    )
    async def test_what_makes_no_sense_is_refused(self, limiter: Limiter, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError):
            await limiter.check("k", **{"window": 60, "limit": 10, **wrong})


NAMED = {"chat": Limit(limit=2, window=60, outage="open", name="chat")}


class TestInMemory(LimiterPromises):
    @pytest.fixture
    def limiter(self, clock: FakeClock) -> Limiter:
        return Limiter(named=NAMED, clock=clock)

    async def test_retry_after_is_when_it_succeeds(self, limiter: Limiter, clock: FakeClock) -> None:
        await limiter.check("k", window=10, limit=2)
        await clock.advance(4)
        await limiter.check("k", window=10, limit=2)
        refused = await limiter.check("k", window=10, limit=2)
        assert refused.retry_after == pytest.approx(6)
        await clock.advance(5.99)
        assert not (await limiter.check("k", window=10, limit=2)).allowed
        await clock.advance(0.01)
        assert (await limiter.check("k", window=10, limit=2)).allowed

    async def test_what_is_over_takes_no_room(self, limiter: Limiter, clock: FakeClock) -> None:
        for number in range(3000):
            await limiter.check(f"k{number}", window=1, limit=1)
            if number % 100 == 0:
                await clock.advance(1)
        assert len(limiter._local) < 2500


class TestInRedis(LimiterPromises):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    async def limiter(self, redis_url: str) -> AsyncIterator[Limiter]:
        async with shared(redis_url) as caches:
            assert isinstance(caches.link, RedisLink)
            yield Limiter(RedisLimits(caches.link, "plughost"), NAMED)
            assert caches.link.available

    async def test_a_use_leaves_the_window(self, limiter: Limiter) -> None:
        assert (await limiter.check("k", window=0.05, limit=1)).allowed
        refused = await limiter.check("k", window=0.05, limit=1)
        await anyio.sleep(refused.retry_after + 0.001)
        assert (await limiter.check("k", window=0.05, limit=1)).allowed

    async def test_an_outage_is_met_as_each_limit_says(self, own_server: Server) -> None:
        async with shared(own_server.url) as caches:
            assert isinstance(caches.link, RedisLink)
            limiter = Limiter(RedisLimits(caches.link, "plughost"))
            own_server.kill()
            local = [await limiter.check("a", window=60, limit=1, outage="local") for _ in range(2)]
            assert [result.allowed for result in local] == [True, False]
            assert all(
                [(await limiter.check("b", window=60, limit=1, outage="open")).allowed for _ in range(3)]
            )
            closed = await limiter.check("c", window=60, limit=1, outage="closed")
            assert not closed.allowed
            assert closed.retry_after > 0
            assert closed.degraded


STEPS = st.lists(
    st.tuples(st.floats(min_value=0, max_value=4), st.integers(min_value=1, max_value=3)), max_size=40
)


@given(steps=STEPS, limit=st.integers(min_value=3, max_value=6), large=st.booleans())
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_window_ever_has_more_than_the_limit(
    steps: list[tuple[float, int]], limit: int, large: bool
) -> None:
    async def run() -> None:
        clock = FakeClock()
        store = WindowCounts(clock)
        scale = EXACT if large else 1
        asked = Limit(limit=limit * scale, window=5.0)
        uses: list[tuple[float, int]] = []
        for pause, cost in steps:
            clock._now += pause
            now = clock.monotonic()
            (result,) = store.check([("k", asked)], cost * scale)
            inside = sum(count for moment, count in uses if moment > now - asked.window)
            near = sum(count for moment, count in uses if moment > now - asked.window * (1 + 2 / PARTS))
            if result.allowed:
                uses.append((now, cost * scale))
                assert inside + cost * scale <= asked.limit
            else:
                # Refused with reason: exactly so for a log, within one part of the window for parts.
                assert (near if large else inside) + cost * scale > asked.limit

    anyio.run(run)


@given(steps=STEPS, limit=st.integers(min_value=3, max_value=6))
@settings(max_examples=50, deadline=None)
def test_another_library_decides_the_same(steps: list[tuple[float, int]], limit: int) -> None:
    """``limits`` keeps a moving window too; its clock is the wall's, so both are asked within one instant."""

    async def run() -> None:
        store = WindowCounts()
        other = oracle.strategies.MovingWindowRateLimiter(oracle.storage.MemoryStorage())
        item = oracle.RateLimitItemPerHour(limit)
        for _, cost in steps:
            (result,) = store.check([("k", Limit(limit=limit, window=3600))], cost)
            assert result.allowed == other.hit(item, "k", cost=cost)

    anyio.run(run)
