"""Whatever is done in whatever order, the cache answers as a plain model says, in memory and over a server."""

from __future__ import annotations

import asyncio
import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plughost.plugins.cache.manager import NamedCaches
from plughost.testing.clock import FakeClock
from servers import Server

from .conftest import shared

KEYS = st.sampled_from(["a", "b", "user:1", "user:2", "user:12"])
TAGS = st.lists(st.sampled_from(["x", "y"]), max_size=2, unique=True)
VALUES = st.one_of(st.none(), st.integers(), st.text(max_size=5), st.tuples(st.integers(), st.booleans()))


class HeldLoad:
    """A load that has read its value and has not returned it yet."""

    def __init__(self, value: Any, tags: list[str]) -> None:
        self.value = value
        self.tags = tags
        self.overtaken = False
        self.reached = False
        self.go_on = asyncio.Event()
        self.task: asyncio.Task[Any] | None = None

    async def load(self) -> Any:
        self.reached = True
        await self.go_on.wait()
        return self.value


class CacheModel(RuleBasedStateMachine):
    """The model: a dict of values with tags, and the loads under way with whether they were overtaken."""

    url: str | None = None
    tier = "auto"

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.model: dict[str, tuple[Any, list[str]]] = {}
        self.loads: dict[str, HeldLoad] = {}
        self.clock = FakeClock()
        self.manager = NamedCaches(clock=self.clock) if self.url is None else shared(self.url)
        self.serving = self.loop.create_task(self._serve())
        self.run(self._until_served())
        self.cache = self.manager.get("model", tier=self.tier, ttl=1000)
        self.run(self.cache.clear())

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        for load in self.loads.values():
            load.go_on.set()
        for load in self.loads.values():
            self.run(asyncio.wait([load.task]))  # type: ignore[list-item]
        assert self.url is None or self.manager.status()["connections"] == 1
        self.stop.set()
        self.run(self.serving)
        self.loop.close()

    async def _serve(self) -> None:
        self.ready, self.stop = asyncio.Event(), asyncio.Event()
        async with self.manager:
            self.ready.set()
            await self.stop.wait()

    async def _until_served(self) -> None:
        await asyncio.sleep(0)
        await self.ready.wait()

    def _overtake(self, key: str) -> None:
        if key in self.loads:
            self.loads[key].overtaken = True

    @rule(key=KEYS, value=VALUES, tags=TAGS)
    def set(self, key: str, value: Any, tags: list[str]) -> None:
        assert self.run(self.cache.set(key, value, tags=tags))
        self.model[key] = (value, tags)
        self._overtake(key)

    @rule(key=KEYS)
    def delete(self, key: str) -> None:
        assert self.run(self.cache.delete(key)) == (key in self.model)
        self.model.pop(key, None)
        self._overtake(key)

    @rule(tag=st.sampled_from(["x", "y"]))
    def invalidate_tag(self, tag: str) -> None:
        self.run(self.cache.invalidate_tag(tag))
        self.model = {key: kept for key, kept in self.model.items() if tag not in kept[1]}
        for load in self.loads.values():
            load.overtaken |= tag in load.tags

    @rule(pattern=st.sampled_from(["user:*", "user:?", "*1", "[ab]"]))
    def invalidate_glob(self, pattern: str) -> None:
        self.run(self.cache.invalidate_glob(pattern))
        self.model = {key: kept for key, kept in self.model.items() if not fnmatchcase(key, pattern)}
        for key, load in self.loads.items():
            load.overtaken |= fnmatchcase(key, pattern)

    @rule(pattern=st.sampled_from([r"user:\d", "a|b", "user:1$"]))
    def invalidate_regex(self, pattern: str) -> None:
        self.run(self.cache.invalidate_regex(pattern))
        self.model = {key: kept for key, kept in self.model.items() if not re.match(pattern, key)}
        for key, load in self.loads.items():
            load.overtaken |= re.match(pattern, key) is not None

    @rule()
    def clear(self) -> None:
        self.run(self.cache.clear())
        self.model.clear()
        for load in self.loads.values():
            load.overtaken = True

    @rule(key=KEYS, value=VALUES, tags=TAGS)
    def get_or_set(self, key: str, value: Any, tags: list[str]) -> None:
        if key in self.loads:
            return
        found = self.run(self.cache.get_or_set(key, lambda: value, tags=tags))
        if key not in self.model:
            self.model[key] = (value, tags)
        assert found == self.model[key][0]

    @rule(key=KEYS, value=VALUES, tags=TAGS)
    def begin_load(self, key: str, value: Any, tags: list[str]) -> None:
        if key in self.loads or key in self.model:
            return
        load = self.loads[key] = HeldLoad(value, tags)

        async def begin() -> None:
            load.task = asyncio.ensure_future(self.cache.get_or_set(key, load.load, tags=tags))
            while not load.reached:  # noqa: ASYNC110 # the load is waited for
                await asyncio.sleep(0)

        self.run(begin())

    @rule(key=KEYS)
    def end_load(self, key: str) -> None:
        load = self.loads.pop(key, None)
        if load is None:
            return
        load.go_on.set()
        assert self.run(load.task) == load.value  # type: ignore[arg-type]
        # A pattern may overtake more loads than it matches, never fewer: then nothing is stored.
        if load.overtaken:
            return
        if self.run(self.cache.exists(key)):
            self.model[key] = (load.value, load.tags)

    @invariant()
    def answers_agree(self) -> None:
        if not hasattr(self, "cache"):
            return
        keys = ["a", "b", "user:1", "user:2", "user:12"]
        expected = {key: kept[0] for key, kept in self.model.items()}
        assert self.run(self.cache.get_many(keys)) == expected
        for key in keys:
            found = self.run(self.cache.get(key, ...))
            assert found == expected.get(key, ...)
            assert type(found) is type(expected.get(key, ...))


def check(url: str | None, tier: str, examples: int) -> None:
    """Run the machine over one backend."""
    machine = type("Machine", (CacheModel,), {"url": url, "tier": tier})
    run = machine.TestCase
    run.settings = settings(
        max_examples=examples,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run("runTest").runTest()


def test_memory_agrees_with_the_model() -> None:
    check(None, "auto", 60)


@pytest.mark.parametrize("tier", ["redis", "tiered"])
def test_redis_agrees_with_the_model(redis_url: str, redis_server: Server, tier: str) -> None:
    check(redis_url, tier, 25)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("tier", ["memory", "redis", "tiered"])
def test_many_more_examples_agree(redis_url: str, tier: str) -> None:
    check(None if tier == "memory" else redis_url, "auto" if tier == "memory" else tier, 500)
