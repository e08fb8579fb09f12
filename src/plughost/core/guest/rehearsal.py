"""A plugin's life is lived once in the template, from its import to its stop, before any process is forked.

Processes that are forked share the template's memory until one of them writes on a page of it. The first time that code
runs the interpreter writes a lot: it fits the code to what comes by, looks up what names mean, makes what is made once.
What was done before the fork is shared.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import anyio

from plughost.contracts.http import HttpContext
from plughost.core.config.undecoded import UndecodedSettings
from plughost.core.guest.life import Life
from plughost.core.guest.plugin import HerePlugin, imported_plugin
from plughost.core.wire.calls import WireCalls
from plughost.core.wire.channel import open_channel
from plughost.core.wire.crossings import crossing_of_hook
from plughost.core.wire.page import FlightRecorder, new_page
from plughost.core.wire.protocol import GuestSpec, Member, StartRequest, crossing_of
from plughost.hookspecs import PROJECT

_NAME = "plughost_rehearsed"


def rehearse(library: str) -> None:
    """Live the life of a plugin on that event library, and leave nothing of it behind that anybody could see."""
    spec = GuestSpec(
        name=_NAME,
        reference=f"{_NAME}:Rehearsed",
        source="directory",
        origin="",
        folder=str(Path(__file__).parent),
        path=(),
        project=PROJECT,
        hookspecs=(),
        library=library,
        data_dir=os.devnull,
    )
    path = [*sys.path]
    page = new_page(_NAME)
    recorder = FlightRecorder(page)
    plugin = imported_plugin(spec)
    anyio.run(_perform, Life(spec, recorder, plugin, ()), plugin, backend=library)
    os.close(page)
    sys.path[:] = path
    del sys.modules[_NAME]


async def _perform(life: Life, plugin: HerePlugin) -> None:
    ours, theirs = socket.socketpair()
    audience = _Audience()
    calls = WireCalls(audience)
    async with anyio.create_task_group() as tasks:
        calls.open_over(open_channel(ours, tasks, calls.frame, lambda _: None))
        tasks.start_soon(life.run, theirs)
        await audience.is_there.wait()
        settings = UndecodedSettings(_NAME, {})
        request = StartRequest(host_name=_NAME, settings=settings, http=HttpContext(host_name=_NAME))
        await calls.call(Member.CHECK_CONFIG, (settings,), crossing_of(Member.CHECK_CONFIG))
        await calls.call(Member.START, (request,), crossing_of(Member.START))
        for number, one in enumerate(plugin.implementations):
            crossing = crossing_of_hook(_NAME, one.manifest, one.declaration)
            await calls.call(number, ("",) * len(one.manifest.arguments), crossing)
        await calls.ping()
        await calls.call(Member.STOP, (), crossing_of(Member.STOP))
        calls.end(lambda: ConnectionError("the rehearsal is over"))


class _Audience:
    """What the host would be: hears that the plugin is there, and is asked for nothing."""

    def __init__(self) -> None:
        self.is_there = anyio.Event()

    def call(self, call: int, member: int, body: memoryview) -> None:
        """It calls nothing."""

    def cancel(self, call: int) -> None:
        """It cancels nothing."""

    def note(self, member: int, body: memoryview) -> None:
        """It says that it is there, and later how it is."""
        self.is_there.set()
