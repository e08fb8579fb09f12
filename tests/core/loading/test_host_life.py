"""What becomes of plugins in a real host, good ones and broken ones."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import AuthAttempt, PluginState, Principal
from plughost.exceptions import HostNotReadyError, PluginStartError, PluginTimeoutError, ServiceError

from .sources_of_plugins import FAILING_START, GOOD, HANGING_START, INSTALLED, STUBBORN_START

pytestmark = pytest.mark.anyio

ATTEMPT = AuthAttempt(username="ada")
ADA = Principal("1", "ada")


def settings(**host: Any) -> dict[str, Any]:
    return {"host": {"load_timeout": 60.0, "shutdown_timeout": 0.3, "allow": INSTALLED, **host}}


async def test_an_installed_plugin_is_found_started_and_called(install) -> None:
    install("good", GOOD)
    async with Host(config=settings(), environ={}) as host:
        record = host.plugin("good")
        assert record is not None
        assert record.state is PluginState.READY
        assert record.hooks == ("after_auth",)
        assert (record.distribution, record.version) == ("acme-good", "1.0.0")
        await host.hooks.after_auth(attempt=ATTEMPT, principal=ADA)
        assert host.plugins["good"].status == {"seen": 1}
        assert "good" in host.report.loaded
    assert host.plugin("good").state is PluginState.STOPPED


async def test_a_failing_plugin_stops_nobody_and_leaves_nothing(install) -> None:
    install("good", GOOD)
    install("bad", FAILING_START)
    async with Host(config=settings(), environ={}) as host:
        assert host.plugin("good").state is PluginState.READY
        (row,) = [row for row in host.report.failed if row.name == "bad"]
        assert (row.phase, row.error.kind) == ("start", "PluginStartError")
        assert "no disk" in row.error.message
        assert "RuntimeError" in row.error.traceback
        assert not host.pluggy.has_plugin("bad")
        with pytest.raises(ServiceError):
            host.use(int)


@pytest.mark.parametrize("source", [HANGING_START, STUBBORN_START])
async def test_a_start_that_does_not_end_is_given_up_at_its_limit(install, source) -> None:
    install("slow", source)
    install("good", GOOD)
    async with Host(config=settings(load_timeout=2.0), environ={}) as host:
        assert host.plugin("good").state is PluginState.READY
        record = host.plugin("slow")
        assert record.state is PluginState.FAILED
        assert record.error.kind == "PluginTimeoutError"
        assert record.error.limit == 2.0


async def test_what_a_given_up_plugin_asks_for_later_is_refused(install) -> None:
    install("slow", STUBBORN_START)
    async with Host(config=settings(), environ={}) as host:
        from slow_plugin import P

        await anyio.lowlevel.checkpoint()
        with pytest.raises(ServiceError):
            host.use(str)
        assert set(P.late) <= {"PluginGoneError"}


async def test_a_host_that_is_not_entered_says_what_to_do() -> None:
    with pytest.raises(HostNotReadyError, match="async with"):
        _ = Host(environ={}).report


async def test_a_required_plugin_that_fails_keeps_the_host_from_being_ready(install) -> None:
    install("bad", FAILING_START)
    async with Host(config=settings(required=["bad"]), environ={}) as host:
        assert not host.ready


async def test_strict_mode_refuses_to_start_with_a_failed_plugin(install) -> None:
    install("bad", FAILING_START)
    install("good", GOOD)
    with pytest.raises(HostNotReadyError, match="no disk"):
        async with Host(config=settings(strict=True), environ={}):
            pass
    from good_plugin import P

    assert P.stopped == 1


class Counter(Plugin):
    name = "counter"

    def __init__(self) -> None:
        self.calls = 0
        self.running = False

    async def start(self, context) -> None:
        self.running = True

    async def stop(self) -> None:
        self.running = False

    @hookimpl
    async def after_auth(self, attempt, principal) -> None:
        assert self.running
        self.calls += 1


async def test_a_plugin_can_be_loaded_unloaded_and_reloaded_by_hand() -> None:
    async with Host(config=settings(allow=[]), environ={}) as host:
        assert (await host.load_plugin(Counter)).state is PluginState.READY
        assert (await host.reload_plugin("counter")).generation == 2
        assert await host.unload_plugin("counter")
        assert not await host.unload_plugin("counter")
        assert not host.pluggy.has_plugin("counter")
        assert (await host.load_plugin("counter")).state is PluginState.READY


async def test_loading_by_hand_tells_the_caller_of_a_failure() -> None:
    class Bad(Plugin):
        async def start(self, context) -> None:
            raise ValueError("no")

    class Slow(Plugin):
        async def start(self, context) -> None:
            await anyio.sleep_forever()

    async with Host(config=settings(allow=[], load_timeout=2.0), environ={}) as host:
        with pytest.raises(PluginStartError, match="no"):
            await host.load_plugin(Bad)
        with pytest.raises(PluginTimeoutError, match="2 s"):
            await host.load_plugin(Slow)
        assert host.plugin("bad").state is PluginState.FAILED


async def test_no_call_is_lost_or_doubled_while_a_plugin_is_reloaded() -> None:
    made: list[Counter] = []

    def factory() -> Counter:
        made.append(Counter())
        return made[-1]

    async with Host(config=settings(allow=[]), environ={}) as host:
        await host.load_plugin(factory, name="counter")

        async def call(times: int) -> None:
            for _ in range(times):
                (outcome,) = (await host.hooks.after_auth.report(attempt=ATTEMPT, principal=ADA)).outcomes
                assert outcome.kind == "value", outcome.error
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as callers:
            for _ in range(20):
                callers.start_soon(call, 500)
            for _ in range(30):
                await host.reload_plugin("counter")
    assert sum(plugin.calls for plugin in made) == 10_000
    assert len(made) == 31


FAILING_AFTER_ON_STOP = """
from plughost import Plugin

class P(Plugin):
    closed = []

    async def start(self, context):
        context.on_stop(lambda: self.closed.append("file"))
        raise OSError("disk")
"""


async def test_what_a_failed_start_asked_for_with_on_stop_is_done(install) -> None:
    install("bad", FAILING_AFTER_ON_STOP)
    async with Host(config=settings(), environ={}) as host:
        from bad_plugin import P

        assert host.plugins["bad"].state is PluginState.FAILED
        assert P.closed == ["file"]


IDLE = """
import anyio
from plughost import Plugin

class P(Plugin):
    async def start(self, context):
        await anyio.sleep(0.01)
"""


async def test_a_place_that_falls_free_goes_to_the_follower_in_the_longest_chain(install) -> None:
    install("one", IDLE)
    install("two", IDLE, card='requires = ["one"]')
    install("good", IDLE, card='requires = ["two"]')
    install("slow", IDLE)
    async with Host(config=settings(load_concurrency=1), environ={}) as host:
        loaded = host.report.loaded
    assert loaded.index("one") < loaded.index("two") < loaded.index("slow")
