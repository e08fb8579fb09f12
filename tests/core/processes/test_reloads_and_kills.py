"""A plugin is reloaded again and again under load while its processes are killed: every call has one end."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from housed import Neighbour, children, configuration, housed, process_of, until, write_plugin
from plughost import Host
from plughost.exceptions import PluginProcessError, PluginStartError

pytestmark = pytest.mark.anyio

SOURCE = """
import anyio
from plughost import Plugin, hookimpl

class Faulty(Plugin):
    async def start(self, context):
        self.served = (context.data_dir / "served").open("a")

    @hookimpl
    async def misbehave(self, how):
        self.served.write(f"{how}\\n")
        self.served.flush()
        await anyio.sleep(0.002 * (int(how) % 3))
        return int(how)
"""
CALLERS = 8


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_call_is_answered_or_fails_once_whatever_is_killed_meanwhile(
    tmp_path: Path, seed: int
) -> None:
    await reload_and_kill(tmp_path, seed, reloads=4, kills=6)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_hundred_reloads_and_two_hundred_kills_lose_no_call(tmp_path: Path) -> None:
    await reload_and_kill(tmp_path, seed=3, reloads=100, kills=200)


async def reload_and_kill(folder: Path, seed: int, reloads: int, kills: int) -> None:
    write_plugin(folder, SOURCE)
    table = configuration(folder)
    table["host"] |= {"max_restarts": 10_000, "restart_pause": 0.0}
    ends: dict[int, str] = {}
    before = children()
    async with housed(table) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        over = anyio.Event()
        async with anyio.create_task_group() as calling:
            for number in range(CALLERS):
                calling.start_soon(call_until, host, over, ends, number)
            async with anyio.create_task_group() as trouble:
                trouble.start_soon(reload, host, random.Random(seed), reloads)  # noqa: S311  no secret
                trouble.start_soon(kill, before, random.Random(-seed), kills)  # noqa: S311
            await until(lambda: host.plugins["faulty"].state == "ready" and process_of(host).pid is not None)
            with anyio.fail_after(60):
                # The host may not have heard yet of the last that was killed.
                while (answer := await host.hooks.misbehave(how="1000000")) is None:  # noqa: ASYNC110
                    await anyio.sleep(0.02)
            assert answer == 1_000_000
            over.set()
        assert await host.hooks.describe_device(user_agent="x") is None
    served = Counter(map(int, (folder / "data" / "faulty" / "served").read_text().split()))
    served.pop(1_000_000)
    told = Counter(ends.values())
    assert set(served.values()) == {1}  # none was made again
    assert {number for number, end in ends.items() if end == "value"} <= served.keys() <= ends.keys()
    assert told.keys() <= {"value", "error"}
    assert told["value"] > reloads + kills
    print(dict(told))


async def call_until(host: Host, over: anyio.Event, ends: dict[int, str], first: int) -> None:
    """Call, each time with a number that no other call has."""
    number = first
    while not over.is_set():
        with anyio.fail_after(60):
            (outcome,) = (await host.hooks.misbehave.report(how=str(number))).outcomes
        assert number not in ends
        assert outcome.value == (number if outcome.kind == "value" else None)
        assert isinstance(outcome.error, PluginProcessError | None)
        ends[number] = outcome.kind
        number += CALLERS
        await checkpoint()  # one that fails at once waits for nothing


async def reload(host: Host, chance: random.Random, times: int) -> None:
    for _ in range(times):
        await anyio.sleep(chance.random() * 0.1)
        try:
            await host.reload_plugin("faulty")
        except (
            PluginProcessError,
            PluginStartError,
        ) as error:  # the new process was killed before it took over
            ends = (error, error.__cause__)
            assert any(isinstance(one, PluginProcessError) for one in ends)


async def kill(before: set[int], chance: random.Random, times: int) -> None:
    """Kill what answers now, or what is just being begun or stopped."""
    for _ in range(times):
        await anyio.sleep(chance.random() * 0.1)
        (template,) = children() - before
        if living := sorted(children(template)):
            os.kill(chance.choice(living), signal.SIGKILL)
