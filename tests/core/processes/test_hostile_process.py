"""A process that means harm, or whose memory is spoilt, harms nobody: the host takes nothing that it says on trust."""

from __future__ import annotations

import os
import resource
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from faulty_plugin import SOURCE
from housed import Neighbour, configuration, housed, open_files, process_of, until, write_plugin
from plughost import Host, Plugin, hookimpl
from plughost.core.processes import guest, housing
from plughost.core.processes.output import Output
from plughost.core.wire.calls import MOST_IN_FLIGHT, WireCalls
from plughost.core.wire.frames import Kind
from plughost.core.wire.page import FlightReader
from plughost.core.wire.protocol import Member, crossing_of
from plughost.exceptions import PluginError

pytestmark = pytest.mark.anyio

HOSTILE = (
    SOURCE.replace(
        "FAULTS = {",
        """
def spoil(*numbers):
    import mmap, struct
    for number in range(3, 64):
        try:
            if "memfd:plughost" in os.readlink(f"/proc/self/fd/{number}"):
                mmap.mmap(number, 4096)[:6] = struct.pack("<IH", *numbers)
        except OSError:
            pass


def spoil_and_die(*numbers):
    spoil(*numbers)
    os.kill(os.getpid(), signal.SIGKILL)


def raw(kind, call, member, *values):
    from plughost.core.wire.protocol import crossing_of
    calls = SELF[0].context._calls
    calls._channel.send(kind, call, member, values, crossing_of(member).arguments.put)


async def call_private():
    from plughost.core.wire.calls import WireCalls
    from plughost.core.wire.protocol import HookRequest, Member, crossing_of
    calls = SELF[0].context._calls
    told = []
    for name in ("__init__", "__setattr__", "_declared"):
        for arguments in ({}, {"declared": 1, "absent": 2, "own_first": True}):
            try:
                request = HookRequest(hook=name, arguments=arguments)
                await calls.call(Member.HOOK, (request,), crossing_of(Member.HOOK))
            except Exception as error:
                told.append(type(error).__name__)
    return told


async def take_a_number_again():
    from plughost.core.wire.protocol import HookRequest, Member
    for _ in range(50):
        raw(1, 7, Member.HOOK, HookRequest(hook="describe_device", arguments={"user_agent": "x"}))
    await anyio.sleep(0.5)


SELF = []
FAULTS = {
    "a signal without a name": lambda: os.kill(os.getpid(), 40),
    "a page that says nonsense": lambda: spoil_and_die(7, 0xFFF0),
    "a page that names a hook there is not": lambda: spoil_and_die(7, 200),
    "private": call_private,
    "again": take_a_number_again,
""",
    )
).replace("        self.heard = []\n", "        self.heard = []\n        SELF.append(self)\n")


async def is_well(host: Host) -> bool:
    """Whether the host still works for others."""
    return await host.hooks.describe_device(user_agent="x") is None


@pytest.mark.parametrize(
    ("fault", "signal_name"),
    [
        ("a signal without a name", "signal 40"),
        ("a page that says nonsense", "SIGKILL"),
        ("a page that names a hook there is not", "SIGKILL"),
    ],
)
async def test_however_it_ends_and_whatever_its_page_says_it_is_told_and_replaced(
    tmp_path: Path, fault: str, signal_name: str
) -> None:
    write_plugin(tmp_path, HOSTILE)
    async with housed(configuration(tmp_path)) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        await host.hooks.misbehave.report(how=fault)
        await until(lambda: process_of(host).restarts == 1)
        last = process_of(host).last_exit
        assert last is not None
        assert last.signal == signal_name
        assert signal_name in last.reason
        assert await is_well(host)


