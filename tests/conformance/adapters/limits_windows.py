"""``limits``: its tests of the moving window, on plughost's rate limits."""

from __future__ import annotations

import time
from contextlib import nullcontext

import pytest
from anyio import to_thread
from hosted import TIERS, host
from limits import RateLimitItem
from limits.util import WindowStats
from tests import utils

from plughost.contracts import RateLimiter

_each_tier = pytest.mark.parametrize(
    ("uri", "args", "fixture"), [(tier, {}, None) for tier in TIERS], ids=TIERS
)
for _name in ("all_storage", "moving_window_storage", "sliding_window_counter_storage"):
    setattr(utils, _name, _each_tier)
    setattr(utils, f"async_{_name}", _each_tier)

from tests import test_strategy  # noqa: E402  after what it is parametrized by
from tests.aio import test_strategy as aio_test_strategy  # noqa: E402


class MovingWindow:
    """A ``MovingWindowRateLimiter`` over a host's ``RateLimiter``."""

    def __init__(self, tier: str) -> None:
        self._limiter = host(tier).use(RateLimiter)

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return self._check(item, identifiers, cost=cost).allowed

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        return self._check(item, identifiers, cost=cost, peek=True).allowed

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        found = self._check(item, identifiers, cost=0, peek=True)
        return WindowStats(time.time() + found.reset_after, found.remaining)

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        self._limiter.reset(item.key_for(*identifiers), item.get_expiry(), item.amount)

    def _check(self, item, identifiers, **more):
        return self._limiter.check(item.key_for(*identifiers), item.get_expiry(), item.amount, **more)


class AsyncMovingWindow(MovingWindow):
    """The same for callers with a loop; the host has one of its own, so each call waits in a thread."""

    async def hit(self, item, *identifiers, cost=1):
        return await to_thread.run_sync(lambda: MovingWindow.hit(self, item, *identifiers, cost=cost))

    async def test(self, item, *identifiers, cost=1):
        return await to_thread.run_sync(lambda: MovingWindow.test(self, item, *identifiers, cost=cost))

    async def get_window_stats(self, item, *identifiers):
        return await to_thread.run_sync(lambda: MovingWindow.get_window_stats(self, item, *identifiers))

    async def clear(self, item, *identifiers):
        await to_thread.run_sync(lambda: MovingWindow.clear(self, item, *identifiers))


for _module, _limiter in ((test_strategy, MovingWindow), (aio_test_strategy, AsyncMovingWindow)):
    _module.MovingWindowRateLimiter = _limiter
    _module.storage_from_string = lambda uri, **_: uri


@pytest.fixture(autouse=True)
def _nothing_counted(uri):
    """Begin with nothing counted: the tests use the same keys again."""
    limiter = host(uri).use(RateLimiter)
    for identifiers in ((), ("key",), ("k1",), ("k2",)):
        for item in _ITEMS:
            limiter.reset(item.key_for(*identifiers), item.get_expiry(), item.amount)
    with nullcontext():
        yield


_ITEMS = [
    test_strategy.RateLimitItemPerSecond(10, 2),
    test_strategy.RateLimitItemPerMinute(2),
    test_strategy.RateLimitItemPerMinute(5),
    test_strategy.RateLimitItemPerSecond(1_000_000, 2),
    test_strategy.RateLimitItemPerHour(2, 1),
]


class TestMovingWindow(test_strategy.TestMovingWindow):
    pass


@pytest.mark.asyncio
class TestAsyncMovingWindow(aio_test_strategy.TestAsyncMovingWindow):
    pass
