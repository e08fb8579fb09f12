"""The thread that commits in groups: who shares a commit, in what order, and who is refused."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.database_file import DatabaseFile
from plughost.plugins.sessions.turns import WriterTurns
from plughost.plugins.sessions.writer import GroupCommitWriter

pytestmark = pytest.mark.anyio


class Commits:
    """Counts them."""

    def __init__(self) -> None:
        self.number = 0

    def __call__(self) -> None:
        self.number += 1


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
async def writer(tmp_path: Path, commits: Commits) -> AsyncIterator[GroupCommitWriter]:
    def connect() -> sqlite3.Connection:
        connection = DatabaseFile(tmp_path / "writer.db").connect_writer(WriterTurns(tmp_path / "writer.db"))
        connection.execute("CREATE TABLE log(what TEXT)")
        return connection

    writer = GroupCommitWriter(connect, committed=commits)
    await writer.start()
    yield writer
    await writer.stop()


def note(connection: sqlite3.Connection, what: str) -> None:
    connection.execute("INSERT INTO log VALUES(?)", (what,))


def noted(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    try:
        return [what for (what,) in connection.execute("SELECT what FROM log ORDER BY rowid")]
    finally:
        connection.close()


async def test_what_tasks_ask_for_in_one_turn_of_the_loop_is_one_commit(
    writer: GroupCommitWriter, commits: Commits
) -> None:
    async def ask(number: int) -> None:
        threading.Event().wait(0.02)  # holds the loop: a thread that had the first job would commit it now
        await writer.run(lambda c: note(c, str(number)))

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(ask, number)

    assert commits.number == 1


async def test_operations_happen_in_the_order_they_were_asked_for(
    writer: GroupCommitWriter, tmp_path: Path
) -> None:
    writer.post(lambda c: note(c, "posted"))
    await writer.run(lambda c: note(c, "run"))

    assert noted(tmp_path / "writer.db") == ["posted", "run"]


async def test_what_was_asked_for_just_before_the_stop_is_done(
    writer: GroupCommitWriter, tmp_path: Path
) -> None:
    writer.post(lambda c: note(c, "last"))
    await writer.stop()

    assert noted(tmp_path / "writer.db") == ["last"]


async def test_a_caller_that_is_cancelled_leaves_its_operation_behind(
    writer: GroupCommitWriter, tmp_path: Path
) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await writer.run(lambda c: note(c, "begun"))
    await writer.run(lambda c: note(c, "after"))

    assert noted(tmp_path / "writer.db") == ["begun", "after"]


async def test_who_asks_while_it_stops_is_refused_and_does_not_wait_for_ever(
    writer: GroupCommitWriter,
) -> None:
    busy, go_on = threading.Event(), threading.Event()

    def hold(connection: sqlite3.Connection) -> None:
        busy.set()
        go_on.wait()

    writer.post(hold)
    async with anyio.create_task_group() as group:
        await anyio.to_thread.run_sync(busy.wait)
        group.start_soon(writer.stop)
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        try:
            with anyio.fail_after(10), pytest.raises(StoreUnavailableError, match="closed"):
                await writer.run(lambda c: note(c, "too late"))
        finally:
            go_on.set()
