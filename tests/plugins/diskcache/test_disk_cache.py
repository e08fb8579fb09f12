"""The disk cache on a real disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host
from plughost.contracts.disk_cache import DiskCache, DiskCacheStats, Fetched
from plughost.exceptions import CacheValueError
from plughost.plugins.diskcache import DiskCachePlugin
from plughost.plugins.diskcache.cache import FileCache
from plughost.plugins.diskcache.shelf import Shelf
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def opened(folder: Path, clock: FakeClock, **settings: Any) -> AsyncIterator[FileCache]:
    limits = {"max_bytes": 1000, "max_file_bytes": 600, "ttl": 60, "stale_for": 600, "fetch_timeout": 5}
    cache = FileCache(Shelf(folder), clock, **{**limits, **settings})
    await cache.recall()
    async with anyio.create_task_group() as tasks:
        await tasks.start(cache.run)
        yield cache
        tasks.cancel_scope.cancel()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Source:
    """Where things come from; counts how often it is asked."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = list(bodies)
        self.asked = 0
        self.gate: anyio.Event | None = None
        self.error: Exception | None = None

    async def __call__(self) -> Fetched:
        self.asked += 1
        body = self.bodies[min(self.asked, len(self.bodies)) - 1]
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return Fetched(body=body, content_type="image/webp", metadata={"from": "source"})


