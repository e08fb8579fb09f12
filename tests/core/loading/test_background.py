"""Background tasks, jobs, services and subscriptions of a plugin: kept running, and gone when it goes."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, hookimpl, hookspec
from plughost.contracts import (
    Job,
    PluginFailed,
    PluginStarted,
    PluginState,
    PluginStateChanged,
    PluginStopped,
)
from plughost.exceptions import PluginGoneError, PluginStartError, ServiceError, UnknownHookError
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio

ALONE = {
    "host": {"allow": [], "max_restarts": 2, "restart_window": 100, "load_timeout": 1, "shutdown_timeout": 1}
}


def a_host(clock: FakeClock | None = None, **host: Any) -> Host:
    more = {} if clock is None else {"clock": clock}
    return Host(config={"host": {**ALONE["host"], **host}}, environ={}, **more)


class Crashing(Plugin):
    name = "crashing"

    def __init__(self, crashes: int) -> None:
        self.left = crashes
        self.runs = 0

    async def start(self, context) -> None:
        context.spawn(self.work)

    async def work(self) -> None:
        self.runs += 1
        if self.left:
            self.left -= 1
            raise ValueError("lost the thread")
        await anyio.sleep_forever()


async def test_what_cannot_be_called_later_is_refused_at_once(recwarn) -> None:
    async def work() -> None: ...

    taken: dict[str, Callable[[Any, Any], object]] = {
        "spawn": lambda context, function: context.spawn(function),
        "job": lambda context, function: context.every(60, function),
        "on_stop": lambda context, function: context.on_stop(function),
        "subscribe": lambda context, function: context.events.subscribe("sold", function),
    }
    async with a_host() as host:
        for taker, hand_over in taken.items():

            async def start(self: Any, context: Any, hand_over: Any = hand_over) -> None:
                with pytest.raises(TypeError, match="takes a function, not None"):
                    hand_over(context, None)
                hand_over(context, work())

            with pytest.raises(
                PluginStartError, match=f"{taker}.* the function itself: hand over work, not work"
            ):
                await host.load_plugin(type("Wrong", (Plugin,), {"name": "wrong", "start": start}))
    assert not recwarn.list


async def test_an_application_is_told_too_what_cannot_be_called_later() -> None:
    async with a_host() as host:
        with pytest.raises(TypeError, match="subscribe takes a function, not None"):
            host.events.subscribe("sold", None)  # type: ignore[arg-type] # that is the mistake


async def test_a_task_that_has_nothing_to_await_is_told_what_to_write() -> None:
    async def start(self: Any, context: Any) -> None:
        context.spawn(lambda: None)

    async with a_host(FakeClock()) as host:
        await host.load_plugin(type("Plain", (Plugin,), {"name": "plain", "start": start}))
        await anyio.wait_all_tasks_blocked()
        assert "write `async def`" in host.plugins["plain"].reason


async def test_a_task_that_crashes_once_is_degraded_and_then_runs_again() -> None:
    clock, plugin = FakeClock(), Crashing(1)
    async with a_host(clock) as host:
        await host.load_plugin(plugin)
        await anyio.wait_all_tasks_blocked()
        record = host.plugin("crashing")
        assert record.state is PluginState.DEGRADED
        assert "ValueError: lost the thread" in record.reason
        await clock.advance(1)
        record = host.plugin("crashing")
        assert (record.state, record.restarts, plugin.runs) == (PluginState.READY, 1, 2)


async def test_a_task_that_crashes_for_ever_puts_its_plugin_in_quarantine() -> None:
    clock, plugin = FakeClock(), Crashing(10**6)
    async with a_host(clock) as host:
        await host.load_plugin(plugin)
        await clock.advance(50)
        record = host.plugin("crashing")
        assert record.state is PluginState.QUARANTINED
        assert "more than 2 times within 100 s" in record.reason
        assert plugin.runs == 3
        assert not host.pluggy.has_plugin("crashing")
        plugin.left = 0
        assert (await host.reload_plugin("crashing")).state is PluginState.READY


async def test_what_requires_a_plugin_in_quarantine_stops_before_it() -> None:
    stops: list[str] = []

    class Noted(Crashing):
        async def stop(self) -> None:
            stops.append("crashing")

    class Needing(Plugin):
        name = "needing"
        requires = ("crashing",)

        async def stop(self) -> None:
            stops.append("needing")

    clock = FakeClock()
    async with a_host(clock) as host:
        await host.load_plugin(Noted(10**6))
        await host.load_plugin(Needing)
        await clock.advance(50)
        assert host.plugin("crashing").state is PluginState.QUARANTINED
        record = host.plugin("needing")
        assert record.state is PluginState.STOPPED
        assert record.reason == "'crashing', which it requires, is in quarantine"
        assert stops == ["needing", "crashing"]


async def test_crashes_far_apart_are_forgiven() -> None:
    class Rare(Plugin):
        name = "rare"

        async def start(self, context) -> None:
            context.spawn(self.work, context)

        async def work(self, context) -> None:
            await clock.sleep(90)
            raise ValueError

    clock = FakeClock()
    async with a_host(clock) as host:
        await host.load_plugin(Rare)
        for _ in range(20):
            await clock.advance(60)
        assert host.plugin("rare").restarts > 8
        assert host.plugin("rare").state is not PluginState.QUARANTINED


async def test_a_restart_does_not_refill_the_budget_of_crashes() -> None:
    clock = FakeClock()
    async with a_host(clock) as host:
        await host.load_plugin(Crashing(2))
        await clock.advance(10)
        host_record = await host.reload_plugin("crashing")
        assert host_record.restarts == 2


class Everything(Plugin):
    """Registers one of each."""

    name = "everything"

    class Specs:
        @hookspec(mode="collect")
        def shopping_list(self) -> str:
            """What to buy."""

    async def start(self, context) -> None:
        self.context = context
        self.heard: list[object] = []
        self.ended: list[str] = []
        context.provide(dict, {"a": 1})
        context.every(10, self.work, name="worker")
        context.cron("0 2 * * *", self.work, name="nightly")
        context.events.subscribe("ping", self.heard.append)
        context.register_hookspecs(self.Specs)
        context.spawn(anyio.sleep_forever)
        context.on_stop(lambda: self.ended.append("first noted"))
        context.on_stop(self.say_goodbye)

    async def say_goodbye(self) -> None:
        self.ended.append("last noted")

    async def work(self) -> None: ...

    @hookimpl
    def register_jobs(self) -> list[Job]:
        return [Job(name="contributed", function=self.work, every=5)]

    @hookimpl
    async def shopping_list(self) -> str:
        return "tea"


async def test_whatever_a_plugin_registers_is_there_and_gone_with_it() -> None:
    plugin = Everything()
    async with a_host() as host:
        await host.load_plugin(plugin)
        assert host.use(dict) == {"a": 1}
        assert {job.name for job in host.jobs.snapshot()} == {"worker", "nightly", "contributed"}
        await host.events.publish("ping", 1)
        assert plugin.heard == [1]
        assert await host.hooks.shopping_list() == ["tea"]
        await host.unload_plugin("everything")
        with pytest.raises(ServiceError):
            host.use(dict)
        assert host.jobs.snapshot() == ()
        await host.events.publish("ping", 2)
        assert plugin.heard == [1]
        with pytest.raises(UnknownHookError):
            _ = host.hooks.shopping_list
        assert plugin.ended == ["last noted", "first noted"]
        for late in (lambda: plugin.context.provide(int, 1), lambda: plugin.context.spawn(anyio.sleep, 0)):
            with pytest.raises(PluginGoneError):
                late()


async def test_a_reload_shows_the_new_ones_effects_and_none_twice() -> None:
    made: list[Everything] = []

    def factory() -> Everything:
        made.append(Everything())
        return made[-1]

    async with a_host() as host:
        await host.load_plugin(factory, name="everything")
        await host.reload_plugin("everything")
        assert sorted(job.name for job in host.jobs.snapshot()) == ["contributed", "nightly", "worker"]
        await host.events.publish("ping", 1)
        assert (made[0].heard, made[1].heard) == ([], [1])
        assert await host.hooks.shopping_list() == ["tea"]
        assert host.use(dict) is not None
        assert made[0].ended
        assert not made[1].ended


async def test_each_step_of_a_life_is_an_event() -> None:
    class Fine(Plugin):
        name = "fine"

    class Bad(Plugin):
        name = "bad"

        async def start(self, context) -> None:
            raise OSError

    told: list[str] = []
    async with a_host() as host:
        host.events.subscribe(PluginStateChanged, lambda event: told.append(str(event.plugin.state)))
        host.events.subscribe(PluginStarted, lambda event: told.append(f"started {event.plugin.name}"))
        host.events.subscribe(PluginFailed, lambda event: told.append(f"failed in {event.phase}"))
        host.events.subscribe(PluginStopped, lambda event: told.append(f"stopped {event.plugin.name}"))
        await host.load_plugin(Fine)
        with pytest.raises(Exception, match="OSError"):
            await host.load_plugin(Bad)
        await host.unload_plugin("fine")
    assert told == [
        *("waiting", "starting", "ready", "started fine"),
        *("waiting", "starting", "failed", "failed in start"),
        *("stopping", "stopped", "stopped fine"),
    ]


async def test_plugins_are_told_of_each_other_by_hooks() -> None:
    told: list[str] = []

    class Listener(Plugin):
        name = "listener"

        @hookimpl
        async def plugin_started(self, plugin) -> None:
            told.append(f"+{plugin.name}")

        @hookimpl
        def plugin_stopped(self, plugin) -> None:
            told.append(f"-{plugin.name}")

        @hookimpl
        def plugin_failed(self, plugin, phase, error) -> None:
            told.append(f"!{plugin.name} {phase} {error.kind}")

    class Other(Plugin):
        name = "other"

    async with a_host() as host:
        await host.load_plugin(Listener)
        await host.load_plugin(Other)
        await host.unload_plugin("other")
    assert told == ["+listener", "+other", "-other"]


async def test_a_plugin_may_open_in_start_what_it_closes_in_stop() -> None:
    class Grouped(Plugin):
        name = "grouped"

        async def start(self, context) -> None:
            self.tasks = anyio.create_task_group()
            await self.tasks.__aenter__()
            self.tasks.start_soon(anyio.sleep_forever)

        async def stop(self) -> None:
            self.tasks.cancel_scope.cancel()
            await self.tasks.__aexit__(None, None, None)

    async with a_host() as host:
        await host.load_plugin(Grouped)
    assert host.plugin("grouped").reason == "the host stopped"


async def test_a_plain_start_runs_in_a_thread_and_may_use_its_context() -> None:
    ran = anyio.Event()

    class Plain(Plugin):
        name = "plain"

        def start(self, context) -> None:  # type: ignore[override]
            context.provide(float, 1.5)
            context.spawn(self.work)

        async def work(self) -> None:
            ran.set()

    async with a_host() as host:
        await host.load_plugin(Plain)
        assert host.use(float) == 1.5
        with anyio.fail_after(2):
            await ran.wait()


@pytest.mark.parametrize("times", [100, pytest.param(1000, marks=pytest.mark.soak)])
async def test_many_reloads_leave_no_memory_behind(anyio_backend, times: int) -> None:
    async with a_host() as host:
        await host.load_plugin(Everything)

        async def reload(times: int) -> int:
            for _ in range(times):
                await host.reload_plugin("everything")
            gc.collect()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            warm = await reload(100)
            grown = await reload(times) - warm
        finally:
            tracemalloc.stop()
    assert grown < max(50_000, 100 * times), f"{grown} bytes more after {times} reloads"
