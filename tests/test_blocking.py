"""A host for threads: values pass both ways as they are, and nobody waits for himself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import pytest

from plughost import Plugin, hookimpl, hookspec
from plughost.blocking import BlockingHost
from plughost.contracts import CacheManager, LockManager
from plughost.exceptions import HostNotReadyError


class Answer:
    """A class of the application, with a coroutine function that nobody calls here."""

    async def later(self) -> None: ...


class Specs:
    @hookspec
    def answers(self, question: str) -> Any: ...


ANSWER = Answer()


class Answering(Plugin):
    name = "answering"

    @hookimpl
    def answers(self, question: str) -> Any:
        return ANSWER


@pytest.fixture(params=["asyncio", "trio"])
def host(request: pytest.FixtureRequest) -> Iterator[BlockingHost]:
    with BlockingHost("acme", config={}, backend=request.param) as host:
        host.add_hookspecs(Specs)
        yield host


VALUES = [datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.10"), UUID(int=7), timedelta(days=1), frozenset({1})]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_from_a_cache_as_it_is(host: BlockingHost, value: Any) -> None:
    cache = host.use(CacheManager).get("values")
    cache.set("k", value)
    found: Any = cache.get("k")
    assert type(found) is type(value)
    assert found == value


def test_objects_come_back_from_a_cache_of_objects_as_they_are(host: BlockingHost) -> None:
    class Plain:
        pass

    thing = Plain()
    cache = host.use(CacheManager).get("objects", values="objects", tier="memory")
    cache.set("k", thing)
    assert cache.get("k") is thing


@pytest.mark.parametrize("sentinel", [object(), ANSWER, Path("/x")], ids=["object", "own class", "path"])
def test_a_default_comes_back_as_the_object_it_is(host: BlockingHost, sentinel: Any) -> None:
    assert host.use(CacheManager).default.get("none", sentinel) is sentinel


def test_a_lock_that_was_taken_can_be_given_back_and_extended(host: BlockingHost) -> None:
    locks: Any = host.use(LockManager)
    lock = locks.acquire("l", lease=30)
    assert lock
    assert lock.extend(60)
    assert locks.acquire("l", wait=0) is None
    assert locks.release(lock)
    with locks.hold("l") as held:
        assert held.token > lock.token


def test_a_second_thread_that_asks_for_a_lock_gets_none(host: BlockingHost) -> None:
    locks: Any = host.use(LockManager)
    assert locks.acquire("l", lease=60)
    ends: list[Any] = []

    def ask() -> None:
        try:
            ends.append(locks.acquire("l", wait=0.01))
        except Exception as error:
            ends.append(error)

    for _ in range(5):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
        ask()
    assert ends == [None] * 10


def test_results_of_hooks_are_the_objects_the_plugins_returned(host: BlockingHost) -> None:
    host.load_plugin(Answering)
    (answer,) = host.hooks.answers(question="?")
    assert answer is ANSWER


def test_dir_names_what_a_window_shows(host: BlockingHost) -> None:
    assert [name for name in dir(host.hooks) if not name.startswith("_")].count("answers") == 1
    assert {"report", "call_extra"} <= {*dir(host.hooks.answers)}
    assert {"get_many", "get_or_set"} <= {*dir(host.use(CacheManager).get("values"))}


def test_what_is_seen_through_a_window_is_equal_to_itself_and_of_its_class(host: BlockingHost) -> None:
    caches = host.use(CacheManager)
    cache: Any = caches.default
    assert cache == caches.default
    assert isinstance(cache, host.run(_class_of_default))
    assert {cache: 1}[caches.default] == 1


async def _class_of_default(host: Any) -> type[Any]:
    return type(host.use(CacheManager).default)


@pytest.mark.parametrize("blocking", [False, True])
def test_an_implementation_that_calls_the_hook_again_works_in_a_thread_and_is_told_in_the_loop(
    host: BlockingHost, blocking: bool
) -> None:
    told: list[str] = []

    class Again(Plugin):
        name = "again"

        @hookimpl(blocking=blocking)
        def answers(self, question: str) -> Any:
            if question == "inner":
                return "deep"
            try:
                return host.hooks.answers(question="inner")[0]
            except RuntimeError as error:
                told.append(str(error))
                return None

    host.load_plugin(Again)
    results = host.hooks.answers(question="outer")
    if blocking:
        assert results == ["deep"]
    else:
        assert "would wait for itself" in told[0]
        assert "blocking=True" in told[0]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_what_still_runs_when_a_host_is_left_has_its_time_and_is_cut_then(backend: str, caplog: Any) -> None:
    async def end(_: Any) -> str:
        await anyio.sleep(0.01)
        return "ended"

    async def never(_: Any) -> None:
        await anyio.sleep_forever()

    config = {"host": {"allow": [], "shutdown_timeout": 0.5}}
    with BlockingHost("acme", config=config, environ={}, backend=backend) as host:
        begun = [host.begin(end), host.begin(never)]
    assert begun[0].result(30) == "ended"
    assert begun[1].cancelled() or isinstance(begun[1].exception(30), BaseException)
    assert "calls were cut, because their host was left" in caplog.text


def test_a_blocking_hook_that_stops_its_own_host_is_left_behind_and_its_caller_told() -> None:
    class Stopping(Plugin):
        name = "stopping"

        @hookimpl(blocking=True)
        def answers(self, question: str) -> Any:
            host.stop()

    config = {"host": {"allow": [], "shutdown_timeout": 0.5}}
    host = BlockingHost("acme", config=config, environ={}, hookspecs=[Specs]).start()
    host.load_plugin(Stopping())
    with pytest.raises(HostNotReadyError, match="was left"):
        host.hooks.answers(question="why")
