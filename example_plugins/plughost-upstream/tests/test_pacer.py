"""Who goes when. Time is the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from fake_service import until

from plughost.contracts import CacheManager, Limit, RateLimiter
from plughost.testing import FakeClock, HostMaker, redis_server
from plughost_upstream.pacer import Pacer, limit_of
from plughost_upstream.protocols import Pace, Priority, UpstreamBusyError, UpstreamUnavailableError
from plughost_upstream.queue import Waiter

pytestmark = pytest.mark.anyio

SHARED = Pace("tmdb:shared", 2)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Track:
    """A pacer, and who came through it when."""

    def __init__(self, clock: FakeClock, pacer: Pacer, tasks: anyio.abc.TaskGroup) -> None:
        self.clock, self.pacer, self.tasks = clock, pacer, tasks
        self.through: list[tuple[str, float]] = []
        self.refused: list[tuple[str, UpstreamBusyError]] = []

    async def ask(
        self, name: str, *, pace: Pace = SHARED, priority: Priority = "person", user: str = "", deadline: float = 8.0,
        ceiling: Limit | None = None,
    ) -> None:  # fmt: skip
        """Begin to wait in the background."""
        limits = [] if ceiling is None else [("upstream:x", ceiling)]

        async def wait() -> None:
            waiter = Waiter(priority, user, self.clock.monotonic() + deadline, limits)
            try:
                await self.pacer.turn(pace, limits, waiter)
                self.through.append((name, self.clock.monotonic()))
            except UpstreamBusyError as error:
                self.refused.append((name, error))

        self.tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()

    def names(self) -> list[str]:
        return [name for name, _ in self.through]


@asynccontextmanager
async def track() -> AsyncIterator[Track]:
    clock = FakeClock()
    pacer = Pacer(clock, lambda: None)
    async with anyio.create_task_group() as tasks:
        await tasks.start(pacer.run)
        yield Track(clock, pacer, tasks)
        tasks.cancel_scope.cancel()


async def test_no_second_has_more_calls_than_the_pace(anyio_backend: str) -> None:
    async with track() as on:
        for number in range(10):
            await on.ask(str(number))
        await on.clock.advance(10)
        assert len(on.through) == 10
        moments = [moment for _, moment in on.through]
        assert all(later - earlier >= 1.0 for earlier, later in zip(moments, moments[2:], strict=False))
        assert moments[-1] < 5


async def test_persons_go_before_caches_and_caches_before_jobs(anyio_backend: str) -> None:
    async with track() as on:
        await on.ask("first")
        await on.ask("second")
        for priority in ("sync", "warm", "person", "sync", "warm", "person"):
            await on.ask(priority, priority=priority)
        await on.clock.advance(8)
        assert on.names()[2:] == ["person", "person", "warm", "warm", "sync", "sync"]


async def test_a_user_who_asks_much_does_not_hold_up_one_who_asks_once(anyio_backend: str) -> None:
    async with track() as on:
        for number in range(8):
            await on.ask(f"much{number}", user="much")
        await on.ask("once", user="once")
        await on.clock.advance(8)
        assert on.names().index("once") <= 4
        assert len(on.through) == 9


async def test_who_would_not_come_in_time_is_told_at_once_how_long_to_wait(anyio_backend: str) -> None:
    async with track() as on:
        for number in range(40):
            await on.ask(str(number))
        refused = [error for _, error in on.refused]
        assert len(refused) == 40 - 16  # two at once, and two each second before the eighth
        assert all(error.retry_after is not None and error.retry_after >= 7 for error in refused)
        await on.clock.advance(10)
        assert len(on.through) == 16


async def test_the_queue_is_bounded_and_a_person_takes_the_place_of_a_job(anyio_backend: str) -> None:
    slow = Pace("slow", 20)
    async with track() as on:
        for number in range(130):
            await on.ask(str(number), pace=slow, priority="sync", deadline=1000)
        assert on.pacer.figures()["slow"].waiting == 100
        assert len(on.refused) == 10
        await on.ask("person", pace=slow, deadline=1000)
        assert on.pacer.figures()["slow"].waiting == 100
        assert len(on.refused) == 11
        await on.clock.advance(1)
        assert "person" in on.names()


async def test_who_gives_up_waits_no_longer(anyio_backend: str) -> None:
    async with track() as on:
        for name in ("a", "b"):
            await on.ask(name)
        with anyio.CancelScope() as scope:

            async def leave() -> None:
                await anyio.wait_all_tasks_blocked()
                scope.cancel()

            on.tasks.start_soon(leave)
            await on.pacer.turn(SHARED, [], Waiter("person", "", 8.0))
        assert on.pacer.figures()["tmdb:shared"].waiting == 0
        await on.ask("c")
        await on.clock.advance(1.1)
        assert on.names() == ["a", "b", "c"]


async def test_a_429_stops_the_pace_as_long_as_it_says_and_halves_it(anyio_backend: str) -> None:
    own = Pace("tmdb:own", 20)
    async with track() as on:
        await on.ask("before", pace=own)
        on.pacer.pause(own, 5)
        on.pacer.pause(own, 5)  # a second answer to calls that were under way together
        assert on.pacer.figures()["tmdb:own"].rate == 10
        await on.ask("impatient", pace=own, deadline=4)
        assert [name for name, _ in on.refused] == ["impatient"]
        assert on.refused[0][1].retry_after == pytest.approx(5)
        for number in range(15):
            await on.ask(str(number), pace=own)
        await on.clock.advance(4.9)
        assert on.names() == ["before"]
        await on.clock.advance(0.2)
        assert len(on.through) == 11
        await on.clock.advance(1)
        assert len(on.through) == 16


async def test_who_already_waits_is_turned_away_when_a_pause_is_too_long_for_it(anyio_backend: str) -> None:
    async with track() as on:
        for number in range(6):
            await on.ask(str(number))
        on.pacer.pause(SHARED, 60)
        await anyio.wait_all_tasks_blocked()
        assert len(on.refused) == 4
        assert on.refused[0][1].retry_after == pytest.approx(60)


async def test_the_rate_comes_back_by_a_tenth_each_minute(anyio_backend: str) -> None:
    own = Pace("tmdb:own", 20)
    async with track() as on:
        await on.ask("a", pace=own)
        on.pacer.pause(own, 1)
        rates = []
        for _ in range(9):
            await on.clock.advance(60)
            await on.ask("x", pace=own)
            rates.append(round(on.pacer.figures()["tmdb:own"].rate, 1))
        assert rates == [11.0, 12.1, 13.3, 14.6, 16.1, 17.7, 19.5, 20.0, 20.0]


async def test_a_rate_is_never_halved_to_nothing(anyio_backend: str) -> None:
    async with track() as on:
        for _ in range(20):
            await on.ask("a")
            on.pacer.pause(SHARED, 1)
            await on.clock.advance(2)
        assert on.pacer.figures()["tmdb:shared"].rate >= 2 / 16


async def test_all_allowances_together_keep_below_the_ceiling(anyio_backend: str) -> None:
    async with track() as on:
        for number in range(12):
            await on.ask(str(number), pace=Pace(f"own:{number}", 20), ceiling=limit_of(4))
        assert len(on.through) == 4
        await on.clock.advance(1.1)
        assert len(on.through) == 8
        await on.clock.advance(2)
        assert len(on.through) == 12


async def test_allowances_that_nobody_uses_are_forgotten(anyio_backend: str) -> None:
    async with track() as on:
        for number in range(1200):
            await on.pacer.turn(Pace(f"own:{number}", 20), [], Waiter("person", "", 8.0))
        assert len(on.pacer.figures()) == 1000


async def test_who_waits_when_the_plugin_stops_is_told(anyio_backend: str) -> None:
    clock = FakeClock()
    pacer = Pacer(clock, lambda: None)
    told: list[str] = []

    async def wait() -> None:
        try:
            await pacer.turn(SHARED, [], Waiter("person", "", 8.0))
        except UpstreamUnavailableError as error:
            told.append(str(error))

    async with anyio.create_task_group() as tasks:
        running = anyio.CancelScope()

        async def run() -> None:
            with running:
                await pacer.run()

        tasks.start_soon(run)
        for _ in range(4):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        running.cancel()
    assert told == ["the plugin upstream was stopped"] * 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # as redis-py
async def test_two_instances_on_one_redis_keep_one_pace(make_host: HostMaker) -> None:
    """Each alone would let 20 through in its first second."""
    with redis_server() as url:
        config = {"plugins": {"cache": {"config": {"redis_url": url, "op_timeout": 5.0}}}}
        through = 0

        async with make_host("cache", config=config) as one, make_host("cache", config=config) as two:
            for host in (one, two):
                await until(lambda host=host: host.use(CacheManager).status()["available"])  # type: ignore[misc]
            pacers = [Pacer(FakeClock(), lambda host=host: host.use(RateLimiter)) for host in (one, two)]  # type: ignore[misc]
            for _ in range(25):
                for pacer in pacers:
                    with suppress(UpstreamBusyError):
                        # too late for all but those who need not wait
                        await pacer.turn(Pace("tmdb:shared", 0.02), [], Waiter("person", "", -1.0))
                        through += 1
        assert through == 1
