"""Loaders that behave badly: each fails for itself and for those who asked for it, once, and nobody else notices."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest

from plughost.contracts import WarmEntry
from plughost.exceptions import LoadCircleError, LoadError, StoreUnavailableError
from plughost.plugins.cache.config import CacheConfig
from plughost.plugins.cache.manager import NamedCaches
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


class OwnError(BaseException):
    """What a strange library may raise."""


Ask = Callable[[NamedCaches, Any], Awaitable[Any]]

DOORS: dict[str, Ask] = {
    "get_or_set": lambda caches, loader: caches.default.get_or_set("k", loader),
    "get_or_set_many": lambda caches, loader: caches.default.get_or_set_many(["k"], lambda keys: loader()),
    "warm": lambda caches, loader: caches.default.warm("k", loader),
    "sync": lambda caches, loader: anyio.to_thread.run_sync(caches.default.sync.get_or_set, "k", loader),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, OwnError])
async def test_a_loader_that_wants_to_end_the_program_fails_like_any_other(
    caches: NamedCaches, door: str, kind: type[BaseException]
) -> None:
    calls = 0

    def end() -> None:
        nonlocal calls
        calls += 1
        raise kind("over")

    with anyio.fail_after(20), pytest.raises(LoadError, match=kind.__name__):
        await DOORS[door](caches, end)
    assert calls == 1
    assert await caches.default.get_or_set("k", lambda: 1) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_loader_whose_task_somebody_cancelled_is_called_once(caches: NamedCaches) -> None:
    import asyncio

    calls = 0
    errors: list[BaseException] = []

    async def load() -> None:
        nonlocal calls
        calls += 1
        other = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0)
        other.cancel()
        await other

    async def ask() -> None:
        try:
            await caches.default.get_or_set("k", load)
        except Exception as error:
            errors.append(error)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask)
    assert calls == 1
    assert [type(error) for error in errors] == [LoadError] * 5


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("door", DOORS)
async def test_a_loader_that_cancels_its_own_task_is_not_called_for_ever(
    caches: NamedCaches, door: str
) -> None:
    import asyncio

    calls = 0

    async def load() -> None:
        nonlocal calls
        calls += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    with anyio.fail_after(20), pytest.raises(LoadError, match="the loader of 'k' ended the task that ran it"):
        await DOORS[door](caches, load)
    assert calls <= 2
    assert await caches.default.get_or_set("k", lambda: 1) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_whoever_waits_for_a_batch_that_cancels_its_own_task_loads_by_itself(
    caches: NamedCaches,
) -> None:
    import asyncio

    begun, go = anyio.Event(), anyio.Event()
    found: list[Any] = []

    async def load(keys: Any) -> None:
        begun.set()
        await go.wait()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    async def ask_first() -> None:
        with pytest.raises(LoadError, match="ended the task that ran it"):
            await caches.default.get_or_set_many(["a", "b"], load)

    async def ask_then() -> None:
        found.append(
            await caches.default.get_or_set_many(["b", "c"], lambda keys: dict.fromkeys(keys, "mine"))
        )

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(ask_first)
            await begun.wait()
            group.start_soon(ask_then)
            await anyio.wait_all_tasks_blocked()
            go.set()
    assert found == [{"b": "mine", "c": "mine"}]


async def test_what_cannot_be_called_later_is_refused_at_once(caches: NamedCaches) -> None:
    async def load() -> int:
        return 1

    cache, made = caches.default, load()
    with pytest.raises(TypeError, match=r"hand over load, not load\(\)"):
        cache.keep_warm("k", made)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the loader of 'k' takes a function, not 5"):
        cache.precompute("k", 5, every=60)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on takes a function, not 5"):
        cache.on("set", 5)  # type: ignore[arg-type]
    assert await cache.expected() == []


async def test_listeners_that_want_to_end_the_program_are_logged(caches: NamedCaches) -> None:
    async def late(event: object) -> None:
        raise SystemExit

    def early(event: object) -> None:
        raise SystemExit

    caches.default.on("set", early)
    caches.default.on("set", late)
    assert await caches.default.set("k", 1)
    await anyio.wait_all_tasks_blocked()
    assert await caches.default.get("k") == 1


@pytest.mark.parametrize("door", ["get_or_set", "warm"])
async def test_a_loader_that_asks_for_its_own_key_is_told_so(caches: NamedCaches, door: str) -> None:
    async def load() -> Any:
        return await caches.default.get_or_set("k", load)

    with anyio.fail_after(20), pytest.raises(LoadCircleError, match="'k' waits for 'k'"):
        await DOORS[door](caches, load)
    assert await caches.default.get_or_set("k", lambda: 1) == 1


@pytest.mark.parametrize("names", [("a", "a", "a"), ("a", "b", "c")])
async def test_loaders_that_wait_for_each_other_are_told_the_circle(
    caches: NamedCaches, names: tuple[str, str, str]
) -> None:
    first, second, third = (caches.get(name) for name in names)

    async def load_x() -> Any:
        return await second.get_or_set("y", load_y)

    async def load_y() -> Any:
        return list((await third.get_or_set_many(["z"], load_z)).values())

    async def load_z(keys: Any) -> Any:
        return {"z": await first.get_or_set("x", load_x)}

    with anyio.fail_after(20), pytest.raises(LoadCircleError) as caught:
        await first.get_or_set("x", load_x)
    assert sorted(set(caught.value.keys)) == ["x", "y", "z"]
    assert caught.value.keys[0] == caught.value.keys[-1]


async def test_loads_that_began_apart_and_then_wait_for_each_other_are_told_so(caches: NamedCaches) -> None:
    cache = caches.default
    both = anyio.Event()
    begun: list[str] = []
    ends: list[Any] = []

    def loader(own: str, other: str) -> Any:
        async def load() -> Any:
            begun.append(own)
            if len(begun) == 2:
                both.set()
            await both.wait()
            return await cache.get_or_set(other, lambda: other)

        return load

    async def ask(own: str, other: str) -> None:
        try:
            ends.append(await cache.get_or_set(own, loader(own, other)))
        except LoadCircleError as error:
            ends.append(error)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(ask, "a", "b")
            group.start_soon(ask, "b", "a")
    assert any(isinstance(end, LoadCircleError) for end in ends)


async def test_a_synchronous_loader_that_asks_for_its_own_key_is_told_so(caches: NamedCaches) -> None:
    sync = caches.default.sync

    def load() -> Any:
        return sync.get_or_set("k", load)

    with anyio.fail_after(20), pytest.raises(LoadCircleError):
        await anyio.to_thread.run_sync(sync.get_or_set, "k", load)
    with anyio.fail_after(20), pytest.raises(LoadCircleError):
        await caches.default.get_or_set("k", load)


async def test_a_loader_may_use_other_keys(caches: NamedCaches) -> None:
    cache = caches.default

    async def total() -> int:
        return sum((await cache.get_or_set_many(["a", "b"], lambda keys: dict.fromkeys(keys, 2))).values())

    assert await cache.get_or_set("total", total) == 4


@pytest.mark.parametrize("answer", [None, ["a"], 7, "text"])
async def test_a_batch_loader_that_gives_no_mapping_is_told_what_to_give(
    caches: NamedCaches, answer: Any
) -> None:
    with pytest.raises(TypeError, match=f"dict of keys and values, not {type(answer).__name__}"):
        await caches.default.get_or_set_many(["a"], lambda keys: answer)


async def test_nothing_of_a_failed_load_stays_in_memory(caches: NamedCaches) -> None:
    class Large:
        pass

    cache = caches.get("c", load_failures=5)
    seen: list[weakref.ref[Large]] = []

    async def fail() -> None:
        large = Large()
        seen.append(weakref.ref(large))
        raise RuntimeError("source")

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await cache.get_or_set("k", fail)
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


async def test_the_breaker_still_says_what_failed_last(caches: NamedCaches) -> None:
    cache = caches.get("c", load_failures=1, load_pause=10)

    def fail() -> None:
        raise LookupError("secret-value")

    with pytest.raises(LookupError):
        await cache.get_or_set("k", fail)
    with pytest.raises(StoreUnavailableError, match="LookupError") as caught:
        await cache.get_or_set("k", fail)
    assert "secret-value" not in str(caught.value)


async def test_a_source_that_hangs_holds_up_the_warming_of_nothing_else(clock: FakeClock) -> None:
    async with NamedCaches(CacheConfig(warm_timeout=0.2), clock=clock) as caches:
        warmed: list[str] = []

        async def hang() -> None:
            await anyio.sleep_forever()

        caches.get("hanging").keep_warm("k", hang, ttl=10)
        for name in ("b", "c", "d"):
            caches.get(name).keep_warm("k", lambda name=name: warmed.append(name), ttl=10)  # type: ignore[misc]
        with anyio.fail_after(20):
            assert await caches.tick() == 3
        assert sorted(warmed) == ["b", "c", "d"]


async def test_more_sources_hang_than_are_warmed_at_once_and_the_rest_gets_its_turn(clock: FakeClock) -> None:
    config = CacheConfig(warm_timeout=0.05, warm_concurrency=2)
    async with NamedCaches(config, clock=clock) as caches:
        for number in range(5):
            caches.default.keep_warm(f"hanging:{number}", anyio.sleep_forever, ttl=10)
        caches.get("other").keep_warm("k", lambda: 1, ttl=10)
        with anyio.fail_after(20):
            assert await caches.tick() == 1


async def test_a_source_that_hangs_holds_up_the_warming_by_hand_of_no_other_cache(clock: FakeClock) -> None:
    async def wanted(name: str) -> list[WarmEntry]:
        loader: Any = anyio.sleep_forever if name == "hanging" else (lambda: 1)
        return [WarmEntry(key="k", loader=loader)]

    async with NamedCaches(CacheConfig(warm_timeout=0.2), clock=clock, wanted=wanted) as caches:
        for name in ("hanging", "b", "c"):
            caches.get(name)
        with anyio.fail_after(20):
            assert await caches.warm() == 2
        assert await caches.get("c").get("k") == 1
