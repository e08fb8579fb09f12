"""What is told of a plugin's process while it runs, and what follows when it uses too much memory."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from faulty_plugin import SOURCE
from housed import configuration, housed, process_of, until, write_plugin
from plughost.core.processes import housing
from plughost.core.processes.outside_look import stacks_of

pytestmark = pytest.mark.anyio


async def test_its_record_tells_memory_time_threads_files_and_traffic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housing, "_LOOK_EVERY", 0.05)
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path)) as host:
        await until(lambda: process_of(host).cpu_share is not None)
        first = process_of(host)
        assert first.memory is not None
        assert 5_000_000 < first.memory < 200_000_000
        assert first.threads == 1
        assert first.files is not None
        assert 5 < first.files < 30
        await host.hooks.misbehave(how="")
        now = process_of(host)
        assert now.sent > first.sent
        assert now.received > first.received
        assert now.in_flight == 0


async def test_one_that_uses_too_much_memory_is_replaced_and_no_call_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housing, "_LOOK_EVERY", 0.05)
    source = SOURCE.replace(
        '"odd answer": object', '"odd answer": object, "eat": lambda: KEPT.append(bytearray(60_000_000))'
    )
    write_plugin(tmp_path, source.replace("FAULTS = {", "KEPT = []\nFAULTS = {"))
    async with housed(configuration(tmp_path, memory="70MB")) as host:
        before = process_of(host).pid
        await host.hooks.misbehave(how="eat")
        await until(lambda: process_of(host).pid not in (before, None))
        assert process_of(host).last_exit is None
        assert (await host.hooks.misbehave(how=""))["pid"] == process_of(host).pid


async def test_it_is_not_given_twice_as_much(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path, memory="100MB")) as host:
        report = await host.hooks.misbehave.report(how="bomb")
        assert "MemoryError" in str(report.outcomes[0].error)
        assert (await host.hooks.misbehave(how=""))["pid"] == process_of(host).pid


@pytest.mark.parametrize("confined", [False, True])
async def test_another_process_can_ask_where_it_stands(tmp_path: Path, confined: bool) -> None:
    write_plugin(tmp_path, SOURCE)
    process = {"confine": {}} if confined else {}
    async with housed(configuration(tmp_path, **process)) as host:
        (stack,) = stacks_of(os.getpid(), "faulty")
        assert stack.pid == process_of(host).pid
        assert "plughost/core/guest/life.py" in stack.text
        assert stacks_of(os.getpid(), "another") == []
        assert (await host.hooks.misbehave(how=""))["pid"] == stack.pid


async def test_it_can_be_asked_as_often_as_anybody_likes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housing, "_LOOK_EVERY", 0.2)
    write_plugin(tmp_path, SOURCE)
    async with housed(configuration(tmp_path)) as host:
        pid, written = process_of(host).pid, 0
        while written < 200_000:  # three times the room there is
            (stack,) = await run_sync(stacks_of, os.getpid(), "faulty")
            # There was no room, or it is being made just now: that is over soon.
            if stack.is_cut or not stack.text:
                await anyio.sleep(0.1)
                continue
            assert "plughost/core/guest/life.py" in stack.text
            written += len(stack.text)
        assert process_of(host).pid == pid


async def test_stacks_for_which_there_is_no_room_are_said_to_be_cut(tmp_path: Path) -> None:
    deep = """
import threading, time

at_the_bottom = threading.Semaphore(0)

def down(depth):
    if depth:
        down(depth - 1)
    at_the_bottom.release()
    time.sleep(1000)

for _ in range(60):
    threading.Thread(target=down, args=(60,), daemon=True).start()
for _ in range(60):
    at_the_bottom.acquire()
"""
    write_plugin(tmp_path, deep + SOURCE)
    async with housed(configuration(tmp_path)):
        # A process that does not run for a while has not written all that there is room for.
        for _ in range(20):
            (stack,) = await run_sync(stacks_of, os.getpid(), "faulty")
            if stack.is_cut:
                break
        assert stack.is_cut
        assert "in down" in stack.text
