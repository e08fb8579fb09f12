"""A plugin's process that does not read what it is sent: so much waits for it and no more, and callers are told."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from housed import configuration, housed, process_of, until, write_plugin
from plughost import Host, Plugin, hookimpl
from plughost.contracts import Device
from plughost.core.wire import calls
from plughost.exceptions import PluginProcessError

pytestmark = pytest.mark.anyio

SOURCE = """
import time

from plughost import Plugin, hookimpl
from plughost.core.wire.frames import FrameBuffer
from plughost.core.wire.protocol import HookRequest, Member, crossing_of


class Faulty(Plugin):
    async def start(self, context):
        self.context = context

    @hookimpl
    async def misbehave(self, how):
        if how == "ask":
            channel = self.context._calls._channel
            frames = FrameBuffer()
            request = HookRequest(hook="describe_device", arguments={"user_agent": "x"})
            for number in range(100):
                frames.add(1, number + 1, Member.HOOK, (request,), crossing_of(Member.HOOK).arguments.put)
            assert channel._sock.send(frames.take()) > 0
        time.sleep(100)

    @hookimpl(timeout=0.5)
    async def describe_device(self, user_agent):
        return None
"""
ROOM = 1 << 20


@asynccontextmanager
async def deaf(folder: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> AsyncIterator[Host]:
    """A host with a plugin whose event loop is held by a call that is within its limit."""
    monkeypatch.setattr(calls, "MOST_WAITING", ROOM, raising=False)
    write_plugin(folder, SOURCE)
    config = configuration(folder)
    async with housed(config, timeouts={"misbehave": 90.0}) as host, anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: host.hooks.misbehave(how=how))
        await until(lambda: process_of(host).in_flight == 1)
        yield host
        tasks.cancel_scope.cancel()


async def answers(host: Host, user_agent: str, times: int) -> Counter[str]:
    """What becomes of so many calls at once."""
    found: Counter[str] = Counter()

    async def call() -> None:
        report = await host.hooks.describe_device.report(user_agent=user_agent)
        (outcome,) = [one for one in report.outcomes if one.plugin == "faulty"]
        if outcome.kind == "error":
            assert isinstance(outcome.error, PluginProcessError)
            assert "plugin 'faulty' cannot answer now: it has " in str(outcome.error)
        found[outcome.kind] += 1

    async with anyio.create_task_group() as callers:
        for _ in range(times):
            callers.start_soon(call)
    return found


async def test_who_has_much_to_read_already_is_asked_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with deaf(tmp_path, monkeypatch, "hold") as host:
        found = await answers(host, "x" * (ROOM // 4), 20)
        assert found["error"] >= 10
        assert found["timed_out"] + found["error"] == 20
        assert (await answers(host, "x" * (ROOM // 4), 3))["error"] >= 2


async def test_calls_that_were_given_up_count_until_the_process_is_through_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_IN_FLIGHT", 40)
    async with deaf(tmp_path, monkeypatch, "hold") as host:
        for _ in range(2):
            assert await answers(host, "x", 10) == {"timed_out": 10}
        assert (await answers(host, "x", 30))["error"] >= 11
        assert await answers(host, "x", 3) == {"error": 3}


async def test_who_asks_the_host_and_reads_no_answer_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Neighbour(Plugin):
        @hookimpl(tryfirst=True)
        async def describe_device(self, user_agent: str) -> Device:
            return Device(kind="desktop", name="x" * (ROOM // 8))

    monkeypatch.setattr(calls, "MOST_WAITING", ROOM, raising=False)
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path), timeouts={"misbehave": 90.0}) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        (outcome,) = (await host.hooks.misbehave.report(how="ask")).outcomes
        assert outcome.kind == "error"
        await until(lambda: process_of(host).restarts == 1)
        last = process_of(host).last_exit
        assert last is not None
        assert last.reason.startswith("it did not read what the host told it, until ")
