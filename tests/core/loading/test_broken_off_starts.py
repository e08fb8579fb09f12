"""Whoever loads a plugin may leave at any moment; nothing of the plugin may stay."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from plughost import Host, Plugin
from plughost.contracts import PluginContext, PluginState
from plughost.testing import HostMaker

pytestmark = pytest.mark.anyio

TRIES = 20
"""Trio runs tasks in random order: one try would not say much."""


class Quick(Plugin):
    """Its start has no wait in it, so a cancellation meets it before or after, never in between."""

    name = "quick"
    started = 0
    stopped = 0
    running = 0

    async def start(self, context: PluginContext) -> None:
        type(self).started += 1
        context.spawn(self.work)

    async def stop(self) -> None:
        type(self).stopped += 1

    async def work(self) -> None:
        type(self).running += 1
        try:
            await anyio.sleep_forever()
        finally:
            type(self).running -= 1


@pytest.fixture(autouse=True)
def fresh() -> None:
    Quick.started = Quick.stopped = Quick.running = 0


async def broken_off(host: Host, turns: int) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(host.load_plugin, Quick)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("turns", range(6))
async def test_a_start_that_is_broken_off_is_stopped_or_never_was(make_host: HostMaker, turns: int) -> None:
    with anyio.fail_after(30):
        async with make_host() as host:
            for _ in range(TRIES):
                await broken_off(host, turns)
                if "quick" in host.plugins:
                    await host.unload_plugin("quick")
                assert Quick.started == Quick.stopped
                assert Quick.running == 0
            assert (await host.load_plugin(Quick)).state is PluginState.READY


class Shielded(Plugin):
    """Its only wait cannot be cancelled, so giving the start up does not keep it from succeeding."""

    name = "shielded"
    stopped = 0
    entered: anyio.Event

    async def start(self, context: PluginContext) -> None:
        self.entered.set()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(0.1)

    async def stop(self) -> None:
        type(self).stopped += 1


async def test_a_start_that_succeeds_after_it_was_given_up_is_stopped(make_host: HostMaker) -> None:
    Shielded.stopped, Shielded.entered = 0, anyio.Event()
    async with make_host() as host:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.load_plugin, Shielded)
            await Shielded.entered.wait()
            tasks.cancel_scope.cancel()
        assert Shielded.stopped == 1
        assert host.plugins["shielded"].state is not PluginState.READY