LIES = """
import plughost.core.guest.life as life
import plughost.core.guest.plugin as plugin
from plughost import Plugin, hookimpl
from plughost.core.wire.faults import Fault
from plughost.core.wire.protocol import HookManifest, PluginManifest

HOW = {how!r}


def told(schema=None, **hook):
    said = HookManifest(**{{"hook": "misbehave", **hook}})
    return PluginManifest(wire=plugin.VERSION, plughost="", version="", requires=(), after=(), host_api="",
        schema=schema, secrets=(), hooks=(said,), confinement=())


if HOW.startswith("Fault"):
    life.as_fault = lambda error: Fault(HOW.partition(" ")[2], "no", own=True)
    raise ValueError("no")
if HOW == "schema":
    plugin.HerePlugin.manifest = lambda self, confinement: told({{"$ref": 5, "properties": 7, "$defs": "x"}})
if HOW == "hook":
    plugin.HerePlugin.manifest = lambda self, confinement: told(hook="no name", arguments=("how", "how"))
if HOW == "twice":
    plugin.HerePlugin.manifest = lambda self, confinement: told(arguments=("how", "how"))


class Lies(Plugin):
    @hookimpl
    async def misbehave(self, how):
        return how
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    "how",
    [
        *("Fault Refused", "Fault ConfigError", "Fault PluginError", "Fault PluginTimeoutError"),
        *("Fault PluginCrashedError", "Fault Nobody", "schema", "hook", "twice"),
    ],
)
async def test_whatever_it_says_of_its_import_is_the_failure_of_that_plugin_alone(
    tmp_path: Path, how: str
) -> None:
    write_plugin(tmp_path, LIES.format(how=how), "lies")
    async with housed(configuration(tmp_path, "lies")) as host:
        record = host.plugins["lies"]
        assert (record.state, bool(record.reason)) == ("failed", True)
        await host.load_plugin(Neighbour, name="neighbour")
        assert await is_well(host)


async def test_it_calls_hooks_and_nothing_else_of_the_host(tmp_path: Path) -> None:
    write_plugin(tmp_path, HOSTILE)
    async with housed(configuration(tmp_path)) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        answer = await host.hooks.misbehave(how="private")
        assert answer["done"] == ["UnknownHookError"] * 6
        assert await is_well(host)


async def test_a_number_that_is_taken_again_is_one_call(tmp_path: Path) -> None:
    write_plugin(tmp_path, HOSTILE)
    asked = []

    class Slow(Plugin):
        @hookimpl
        async def describe_device(self, user_agent: str) -> None:
            asked.append(user_agent)
            await anyio.sleep(0.1)

    async with housed(configuration(tmp_path)) as host:
        await host.load_plugin(Slow, name="neighbour")
        await host.hooks.misbehave(how="again")
        assert len(asked) == 1


async def test_one_that_dies_while_its_stacks_are_waited_for_is_told_of_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_for: list[int] = []
    stacks = FlightReader.stacks

    def noted(page: FlightReader) -> str:
        waited_for.append(1)
        return stacks(page)

    monkeypatch.setattr(guest, "_DUMP", 30.0)
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path), timeouts={"misbehave": 0.2}) as host:
        await host.load_plugin(Neighbour, name="neighbour")
        pid = process_of(host).pid or 0
        monkeypatch.setattr(FlightReader, "stacks", noted)
        await host.hooks.misbehave.report(how="stop")  # it writes nothing down
        await until(lambda: len(waited_for) > 1)
        os.kill(pid, signal.SIGKILL)
        await until(lambda: process_of(host).restarts == 1)
        await anyio.sleep(2 * guest._DUMP / 25)  # whoever waits looks once more
        assert await is_well(host)


async def test_whether_it_turns_can_be_asked_however_many_calls_it_has(tmp_path: Path) -> None:
    sent = []

    class Deaf:
        waiting = 0

        def send(self, kind: int, *_: object) -> None:
            sent.append(kind)

    calls = WireCalls(cast("Any", None))
    calls.open_over(cast("Any", Deaf()))
    async with anyio.create_task_group() as asking:
        for _ in range(MOST_IN_FLIGHT):
            asking.start_soon(calls.call, Member.STOP, (), crossing_of(Member.STOP))
        await until(lambda: calls.in_flight == MOST_IN_FLIGHT)
        asking.start_soon(calls.ping)
        await until(lambda: sent[-1] == Kind.PING)
        asking.cancel_scope.cancel()


async def test_what_it_left_behind_cannot_hold_the_host_by_writing_on() -> None:
    output = Output(os.open("/dev/zero", os.O_RDONLY), "faulty")  # as much as anybody reads
    reader = threading.Thread(target=output.read_rest, daemon=True)
    reader.start()
    reader.join(20)
    assert not reader.is_alive()
    output.close()


async def test_one_that_rests_uses_no_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housing, "_LOOK_EVERY", 0.05)
    write_plugin(
        tmp_path,
        SOURCE.replace(
            "spin():\n    while True:",
            "spin():\n    end = time.monotonic() + 0.2\n    while time.monotonic() < end:",
        ),
    )
    async with housed(configuration(tmp_path)) as host:
        await host.hooks.misbehave(how="spin")
        await until(lambda: process_of(host).cpu_share == 0.0)


async def test_one_that_cannot_be_begun_leaves_no_file_open(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path)) as host:
        before = open_files()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        for spare in range(8):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_first_free(spare), hard))
            try:
                with suppress(PluginError, OSError):  # the host itself may be the one that lacks a file
                    await host.reload_plugin("faulty")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(open_files()) == len(before)


def _first_free(spare: int) -> int:
    """The limit with which so many further files can be opened."""
    taken = [os.open(os.devnull, os.O_RDONLY) for _ in range(spare + 1)]
    for number in taken:
        os.close(number)
    return taken[-1]
