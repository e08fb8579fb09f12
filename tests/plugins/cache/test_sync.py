"""The same cache for threads: same store, same flights, no loop needed."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest

from plughost.plugins.cache.manager import NamedCaches
from plughost.testing.clock import FakeClock
from plughost.testing.suites.cache_backend import Calls

pytestmark = pytest.mark.anyio


def test_a_script_needs_no_loop() -> None:
    cache = NamedCaches().get("c").sync
    assert cache.get("k") is None
    assert cache.get("k", 5) == 5
    assert cache.set("k", (1,), ttl=60, tags=["t"])
    assert cache.get("k") == (1,)
    assert cache.exists("k")
    assert cache.invalidate_tag("t") == 1
    assert not cache.exists("k")
    assert cache.get_or_set("m", lambda: 2) == 2
    assert cache.get_or_set("m", lambda: 3) == 2
    assert cache.delete("m")
    cache.clear()
    with pytest.raises(TypeError):
        cache.get(1)  # type: ignore[arg-type]


def test_many_threads_wait_for_one_load() -> None:
    cache = NamedCaches().get("c")
    go_on, reached = threading.Event(), threading.Event()
    calls: list[int] = []
    found: list[Any] = []

    def load() -> str:
        calls.append(1)
        reached.set()
        go_on.wait(10)
        return "loaded"

    threads = [
        threading.Thread(target=lambda: found.append(cache.sync.get_or_set("k", load))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    assert reached.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert found == ["loaded"] * 20
    assert len(calls) == 1


def test_a_failing_load_reaches_every_thread_and_is_not_kept() -> None:
    cache = NamedCaches().get("c").sync

    def fail() -> None:
        raise RuntimeError("source")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="source"):
            cache.get_or_set("k", fail)
    assert cache.get_or_set("k", lambda: 1) == 1


async def test_a_thread_waits_for_the_load_of_a_task() -> None:
    async with NamedCaches() as caches:
        cache = caches.get("c")
        calls = Calls("of the task")
        found: list[Any] = []
        async with anyio.create_task_group() as group:
            group.start_soon(cache.get_or_set, "k", calls.held)
            await calls.reached.wait()

            async def in_a_thread() -> None:
                found.append(
                    await anyio.to_thread.run_sync(cache.sync.get_or_set, "k", lambda: "of the thread")
                )

            group.start_soon(in_a_thread)
            await anyio.sleep(0.02)
            calls.go_on.set()
        assert found == ["of the task"]


async def test_a_task_waits_for_the_load_of_a_thread() -> None:
    async with NamedCaches() as caches:
        cache = caches.get("c")
        go_on, reached = threading.Event(), threading.Event()

        def load() -> str:
            reached.set()
            go_on.wait(10)
            return "of the thread"

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, cache.sync.get_or_set, "k", load)
            await anyio.to_thread.run_sync(reached.wait, 10)
            found: list[Any] = []

            async def ask() -> None:
                found.append(await cache.get_or_set("k", lambda: "of the task"))

            group.start_soon(ask)
            await anyio.sleep(0.02)
            go_on.set()
        assert found == ["of the thread"]


async def test_an_invalidation_wins_over_the_load_of_a_thread() -> None:
    async with NamedCaches() as caches:
        cache = caches.get("c")
        go_on, reached = threading.Event(), threading.Event()

        def load() -> str:
            reached.set()
            go_on.wait(10)
            return "old"

        async with anyio.create_task_group() as group:
            group.start_soon(anyio.to_thread.run_sync, cache.sync.get_or_set, "k", load)
            await anyio.to_thread.run_sync(reached.wait, 10)
            await cache.delete("k")
            go_on.set()
        assert await cache.get("k") is None


async def test_the_loops_own_thread_does_not_wait_for_itself() -> None:
    async with NamedCaches() as caches:
        cache = caches.get("c")
        calls = Calls("of the task")
        async with anyio.create_task_group() as group:
            group.start_soon(cache.get_or_set, "k", calls.held)
            await calls.reached.wait()
            assert cache.sync.get_or_set("k", lambda: "own") == "own"
            calls.go_on.set()
        assert await cache.get("k") == "of the task"


def test_threads_at_once_leave_the_store_in_order() -> None:
    for policy in ("lru", "s3fifo"):
        cache = NamedCaches().get("c", max_entries=50, policy=policy)
        errors: list[BaseException] = []

        def work(seed: int, cache: Any = cache, errors: list[BaseException] = errors) -> None:
            try:
                for step in range(2000):
                    key = f"k{(seed * 7919 + step * 31) % 120}"
                    if step % 3 == 0:
                        cache.sync.set(key, key, tags=[key[-1]])
                    elif step % 50 == 0:
                        cache.sync.invalidate_tag(key[-1])
                    else:
                        assert cache.sync.get(key) in {None, key}
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert errors == []
        assert cache.stats().entries <= 50


async def test_looking_is_not_using_on_either_face(clock: FakeClock) -> None:
    async with NamedCaches(clock=clock) as caches:
        for name, look in (("a", "exists"), ("b", "entry"), ("c", "sync")):
            cache = caches.get(name, max_entries=2)
            await cache.set_many({"old": 1, "new": 2})
            if look == "sync":
                assert await anyio.to_thread.run_sync(cache.sync.exists, "old")
            else:
                assert await getattr(cache, look)("old")
            await cache.set("third", 3)
            assert await cache.get_many(["old", "new", "third"]) == {"new": 2, "third": 3}
