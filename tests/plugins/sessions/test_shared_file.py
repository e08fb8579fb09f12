"""Several writers on one session database, as the processes of one machine are."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from plughost.contracts.clock import SteadyTime
from plughost.contracts.session_store import ReplacedSession, StoredSession
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.plugins.sessions.turns import WriterTurns
from plughost.testing.clock import FakeClock
from plughost.testing.suites.session_store import digest, new

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stores(tmp_path: Path, clock: FakeClock) -> AsyncIterator[tuple[SQLiteStore, SQLiteStore]]:
    here, there = (SQLiteStore(tmp_path / "sessions.db", SteadyTime(clock)) for _ in range(2))
    await here.open()
    await there.open()
    yield here, there
    await there.close()
    await here.close()


async def test_what_one_makes_changes_and_ends_holds_for_the_other(
    stores: tuple[SQLiteStore, SQLiteStore],
) -> None:
    for way, (here, there) in (("to", stores), ("fro", stores[::-1])):
        a, b, c = (f"{way}-{name}" for name in "abc")
        made = await here.create(new(a, fields={"x": b"1"}))
        assert await there.read(digest(a)) == made
        await there.replace(digest(a), new(b), version=1, grace=0.0)
        assert await here.read(digest(a)) is None
        assert isinstance(await here.read(digest(b)), StoredSession)
        await here.create(new(c))
        assert await there.end_subject("ada", keep=digest(c)) == 1
        assert await here.read(digest(b)) is None
        assert await here.delete(digest(c)) is not None
        assert await there.read(digest(c)) is None


async def test_an_id_that_one_replaced_is_an_alarm_in_the_other(
    stores: tuple[SQLiteStore, SQLiteStore], clock: FakeClock
) -> None:
    here, there = stores
    await here.create(new("a"))
    await here.replace(digest("a"), new("b"), version=1, grace=10.0)
    read = await there.read(digest("a"))
    assert isinstance(read, StoredSession)
    assert read.successor_of == digest("a")
    await clock.advance(11)
    assert await there.read(digest("a")) == ReplacedSession(successor=digest("b"))


async def test_figures_are_exact_in_both_whoever_made_and_ended_what(
    stores: tuple[SQLiteStore, SQLiteStore], clock: FakeClock
) -> None:
    here, there = stores
    for number in range(30):
        await stores[number % 2].create(new(f"s{number}", subject=f"u{number % 3}", idle=60.0 + 40 * number))
        found = [await store.stats() for store in stores]
        assert [one.active for one in found] == [number + 1] * 2
    await there.end_subject("u0")
    await clock.advance(61)
    await here.delete(digest("s4"))
    first, second = await here.stats(), await there.stats()
    assert (first.active, first.expired) == (second.active, second.expired) == (19, 10)
    while await there.purge(7):
        pass
    assert [(one.active, one.expired) for one in (await here.stats(), await there.stats())] == [(19, 0)] * 2


async def test_a_count_that_was_rolled_back_is_done_again(stores: tuple[SQLiteStore, SQLiteStore]) -> None:
    here, there = stores
    await there.create(new("theirs"))

    def count_and_fail(connection: sqlite3.Connection) -> None:
        here._tables.create(connection, new("never"))
        assert here._tables.figures(connection, "sqlite").active == 2
        raise sqlite3.OperationalError("the disk is gone")

    with pytest.raises(StoreUnavailableError, match="disk is gone"):
        await here._writer.run(count_and_fail)
    assert (await here.stats()).active == 1


async def test_a_busy_neighbour_passes_nobody_twice(tmp_path: Path) -> None:
    order: list[str] = []
    waiting = threading.Event()

    def take(name: str, times: int) -> None:
        turns = WriterTurns(tmp_path / "sessions.db", longest_wait=60)
        for _ in range(times):
            with turns:
                order.append(name)
                if name == "greedy":
                    waiting.wait(60)  # until the other one stands in the queue
        turns.close()

    def stand_in_the_queue() -> None:
        queue = WriterTurns(tmp_path / "sessions.db", longest_wait=60)
        while order == []:
            pass
        neighbour = threading.Thread(target=take, args=("patient", 1))
        neighbour.start()
        while True:  # the patient one has the queue's lock when nobody else can take it
            try:
                fcntl.flock(queue._descriptors[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                break
            fcntl.flock(queue._descriptors[0], fcntl.LOCK_UN)
        waiting.set()
        neighbour.join()
        queue.close()

    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, take, "greedy", 50)
        group.start_soon(anyio.to_thread.run_sync, stand_in_the_queue)
    assert order[:2] == ["greedy", "patient"]


async def test_who_holds_the_file_too_long_is_named_and_all_who_wait_are_told_at_once(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "sessions.db"
    store = SQLiteStore(path, SteadyTime(clock))
    await store.open()
    assert store._turns is not None
    store._turns._longest_wait = 0.05
    refused: list[str] = []

    async def ask(name: str) -> None:
        try:
            await store.create(new(name))
        except StoreUnavailableError as error:
            refused.append(str(error))

    hung = WriterTurns(path)
    with hung:
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(ask, f"s{number}")
    hung.close()
    assert len(refused) == 40
    assert all("has held" in one and "end it" in one for one in refused)
    assert await store.create(new("later")) is not None
    await store.close()


@pytest.mark.parametrize("spoil", ["no database", "another program", "torn", "newer"])
async def test_a_file_that_is_refused_is_closed_again(tmp_path: Path, clock: FakeClock, spoil: str) -> None:
    path = tmp_path / "sessions.db"
    if spoil == "no database":
        path.write_bytes(b"precious notes, not a database" * 100)
    else:
        hand = sqlite3.connect(path)
        hand.execute("CREATE TABLE sessions(mine TEXT)")
        if spoil == "newer":
            hand.execute(f"PRAGMA application_id={0x70_68_73_65}")
            hand.execute("PRAGMA user_version=99")
        hand.commit()
        hand.close()
        if spoil == "torn":
            path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 3000)
    store = SQLiteStore(path, SteadyTime(clock))
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await store.open()
        assert open_files(path) == []
    path.unlink()
    await store.open()
    assert await store.create(new("a")) is not None
    await store.close()
    assert open_files(path) == []


def open_files(path: Path) -> list[str]:
    """What this process still has open of a database."""
    links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [str(link) for link in links if str(link).startswith(str(path))]
