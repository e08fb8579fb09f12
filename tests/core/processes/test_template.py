"""The process of which those of plugins are forked, as the host has it."""

from __future__ import annotations

import os
import socket
from collections import deque
from pathlib import Path
from typing import Any

import anyio
import pytest

from housed import children, open_files, until
from plughost.core.processes.template import TemplateProcess, import_path
from plughost.core.stepping import event_library
from plughost.core.wire.births import Ends, Request
from plughost.core.wire.page import new_page
from plughost.core.wire.protocol import GuestSpec

pytestmark = pytest.mark.anyio


class Tells(deque[Any]):
    """A queue that tells when something is put into it."""

    def __init__(self, scope: anyio.CancelScope) -> None:
        super().__init__()
        self._scope = scope

    def append(self, item: Any, /) -> None:
        super().append(item)
        self._scope.cancel()


async def test_a_process_that_nobody_waits_for_any_more_leaves_no_open_file(tmp_path: Path) -> None:
    files, before = open_files(), children()
    async with anyio.create_task_group() as tasks:
        template = TemplateProcess(tasks)
        ours, theirs = socket.socketpair()
        leash, kept = os.pipe()
        reading, output = os.pipe()
        page = new_page("late")
        with anyio.CancelScope() as scope:
            template._births = asked = Tells(scope)  # given up when it is asked for, and before it is there
            await template.fork(Request(spec(tmp_path)), Ends(theirs.fileno(), leash, output, page))
        assert scope.cancelled_caught
        await until(lambda: not asked)
        for number in (leash, kept, reading, output, page):
            os.close(number)
        ours.close()
        theirs.close()
        template.close()
    await until(lambda: children() <= before)
    assert open_files().items() - files.items() == set()


def spec(folder: Path) -> GuestSpec:
    """A plugin that is nowhere."""
    return GuestSpec(
        name="late",
        reference="nowhere:Late",
        source="directory",
        origin="",
        folder="",
        path=import_path(),
        project="plughost",
        hookspecs=(),
        data_dir=str(folder),
        library=event_library.name or "asyncio",
    )