async def test_what_was_fetched_is_kept_with_its_facts(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        source = Source(b"poster")
        entry = await cache.get_or_fetch("films/1.webp", source)
        again = await cache.get_or_fetch("films/1.webp", source)
        assert source.asked == 1
        assert again.path.read_bytes() == b"poster"
        assert (entry.content_type, entry.size, entry.stale, dict(entry.metadata)) == (
            "image/webp", 6, False, {"from": "source"},
        )  # fmt: skip


async def test_what_is_stale_is_given_at_once_and_fetched_anew_behind(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        source = Source(b"old", b"new")
        await cache.get_or_fetch("a", source)
        clock.jump(61)
        source.gate = anyio.Event()
        stale = await cache.get_or_fetch("a", source)
        assert (stale.stale, stale.path.read_bytes()) == (True, b"old")
        await cache.get_or_fetch("a", source)
        await anyio.wait_all_tasks_blocked()
        assert source.asked == 2
        source.gate.set()
        while (await cache.get("a")).stale:
            await anyio.lowlevel.checkpoint()
        assert (await cache.get("a")).path.read_bytes() == b"new"


async def test_one_fetch_serves_all_who_wait(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        source = Source(b"poster")
        source.gate = anyio.Event()
        got: list[bytes] = []

        async def ask() -> None:
            got.append((await cache.get_or_fetch("a", source)).path.read_bytes())

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            source.gate.set()
        assert (source.asked, got) == (1, [b"poster"] * 20)


async def test_a_caller_who_leaves_harms_nobody(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        source = Source(b"poster")
        source.gate = anyio.Event()
        async with anyio.create_task_group() as tasks:
            leaving = anyio.CancelScope()

            async def ask() -> None:
                with leaving:
                    await cache.get_or_fetch("a", source)

            tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            leaving.cancel()
        source.gate.set()
        assert (await cache.get_or_fetch("a", source)).size == 6
        assert source.asked == 1


async def test_a_failed_fetch_is_told_to_all_who_wait_and_tried_again_by_the_next(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        source = Source(b"poster")
        source.error = ConnectionError("away")
        for _ in range(2):
            with pytest.raises(ConnectionError):
                await cache.get_or_fetch("a", source)
        assert source.asked == 2
        assert cache.stats().fetch_errors == 2


async def test_a_stale_thing_is_given_while_its_source_is_away_and_then_no_longer(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        source = Source(b"poster")
        await cache.get_or_fetch("a", source)
        source.error = ConnectionError("away")
        clock.jump(600)
        assert (await cache.get_or_fetch("a", source)).stale
        clock.jump(61)
        with pytest.raises(ConnectionError):
            await cache.get_or_fetch("a", source)


async def test_the_thing_not_used_for_longest_makes_room(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        for key in "ab":
            await cache.put(key, Fetched(body=b"x" * 400))
        await cache.get("a")
        await cache.put("c", Fetched(body=b"x" * 400))
        assert [key for key in "abc" if await cache.get(key)] == ["a", "c"]
        assert cache.stats().bytes == 800
        assert sum(path.stat().st_size for path in tmp_path.glob("*.body")) == 800


async def test_what_is_too_large_is_refused_while_it_comes_and_leaves_nothing(tmp_path, clock):
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 10

    async with opened(tmp_path, clock) as cache:
        with pytest.raises(CacheValueError, match="larger than 600"):
            await cache.put("a", Fetched(body=pieces()))
        assert list(tmp_path.iterdir()) == []


async def test_a_restart_finds_what_was_kept_and_in_which_order(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        for key in "ab":
            await cache.put(key, Fetched(body=b"x" * 400, content_type="image/png"))
        clock.jump(120)
        await cache.get("a")
    async with opened(tmp_path, clock) as cache:
        assert (await cache.get("a")).content_type == "image/png"
        await cache.put("c", Fetched(body=b"x" * 400))
        assert await cache.get("b") is None


@pytest.mark.parametrize("damage", ["body gone", "body short", "card torn", "card leads out", "half written"])
async def test_what_a_crash_or_a_stranger_left_is_removed(tmp_path, clock, damage):
    async with opened(tmp_path, clock) as cache:
        entry = await cache.put("a", Fetched(body=b"poster"))
    card = next(tmp_path.glob("*.json"))
    if damage == "body gone":
        entry.path.unlink()
    elif damage == "body short":
        entry.path.write_bytes(b"po")
    elif damage == "card torn":
        card.write_bytes(card.read_bytes()[:-5])
    elif damage == "card leads out":
        card.write_bytes(card.read_bytes().replace(b'"body":"', b'"body":"../'))
    else:
        card.rename(card.with_suffix(".abc.tmp"))
    async with opened(tmp_path, clock) as cache:
        assert await cache.get("a") is None
        assert list(tmp_path.iterdir()) == []


async def test_a_reader_keeps_what_it_has_open_when_the_thing_goes(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        entry = await cache.put("a", Fetched(body=b"poster"))
        with entry.path.open("rb") as file:
            await cache.put("a", Fetched(body=b"another"))
            await cache.clear()
            assert file.read() == b"poster"
        assert not await cache.delete("a")


async def test_the_clean_up_removes_what_is_over(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        await cache.put("a", Fetched(body=b"poster", ttl=1))
        await cache.put("b", Fetched(body=b"poster", ttl=1000))
        clock.jump(700)
        assert await cache.cleanup() == 1
        assert cache.stats().expired == 1


async def test_keys_are_any_text_and_never_a_path(tmp_path, clock):
    async with opened(tmp_path / "files", clock) as cache:
        for key in ("../../etc/passwd", "a/b/c", "ä" * 1000, "", "\0"):
            await cache.put(key, Fetched(body=b"x"))
            assert (await cache.get(key)).path.parent == tmp_path / "files"


async def test_a_host_provides_it_and_tells_its_figures(tmp_path):
    async with Host(config={"host": {"data_dir": str(tmp_path), "allow": []}}, environ={}) as host:
        await host.load_plugin(DiskCachePlugin, {"max_bytes": 1000})
        cache: Any = host.use(DiskCache)
        await cache.get_or_fetch("a", Source(b"poster"))
        families = {family.name: family for family in (await host.hooks.describe_metrics())[0]}
        assert families["diskcache_entries"].samples[0].value == 1
        assert families["diskcache_fetches"].kind == "counter"
        checks = {check.name: check for check in (await host.health()).checks}
        assert checks["diskcache"].figures["bytes"] == 6


@pytest.mark.parametrize("name", sorted({field.name for field in fields(DiskCacheStats)} - {"max_bytes"}))
async def test_a_figure_moves_when_its_cause_happens(tmp_path, clock, name):
    async with opened(tmp_path, clock) as cache:
        before = cache.stats()
        broken = Source(b"")
        broken.error = OSError("the source is away")
        await cache.get_or_fetch("kept", Source(b"x" * 400))
        await cache.get("kept")
        with pytest.raises(OSError, match="away"):
            await cache.get_or_fetch("absent", broken)
        clock.jump(61)
        await cache.get("kept")
        clock.jump(600)
        await cache.cleanup()
        for number in range(4):
            await cache.put(f"poster-{number}", Fetched(body=b"x" * 300))
        assert getattr(cache.stats(), name) != getattr(before, name)


async def test_figures_are_what_happened_and_no_more(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        source = Source(b"x" * 300)
        for number in range(5):  # three have room
            await cache.get_or_fetch(f"poster-{number}", source)
        for number in range(5):
            await cache.get(f"poster-{number}")
        await cache.delete("poster-4")
        clock.jump(100)
        await cache.get("poster-3")
        clock.jump(1000)
        await cache.get("poster-3")
        assert await cache.cleanup() == 2
        assert cache.stats() == DiskCacheStats(
            entries=0, bytes=0, max_bytes=1000, hits=3, stale=1, misses=5 + 2 + 1, fetches=5, fetch_errors=0,
            evicted=2, expired=1 + 1,
        )  # fmt: skip


@pytest.mark.parametrize("given", [30, 30.5, timedelta(seconds=30)])
async def test_a_call_says_how_long_a_thing_may_be_given_out_after_its_time(tmp_path, given):
    clock = FakeClock(start=1_800_000_000)
    async with opened(tmp_path, clock) as cache:
        source = Source(b"old", b"new")
        await cache.get_or_fetch("a", source, ttl=10, stale_for=given)
        clock.jump(20)
        entry = await cache.get("a")
        assert entry is not None
        assert entry.stale
        clock.jump(21)
        assert await cache.get("a") is None


async def test_who_waited_gets_what_was_fetched_although_it_had_to_make_room_at_once(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        gates = [anyio.Event(), anyio.Event()]
        got: list[tuple[str, int]] = []

        async def ask(number: int) -> None:
            async def fetch() -> Fetched:
                await gates[number].wait()
                return Fetched(body=b"x" * 600)

            entry = await cache.get_or_fetch(f"poster-{number}", fetch)
            await cache.delete(f"poster-{number}")
            got.append((entry.key, entry.size))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):  # whoever comes first deletes it before the others look
                tasks.start_soon(ask, 0)
            tasks.start_soon(ask, 1)
            await anyio.wait_all_tasks_blocked()
            for gate in gates:
                gate.set()
        assert sorted(got) == [("poster-0", 600)] * 3 + [("poster-1", 600)]


async def test_all_under_a_prefix_goes_and_nothing_else(tmp_path, clock):
    async with opened(tmp_path, clock) as cache:
        for key in ("poster:1:original", "poster:1:w342", "poster:10:w342", "poster", "other:poster:1:"):
            await cache.put(key, Fetched(body=b"x"))
        assert await cache.delete_prefix("poster:1:") == 2
        left = [
            key
            for key in ("poster:1:w342", "poster:10:w342", "poster", "other:poster:1:")
            if await cache.get(key)
        ]
        assert left == ["poster:10:w342", "poster", "other:poster:1:"]
        assert cache.stats().bytes == 3
        assert await cache.delete_prefix("nothing") == 0
        with pytest.raises(ValueError, match="clear"):
            await cache.delete_prefix("")
    async with opened(tmp_path, clock) as cache:
        assert await cache.get("poster:1:original") is None


@pytest.mark.parametrize("remove", ["delete", "delete_prefix", "clear"])
@pytest.mark.parametrize("kept", [False, True], ids=["nothing kept", "something stale kept"])
async def test_what_a_fetch_brings_that_a_removal_overtook_is_kept_for_nobody(tmp_path, clock, remove, kept):
    async with opened(tmp_path, clock) as cache:
        if kept:
            await cache.put("a:1", Fetched(body=b"older"), ttl=1)
            await clock.advance(2)
        source = Source(b"old", b"new")
        source.gate = anyio.Event()
        got: list[bytes] = []

        async def ask() -> None:
            got.append((await cache.get_or_fetch("a:1", source)).path.read_bytes())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not source.asked or len(got) < kept:
                await anyio.lowlevel.checkpoint()
            await getattr(cache, remove)(*{"delete": ["a:1"], "delete_prefix": ["a:"], "clear": []}[remove])
            source.gate.set()
        assert got == ([b"older"] if kept else [b"new"])
        with anyio.fail_after(20):
            while (found := await cache.get("a:1")) is None:
                await anyio.lowlevel.checkpoint()
        assert found.path.read_bytes() == b"new"
        assert source.asked == 2
