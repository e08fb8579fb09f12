"""Two instances under load while the server is killed, stopped, slowed, cut off and flushed at random.

No caller may see an error. An instance never answers with a value that it has itself invalidated, whatever the server
does. What the other instance invalidated it may tell for as long as ``docs/explanation/cache-proof.md`` says:
half a second while both are connected, and until both are connected again when they were not.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest

from plughost.contracts import Cache
from plughost.plugins.cache.manager import NamedCaches
from servers import Server, server

from .conftest import BRISK, shared
from .proxy import Proxy

pytestmark = pytest.mark.anyio

BOUND = 0.5
"""Seconds an instance may be behind the other while both are connected."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@dataclass
class World:
    """The truth, who knows of it since when, and when instances were cut off.

    Attributes:
        versions: The present version of each key.
        told: By key and instance: the newest version whose change was invalidated there, and when.
        cut_off: Until when some instance was, or may have been, without the server.
        errors: What callers saw.
        stale: Answers that were older than they may be.
        reads: How many answers were looked at.
    """

    versions: dict[str, int] = field(default_factory=lambda: {f"user:{number}": 0 for number in range(20)})
    told: dict[tuple[str, int], list[tuple[float, int]]] = field(default_factory=dict)
    cut_off: float = 0.0
    errors: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    reads: int = 0

    def oldest_allowed(self, key: str, instance: int, asked: float) -> int:
        """Return the oldest version an instance may answer with to who asked at that moment."""
        own = [version for moment, version in self.told.get((key, instance), []) if moment <= asked]
        other = [
            version
            for moment, version in self.told.get((key, 1 - instance), [])
            if moment + BOUND <= asked and moment > self.cut_off and asked > self.cut_off + BOUND
        ]
        return max([0, *own[-1:], *other[-1:]])


async def change(world: World, cache: Cache, instance: int, dice: random.Random) -> None:
    """Write the truth, then invalidate it in one of the ways there are."""
    key = dice.choice(list(world.versions))
    version = world.versions[key] = world.versions[key] + 1
    how = dice.randrange(4)
    if how == 0:
        await cache.delete(key)
    elif how == 1:
        await cache.invalidate_tag(key)
    elif how == 2:
        await cache.invalidate_glob(key)
    else:
        await cache.clear()
    history = world.told.setdefault((key, instance), [])
    if not history or history[-1][1] < version:
        history.append((time.monotonic(), version))


async def look(world: World, cache: Cache, instance: int, dice: random.Random) -> None:
    """Ask, and compare with what may be answered."""
    key = dice.choice(list(world.versions))
    allowed = world.oldest_allowed(key, instance, time.monotonic())

    async def load() -> int:
        version = world.versions[key]
        await anyio.sleep(dice.choice((0, 0, 0.001, 0.02)))
        return version

    if dice.random() < 0.3:
        found: Any = await cache.get(key)
    else:
        found = await cache.get_or_set(key, load, tags=[key], ttl=30)
    world.reads += 1
    if found is not None and found < allowed:
        world.stale.append(f"{key}: {found} < {allowed} in instance {instance}")


async def work(world: World, caches: NamedCaches, instance: int, until: float, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 # troubles, not secrets
    cache = caches.get("chaos")
    while time.monotonic() < until:
        try:
            await (change if dice.random() < 0.1 else look)(world, cache, instance, dice)
        except Exception as error:
            world.errors.append(repr(error))
        await anyio.sleep(dice.choice((0, 0, 0.001)))


async def make_trouble(
    world: World, running: Server, proxy: Proxy, managers: list[NamedCaches], until: float, seed: int
) -> None:
    dice = random.Random(seed)  # noqa: S311 # troubles, not secrets
    while time.monotonic() < until - 1.5:
        await anyio.sleep(dice.uniform(0.2, 0.8))
        trouble = dice.choice(("kill", "stop", "slow", "cut", "flush"))
        world.cut_off = float("inf")
        if trouble == "kill":
            running.kill()
            await anyio.sleep(dice.uniform(0.05, 0.4))
            await anyio.to_thread.run_sync(running.start)
        elif trouble == "stop":
            running.pause()
            await anyio.sleep(dice.uniform(0.05, 0.6))
            running.resume()
        elif trouble == "slow":
            proxy.delay = dice.uniform(0.02, 0.4)
            await anyio.sleep(dice.uniform(0.1, 0.6))
            proxy.delay = 0.0
        elif trouble == "cut":
            proxy.cut()
        else:
            await anyio.to_thread.run_sync(running.command, "FLUSHALL")
        with anyio.fail_after(30):
            steady = 0
            while steady < 20:
                await anyio.sleep(0.01)
                steady = steady + 1 if all(one.status()["available"] for one in managers) else 0
        world.cut_off = time.monotonic()


async def run(seconds: float, coherence: str, seed: int) -> World:
    world = World()
    with server() as running:
        async with (
            Proxy(running.folder / "p", running.path) as proxy,
            shared(running.url, coherence=coherence, **BRISK) as one,
            shared(proxy.url, coherence=coherence, **BRISK) as two,
        ):
            managers = [one, two]
            until = time.monotonic() + seconds
            async with anyio.create_task_group() as group:
                group.start_soon(make_trouble, world, running, proxy, managers, until, seed)
                for worker in range(6):
                    group.start_soon(work, world, managers[worker % 2], worker % 2, until, seed + worker)
    return world


def judge(world: World) -> None:
    assert world.errors == []
    assert world.stale == []
    assert world.reads > 100


@pytest.mark.parametrize("coherence", ["tracking", "pubsub"])
async def test_chaos_shows_nobody_an_error_and_nothing_too_old(coherence: str) -> None:
    judge(await run(6.0, coherence, seed=1))


@pytest.mark.soak
@pytest.mark.timeout(400)
@pytest.mark.parametrize("coherence", ["tracking", "pubsub"])
async def test_two_minutes_of_chaos(coherence: str) -> None:
    judge(await run(120.0, coherence, seed=time.time_ns() % 10**6))
