"""Plain functions run in threads of their own, so each may run an event loop: a plugin's, and a host's for threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from plughost import Host, Plugin, PluginContext, hookimpl, hookspec
from plughost.blocking import BlockingHost
from plughost.contracts import Job
from plughost.exceptions import HostNotReadyError

NOTHING: dict[str, Any] = {"host": {"allow": []}}


class Specs:
    @hookspec
    def fetch(self) -> str: ...


def fetched() -> str:
    """Do as many a program does that has to await something in a plain function."""

    async def fetch() -> str:
        await anyio.lowlevel.checkpoint()
        return "fetched"

    return anyio.run(fetch)


class Plain(Plugin):
    """Has no coroutine function."""

    name = "plain"

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def start(self, context: PluginContext) -> None:  # type: ignore[override] # which is allowed
        self.found["start"] = fetched()

    def stop(self) -> None:  # type: ignore[override]
        self.found["stop"] = fetched()

    @hookimpl(blocking=True)
    def fetch(self) -> str:
        return fetched()

    @hookimpl
    def register_jobs(self) -> list[Job]:
        return [Job(name="fetch", function=lambda: self.found.update(job=fetched()), cron="0 0 1 1 *")]


@pytest.mark.anyio
async def test_a_plain_function_of_a_plugin_may_run_an_event_loop_of_its_own() -> None:
    plugin = Plain()
    async with Host("acme", config=NOTHING, environ={}, hookspecs=[Specs]) as host:
        await host.load_plugin(plugin)
        assert await host.hooks.fetch() == ["fetched"]
        assert (await host.jobs.run_now("fetch")).last_error == ""
    assert plugin.found == {"start": "fetched", "job": "fetched", "stop": "fetched"}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
async def test_a_host_for_threads_starts_where_asyncio_runs(backend: str) -> None:
    with BlockingHost("acme", config=NOTHING, environ={}, hookspecs=[Specs], backend=backend) as host:
        host.load_plugin(Plain())
        assert host.hooks.fetch() == ["fetched"]


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_where_trio_runs_a_host_for_threads_says_what_to_do_instead() -> None:
    with pytest.raises(RuntimeError, match="async with Host"):
        BlockingHost("acme", config=NOTHING, environ={}).start()


@pytest.mark.anyio
async def test_a_host_for_threads_may_be_used_where_another_event_loop_runs() -> None:
    host = BlockingHost("acme", config=NOTHING, environ={}, hookspecs=[Specs])
    await anyio.to_thread.run_sync(host.start)
    try:
        host.load_plugin(Plain())
        assert host.hooks.fetch() == ["fetched"]
    finally:
        await anyio.to_thread.run_sync(host.stop)


def test_a_host_for_threads_whose_event_loop_is_unknown_says_so_instead_of_waiting() -> None:
    with pytest.raises(LookupError, match="curio"):
        within_a_minute(BlockingHost("acme", config=NOTHING, environ={}, backend="curio").start)


def within_a_minute(function: Callable[[], object]) -> None:
    """Call it in another thread, which can be left behind; raise what it raises."""
    raised: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it waits for ever"
    for error in raised:
        raise error


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_leaves_a_host_in_another_task_is_told_what_to_take_and_its_plugins_are_stopped() -> None:
    class Held(Plugin):
        name = "held"
        stopped = False

        async def stop(self) -> None:
            Held.stopped = True

    host = Host("acme", config=NOTHING, environ={})
    await asyncio.create_task(host.__aenter__())
    await host.load_plugin(Held)
    with pytest.raises(HostNotReadyError, match=r"left in another.*testing\.running.*BlockingHost"):
        await asyncio.create_task(host.__aexit__(None, None, None))
    assert Held.stopped
    assert not host.ready


def test_a_thread_whose_call_is_under_way_when_the_event_loop_of_the_host_ends_is_told_so() -> None:
    begun = threading.Event()

    class Endless(Plugin):
        name = "endless"

        @hookimpl
        async def fetch(self) -> str:
            begun.set()
            await anyio.sleep_forever()
            return "never"

    async def leave() -> None:
        config = {"host": {"allow": [], "shutdown_timeout": 0.1}}
        async with Host("acme", config=config, environ={}, hookspecs=[Specs]) as host:
            await host.load_plugin(Endless)
            calling.append(threading.Thread(target=call, args=(host,), daemon=True))
            calling[0].start()
            await anyio.to_thread.run_sync(begun.wait, 60)

    def call(host: Host) -> None:
        try:
            host.sync_hooks.fetch()
        except Exception as error:  # not the event loop's own, which means nothing here
            raised.append(error)

    calling: list[threading.Thread] = []
    raised: list[Exception] = []
    asyncio.run(leave())
    calling[0].join(60)
    assert isinstance(raised[0], HostNotReadyError)
    assert "left while this call ran" in str(raised[0])


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cells_of_a_notebook_share_a_host_for_threads() -> None:
    host = BlockingHost("acme", config=NOTHING, environ={}, hookspecs=[Specs])

    async def first() -> None:
        host.__enter__()

    async def second() -> list[str]:
        host.load_plugin(Plain)
        found: list[str] = host.hooks.fetch()
        return found

    async def third() -> None:
        host.__exit__(None, None, None)

    await asyncio.create_task(first())
    assert await asyncio.create_task(second()) == ["fetched"]
    await asyncio.create_task(third())
