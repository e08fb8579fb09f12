"""Locks: one holder, told when it is not any more, and none left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import fields

import anyio
import pytest

from plughost.contracts import SYSTEM_CLOCK, LockStats
from plughost.exceptions import LockLostError, LockTimeoutError, StoreUnavailableError
from plughost.plugins.cache.locks import Locks, MemoryLocks
from plughost.plugins.cache.redis.link import RedisLink
from plughost.plugins.cache.redis.locks import RedisLocks
from plughost.testing.clock import FakeClock
from servers import Server

from .conftest import BRISK, shared

pytestmark = pytest.mark.anyio


class LockPromises:
    """What both kinds keep; ``other`` is a second process, as far as the store can tell."""

    async def test_a_lock_has_one_holder(self, locks: Locks, other: Locks) -> None:
        lock = await locks.acquire("l", lease=30)
        assert lock is not None
        assert await other.acquire("l", lease=30, wait=0) is None
        assert await locks.release(lock)
        assert await other.acquire("l", lease=30) is not None

    async def test_the_fencing_token_grows_with_each_holder(self, locks: Locks, other: Locks) -> None:
        tokens = []
        for manager in (locks, other, locks):
            async with manager.hold("l") as lock:
                tokens.append(lock.token)
        assert tokens == sorted(set(tokens))

    async def test_a_waiter_is_woken_by_the_release(self, locks: Locks, other: Locks) -> None:
        lock = await locks.acquire("l", lease=30)
        got: list[object] = []

        async def wait() -> None:
            got.append(await other.acquire("l", lease=30, wait=20))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert await locks.release(lock)  # type: ignore[arg-type]
        assert got[0] is not None

    async def test_a_stranger_cannot_release(self, locks: Locks, other: Locks) -> None:
        first = await locks.acquire("l", lease=30)
        assert first is not None
        await locks.release(first)
        second = await other.acquire("l", lease=30)
        assert not await locks.release(first)
        assert second is not None
        assert not second.lost
        assert await locks.acquire("l", wait=0) is None

    async def test_a_task_that_would_wait_for_itself_is_told(self, locks: Locks) -> None:
        async with locks.hold("l"):
            with pytest.raises(RuntimeError, match="already"):
                await locks.acquire("l", wait=None)

    async def test_whoever_holds_a_lock_and_asks_without_waiting_gets_none(self, locks: Locks) -> None:
        lock = await locks.acquire("l")
        assert lock is not None
        assert await locks.acquire("l", wait=0) is None
        with pytest.raises(RuntimeError, match="wait for itself"):
            await locks.acquire("l", wait=1)
        with pytest.raises(RuntimeError, match="wait for itself"):
            await locks.acquire("l", wait=None)

    async def test_a_task_at_the_address_of_one_that_ended_is_no_holder(self, locks: Locks) -> None:
        async def take() -> None:
            assert await locks.acquire("l", lease=60) is not None

        async with anyio.create_task_group() as group:
            group.start_soon(take)
        waited: list[bool] = []

        async def try_it() -> None:
            with anyio.move_on_after(0.01) as scope:
                await locks.acquire("l", wait=None)
            waited.append(scope.cancelled_caught)

        for _ in range(20):
            async with anyio.create_task_group() as group:
                group.start_soon(try_it)
        assert waited == [True] * 20

    async def test_hold_gives_up_in_time(self, locks: Locks, other: Locks) -> None:
        async with locks.hold("l"):
            with pytest.raises(LockTimeoutError):
                async with other.hold("l", wait=0):
                    pytest.fail("two holders")

    async def test_an_error_in_the_body_comes_out_as_it_is_and_frees_the_lock(self, locks: Locks) -> None:
        with pytest.raises(ValueError, match="body"):
            async with locks.hold("l"):
                raise ValueError("body")
        assert await locks.acquire("l") is not None

    async def test_a_cancelled_holder_leaves_no_lock(self, locks: Locks, other: Locks) -> None:
        with anyio.CancelScope() as scope:
            async with locks.hold("l"):
                scope.cancel()
                await anyio.sleep_forever()
        assert await other.acquire("l") is not None

    async def test_a_cancelled_waiter_leaves_no_lock(self, locks: Locks, other: Locks) -> None:
        for turns in range(12):  # cancelled at each step of its way
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: locks.acquire("l", lease=30, wait=None))
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            for lock in tuple(locks._held.values()):
                await locks.release(lock)
            with anyio.fail_after(10):
                lock = await other.acquire("l", lease=30, wait=5)
            assert lock is not None
            await other.release(lock)

    async def test_statistics_count(self, locks: Locks, other: Locks) -> None:
        async with locks.hold("l", lease=20):
            await other.acquire("l")
            stats = await locks.stats()
            assert (stats.held, stats.acquired) == (1, 1)
            assert stats.names is not None
            assert 0 < stats.names["l"] <= 20
        assert (await locks.stats()).released == 1
        assert (await other.stats()).refused == 1

    @staticmethod
    async def waits_in_vain(locks: Locks, name: str, pass_time: Callable[[float], Awaitable[object]]) -> bool:
        got: list[object] = []

        async def wait() -> None:
            got.append(await locks.acquire(name, wait=0.05))

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            await pass_time(0.1)
        return got == [None]

    @pytest.mark.parametrize("name", sorted({field.name for field in fields(LockStats)} - {"backend"}))
    async def test_a_figure_moves_when_its_cause_happens(
        self, locks: Locks, other: Locks, name: str, pass_time: Callable[[float], Awaitable[object]]
    ) -> None:
        before = await locks.stats()
        async with other.hold("taken"):
            assert await self.waits_in_vain(locks, "taken", pass_time)
        kept = await locks.acquire("kept", lease=100)
        assert kept is not None
        assert await kept.extend()
        gone = await locks.acquire("gone", lease=100)
        assert gone is not None
        assert await locks._store.free("gone", gone.secret)  # as an operator who deletes the key
        assert not await gone.extend()
        async with locks.hold("done"):
            pass
        after = await locks.stats()
        assert getattr(after, name) != getattr(before, name)
        assert after.names is not None
        assert set(after.names) == {"kept"}

    async def test_each_acquisition_is_held_released_or_lost_and_only_one_of_them(
        self, locks: Locks, pass_time: Callable[[float], Awaitable[object]]
    ) -> None:
        let_go = [await locks.acquire(f"let-go-{number}", lease=100) for number in range(3)]
        late = [await locks.acquire(f"late-{number}", lease=0.2) for number in range(2)]
        await locks.acquire("forgotten", lease=0.2)
        await locks.acquire("held", lease=100)
        await pass_time(0.3)
        told = await locks.stats()
        assert (told.acquired, told.held, told.released, told.lost) == (7, 4, 0, 3)
        assert [await locks.release(lock) for lock in (*let_go, *late, *let_go)] == [True] * 3 + [False] * 5
        told = await locks.stats()
        assert (told.acquired, told.held, told.released, told.lost) == (7, 1, 3, 3)

    @pytest.mark.parametrize("lease", [0, -1])
    async def test_a_lease_is_above_zero(self, locks: Locks, lease: float) -> None:
        with pytest.raises(ValueError, match="lease"):
            await locks.acquire("l", lease=lease)


class TestInMemory(LockPromises):
    @pytest.fixture
    def store(self, clock: FakeClock) -> MemoryLocks:
        return MemoryLocks(clock)

    @pytest.fixture
    def pass_time(self, clock: FakeClock) -> Callable[[float], Awaitable[object]]:
        return clock.advance

    @pytest.fixture
    def locks(self, store: MemoryLocks, clock: FakeClock) -> Locks:
        return Locks(store, clock)

    @pytest.fixture
    def other(self, store: MemoryLocks, clock: FakeClock) -> Locks:
        return Locks(store, clock)

    async def test_a_lease_runs_out(self, locks: Locks, other: Locks, clock: FakeClock) -> None:
        lock = await locks.acquire("l", lease=5)
        assert lock is not None
        await clock.advance(5)
        assert lock.lost
        assert not await lock.extend()
        assert await other.acquire("l", lease=5) is not None
        assert not await locks.release(lock)

    async def test_hold_outlasts_its_lease(self, locks: Locks, other: Locks, clock: FakeClock) -> None:
        async with locks.hold("l", lease=3) as lock:
            for _ in range(10):
                await clock.advance(1)
            assert not lock.lost
            assert await other.acquire("l") is None
            assert (await locks.stats()).extended >= 9

    async def test_a_body_whose_lock_is_lost_is_cancelled_and_told(
        self, locks: Locks, store: MemoryLocks, clock: FakeClock
    ) -> None:
        lost: list[str] = []
        async with anyio.create_task_group() as group:
            group.start_soon(self._advance_after_theft, store, clock)
            try:
                async with locks.hold("l", lease=3):
                    await anyio.sleep_forever()
            except LockLostError as error:
                lost.append(error.name)
        assert lost == ["l"]

    @staticmethod
    async def _advance_after_theft(store: MemoryLocks, clock: FakeClock) -> None:
        await anyio.wait_all_tasks_blocked()
        store._taken.clear()
        await clock.advance(2)

    async def test_leases_that_ran_out_are_cleaned_up(self, locks: Locks, clock: FakeClock) -> None:
        await locks.acquire("a", lease=1)
        await locks.acquire("b", lease=100)
        await clock.advance(2)
        assert await locks.cleanup() == 1
        assert (await locks.stats()).lost == 1


class TestInRedis(LockPromises):
    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def pass_time(self) -> Callable[[float], Awaitable[object]]:
        return anyio.sleep

    @pytest.fixture
    async def locks(self, redis_url: str) -> AsyncIterator[Locks]:
        async with redis_locks(redis_url) as locks:
            yield locks

    @pytest.fixture
    async def other(self, redis_url: str) -> AsyncIterator[Locks]:
        async with redis_locks(redis_url) as locks:
            yield locks

    async def test_tokens_grow_although_the_server_forgot(self, locks: Locks, redis_server: Server) -> None:
        async with locks.hold("l") as lock:
            before = lock.token
        redis_server.command("FLUSHALL")
        async with locks.hold("l") as lock:
            assert lock.token > before

    async def test_a_lock_the_server_forgot_is_lost(self, locks: Locks, redis_server: Server) -> None:
        async def hold_until_lost() -> None:
            async with locks.hold("l", lease=0.3):
                redis_server.command("FLUSHALL")
                with anyio.fail_after(20):
                    await anyio.sleep_forever()

        with pytest.raises(LockLostError):
            await hold_until_lost()

    async def test_without_redis_nobody_gets_a_lock(self, own_server: Server) -> None:
        async with redis_locks(own_server.url) as locks:
            own_server.kill()
            with pytest.raises(StoreUnavailableError):
                await locks.acquire("l")

    async def test_a_short_outage_does_not_lose_a_long_lease(self, own_server: Server) -> None:
        async with redis_locks(own_server.url) as locks, locks.hold("l", lease=30) as lock:
            own_server.pause()
            with pytest.raises(StoreUnavailableError):
                await lock.extend()
            own_server.resume()
            await until(lambda: _is_there(locks))
            assert await lock.extend()
            assert not lock.lost


async def _is_there(locks: Locks) -> bool:
    try:
        probe = await locks.acquire("probe", lease=1)
    except StoreUnavailableError:
        return False
    return probe is not None


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that will be."""
    with anyio.fail_after(20):
        while not await condition():  # noqa: ASYNC110 # the reconnect task is waited for
            await anyio.sleep(0.01)


def redis_locks(url: str) -> _RedisLocks:
    return _RedisLocks(url)


class _RedisLocks:
    def __init__(self, url: str) -> None:
        self._caches = shared(url, **BRISK)

    async def __aenter__(self) -> Locks:
        await self._caches.__aenter__()
        link = self._caches.link
        assert isinstance(link, RedisLink)
        assert link.available
        return Locks(RedisLocks(link, "plughost"), SYSTEM_CLOCK)

    async def __aexit__(self, *_: object) -> None:
        await self._caches.__aexit__(None, None, None)
