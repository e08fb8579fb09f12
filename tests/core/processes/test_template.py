"""The process of which those of plugins are forked, as the host has it."""

from __future__ import annotations

import os
import signal
import socket
from collections import deque
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from housed import children, nowhere, open_files, until
from plughost.contracts.clock import SYSTEM_CLOCK
from plughost.core.processes.guest import Care, begin_process
from plughost.core.processes.template import Child, ExitStatus, TemplateProcess, _Birth
from plughost.core.wire.births import BORN, ENDED, MESSAGE, Ends, Request
from plughost.core.wire.calls import awaited_reply
from plughost.core.wire.page import new_page

pytestmark = pytest.mark.anyio

_MANY = 200


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
            await template.fork(Request(nowhere(tmp_path)), Ends(theirs.fileno(), leash, output, page))
        assert scope.cancelled_caught
        await until(lambda: not asked)
        for number in (leash, kept, reading, output, page):
            os.close(number)
        ours.close()
        theirs.close()
        template.close()
    await until(lambda: children() <= before)
    assert open_files().items() - files.items() == set()


async def test_one_that_has_ended_before_anybody_looked_at_it_is_told_of(tmp_path: Path) -> None:
    class Hasty(TemplateProcess):
        async def fork(self, request: Request, ends: Ends) -> Child:
            child = await super().fork(request, ends)
            await child.ended.wait()
            return child

    files = open_files()
    async with anyio.create_task_group() as tasks:
        template = Hasty(tasks)
        care = Care(plugin="late", strikes=3, start="template", tasks=tasks, clock=SYSTEM_CLOCK)
        request = Request(nowhere(tmp_path), interpreter="/nowhere/python")
        process = await begin_process(care, template, request, cast("Any", Silent()))
        await process.ended.wait()
        assert process.exit is not None
        assert process.exit.exit == 1
        await process.end()
        template.close()
    assert open_files().items() - files.items() == set()


class Silent:
    """A resident nobody hears of."""

    def name_of(self, member: int) -> str:
        """Every member is called the same."""
        return "import"

    def fall_silent(self) -> None:
        """There is nothing left to say."""


async def test_the_end_of_one_may_be_told_with_its_birth(tmp_path: Path) -> None:
    async with anyio.create_task_group() as tasks:
        template = TemplateProcess(tasks)
        reading, output = os.pipe()
        asked = _Birth(awaited_reply())
        template._births.append(asked)
        template._hear(MESSAGE.pack(BORN, 77, 0, 0), [reading])
        template._hear(MESSAGE.pack(ENDED, 77, 11, 5), [])
        child = await asked.reply
        assert child.ended.is_set()
        assert child.exit == ExitStatus(11, 5 * 1024)
        os.close(reading)
        os.close(output)


async def test_as_many_as_are_asked_for_at_once_are_begun_however_slow_it_is(tmp_path: Path) -> None:
    begun: list[int] = []
    async with anyio.create_task_group() as tasks:
        template = TemplateProcess(tasks)
        page = new_page("many")
        reading, output = os.pipe()
        ends = Ends(os.dup(output), os.dup(reading), os.dup(output), page)
        request = Request(nowhere(tmp_path), interpreter="/nowhere/python")

        async def ask() -> None:
            child = await template.fork(request, ends)
            begun.append(child.pid)
            os.close(child.stands_for)

        await ask()
        process = template._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)
        async with anyio.create_task_group() as asking:
            for _ in range(_MANY):
                asking.start_soon(ask)
            await anyio.sleep(0.1)
            os.kill(process.pid, signal.SIGCONT)
        assert len(set(begun)) == _MANY + 1
        for number in (*ends.all(), reading, output):
            os.close(number)
        template.close()
        process.wait(60)  # closing waits for a moment only, and so many take a busy machine longer
