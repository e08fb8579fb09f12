"""A running plugin that somebody takes out of ``host.pluggy``: its record says so, and it is stopped like any other."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pluggy
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import PluginRecord, PluginState
from plughost.exceptions import PluginError

pytestmark = pytest.mark.anyio

CONFIG = {"host": {"allow": [], "load_timeout": 5.0, "shutdown_timeout": 5.0}}


class Lamp(Plugin):
    name = "lamp"
    stopped: list[str]

    async def stop(self) -> None:
        self.stopped.append(self.name)

    @hookimpl
    async def describe_metrics(self) -> list[Any]:
        return [self.name]


@pytest.fixture
def lamp() -> type[Lamp]:
    Lamp.stopped = []
    return Lamp


def by_name(manager: pluggy.PluginManager) -> None:
    manager.unregister(name="lamp")


def by_object(manager: pluggy.PluginManager) -> None:
    manager.unregister(manager.get_plugin("lamp"))


def by_blocking(manager: pluggy.PluginManager) -> None:
    manager.set_blocked("lamp")


WAYS: list[Callable[[pluggy.PluginManager], None]] = [by_name, by_object, by_blocking]


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not true():
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("way", WAYS)
async def test_the_record_says_at_once_that_it_is_not_called_any_more_and_then_that_it_stopped(
    lamp, way
) -> None:
    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(lamp)
        way(host.pluggy)
        record = host.plugins["lamp"]
        assert record.state is PluginState.STOPPING
        assert record.hooks == ()
        assert "on host.pluggy" in record.reason
        await until(lambda: host.plugins["lamp"].state is not PluginState.STOPPING)
        record = host.plugins["lamp"]
        blocked = way is by_blocking
        assert record.state is (PluginState.BLOCKED if blocked else PluginState.STOPPED)
        assert (
            record.reason == f"{'its name was blocked' if blocked else 'it was unregistered'} on host.pluggy"
        )
        assert lamp.stopped == ["lamp"]
    assert lamp.stopped == ["lamp"]


@pytest.mark.parametrize("way", WAYS)
async def test_it_may_be_taken_out_from_another_thread(lamp, way) -> None:
    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(lamp)
        thread = threading.Thread(target=way, args=(host.pluggy,))
        thread.start()
        thread.join()
        await until(lambda: host.plugins["lamp"].state in (PluginState.STOPPED, PluginState.BLOCKED))
        assert lamp.stopped == ["lamp"]


@pytest.mark.parametrize("way", WAYS)
async def test_those_that_require_it_stop_before_it(lamp, way) -> None:
    user = type("User", (Lamp,), {"name": "user", "requires": ("lamp",)})
    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(lamp)
        await host.load_plugin(user)
        way(host.pluggy)
        await until(lambda: len(lamp.stopped) == 2)
        assert lamp.stopped == ["user", "lamp"]
        assert "'lamp', which it requires" in host.plugins["user"].reason


@pytest.mark.parametrize("way", WAYS)
async def test_a_host_that_is_left_at_once_stops_it_once(lamp, way) -> None:
    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(lamp)
            way(host.pluggy)
    assert lamp.stopped == ["lamp"]
    assert not host.plugins["lamp"].running


async def test_a_plugin_that_is_registered_again_at_once_was_never_gone(lamp) -> None:
    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(lamp)
        plugin = host.pluggy.unregister(name="lamp")
        host.pluggy.register(plugin, "lamp")
        assert host.plugins["lamp"].state is PluginState.READY
        assert host.plugins["lamp"].hooks == ("describe_metrics",)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert lamp.stopped == []
        assert await host.hooks.describe_metrics() == [["lamp"]]
        assert await host.unload_plugin("lamp")
    assert lamp.stopped == ["lamp"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_new_start_that_is_under_way_is_broken_off(lamp, way) -> None:
    begun = anyio.Event()
    made: list[Plugin] = []

    class Slow(lamp):
        def __init__(self) -> None:
            made.append(self)

        async def start(self, context: Any) -> None:
            if len(made) > 1:
                begun.set()
                await anyio.sleep_forever()

    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(Slow)

            async def reload() -> None:
                with pytest.raises(PluginError, match=r"on host\.pluggy"):
                    await host.reload_plugin("lamp")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reload)
                await begun.wait()
                way(host.pluggy)
            await until(lambda: host.plugins["lamp"].state in (PluginState.STOPPED, PluginState.BLOCKED))
            assert lamp.stopped == ["lamp"]


async def test_it_is_stopped_when_the_calls_in_it_have_ended(lamp) -> None:
    inside, may_end = anyio.Event(), anyio.Event()

    class Slow(lamp):
        @hookimpl
        async def describe_metrics(self) -> list[Any]:
            inside.set()
            await may_end.wait()
            return [list(self.stopped)]

    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(Slow)
        answers: list[Any] = []

        async def call() -> None:
            answers.extend(await host.hooks.describe_metrics())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await inside.wait()
            host.pluggy.unregister(name="lamp")
            for _ in range(20):
                await anyio.lowlevel.checkpoint()
            assert lamp.stopped == []
            may_end.set()
        assert answers == [[[]]]
        await until(lambda: lamp.stopped == ["lamp"])


def load_name(host: Host, lamp: type[Lamp]) -> Awaitable[PluginRecord]:
    return host.load_plugin("lamp")


def load_object(host: Host, lamp: type[Lamp]) -> Awaitable[PluginRecord]:
    return host.load_plugin(lamp)


def enable(host: Host, lamp: type[Lamp]) -> Awaitable[PluginRecord]:
    return host.enable_plugin("lamp")


def reload(host: Host, lamp: type[Lamp]) -> Awaitable[PluginRecord]:
    return host.reload_plugin("lamp")


@pytest.mark.parametrize("door", [load_name, load_object, enable, reload])
@pytest.mark.parametrize("way", [by_name, by_object])
async def test_who_starts_it_again_at_once_gets_a_start_that_lasts(lamp, way, door) -> None:
    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(lamp)
        way(host.pluggy)
        record = await door(host, lamp)
        assert record.state is PluginState.READY
        assert lamp.stopped == ["lamp"]
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        assert host.plugins["lamp"].state is PluginState.READY
        assert await host.hooks.describe_metrics() == [["lamp"]]


@pytest.mark.parametrize("door", [load_name, load_object, enable])
async def test_who_starts_it_again_while_it_is_blocked_is_told_so(lamp, door) -> None:
    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(lamp)
        by_blocking(host.pluggy)
        with pytest.raises(PluginError, match="blocked"):
            await door(host, lamp)
        assert lamp.stopped == ["lamp"]


@pytest.mark.parametrize("way", WAYS)
async def test_its_own_next_start_may_take_it_out(lamp, way) -> None:
    class Jealous(lamp):
        times = 0

        async def start(self, context: Any) -> None:
            Jealous.times += 1
            if Jealous.times == 2:
                way(manager)

    async with Host(config=CONFIG, environ={}) as host:
        manager = host.pluggy
        await host.load_plugin(Jealous)
        with pytest.raises(PluginError, match="broken off"):
            await host.reload_plugin("lamp")
        await until(lambda: host.plugins["lamp"].state in (PluginState.STOPPED, PluginState.BLOCKED))
