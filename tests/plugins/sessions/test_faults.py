# ruff: noqa: ASYNC240, S608 - files and processes are what these tests are about
"""Disks, files and clocks that misbehave; rows that cannot be read."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from others import run_as_anybody
from plughost.contracts.clock import SteadyTime
from plughost.contracts.session import RequestSession
from plughost.contracts.session_store import SessionPatch, StoredSession
from plughost.exceptions import SessionUnreadableError, StoreUnavailableError
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.plugins.sessions.tokens import digest_of_id
from plughost.testing.clock import FakeClock
from plughost.testing.suites.session_store import digest, new

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "sessions.db", SteadyTime(clock))
    await store.open()
    yield store
    await store.close()


def direct(store: SQLiteStore) -> sqlite3.Connection:
    """A hand inside the file."""
    return sqlite3.connect(store.path, isolation_level=None)


async def test_a_full_disk_refuses_what_does_not_fit_and_keeps_what_is_there(store: SQLiteStore) -> None:
    await store.create(new("a", fields={"x": b"1"}))
    pages = await store._writer.run(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await store._writer.run(lambda c: c.execute(f"PRAGMA max_page_count={pages + 1}").fetchone())
    refused = 0
    for number in range(8):
        try:
            await store.create(new(f"big{number}", fields={"x": b"y" * 6000}))
        except StoreUnavailableError as error:
            refused += "full" in str(error)
    assert refused
    found = await store.read(digest("a"))
    assert isinstance(found, StoredSession)
    assert found.fields == {"x": b"1"}
    assert await store.delete(digest("a")) is not None
    await store._writer.run(lambda c: c.execute("PRAGMA max_page_count=1000000").fetchone())
    assert await store.create(new("later", fields={"x": b"y" * 6000})) is not None


async def test_one_write_that_fails_does_not_take_its_neighbours_along(store: SQLiteStore) -> None:
    await store.create(new("a"))
    results: list[Any] = []

    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE sessions SET handle = 'half done'")
        connection.execute("SELECT no_such_function()")

    async def attempt(call: Any) -> None:
        try:
            results.append(await call())
        except StoreUnavailableError as error:
            results.append(error)

    async with anyio.create_task_group() as group:
        for number in range(5):
            patch = SessionPatch(set={f"k{number}": b"1"})
            group.start_soon(attempt, lambda patch=patch: store.patch(digest("a"), patch))
        group.start_soon(attempt, lambda: store._writer.run(broken))
        group.start_soon(attempt, lambda: store.create(new("b")))
    assert sum(isinstance(one, StoreUnavailableError) for one in results) == 1
    found = await store.read(digest("a"))
    assert isinstance(found, StoredSession)
    assert found.handle == "handle-a"
    assert set(found.fields) == {f"k{number}" for number in range(5)}
    assert (await store.stats()).active == 2


async def test_a_writer_that_is_locked_out_says_so_and_recovers(store: SQLiteStore) -> None:
    await store._writer.run(lambda c: c.execute("PRAGMA busy_timeout=50").fetchone())
    intruder = direct(store)
    intruder.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        await store.create(new("a"))
    intruder.execute("ROLLBACK")
    intruder.close()
    assert await store.create(new("a")) is not None


@pytest.mark.parametrize(
    ("column", "value"),
    [("fields", b"\xc1"), ("fields", b""), ("fields", b"\x80\x04}."), ("fields", b"\x81\xa1a\x01")],
)
async def test_cve_2021_33026_a_damaged_row_is_refused_and_kept(
    store: SQLiteStore, column: str, value: bytes
) -> None:
    await store.create(new("a"))
    hand = direct(store)
    hand.execute(f"UPDATE sessions SET {column} = ?", (value,))
    for call in (
        lambda: store.read(digest("a")),
        lambda: store.patch(digest("a"), SessionPatch(set={"x": b"1"})),
        lambda: store.delete(digest("a")),
    ):
        with pytest.raises(SessionUnreadableError, match="kept"):
            await call()
    assert hand.execute(f"SELECT {column} FROM sessions").fetchone() == (value,)
    hand.close()
    assert await store.create(new("b")) is not None, "others are served"
    assert await store.end_subject("ada") == 2, "it can be ended by its user"
    while await store.purge(10):
        pass
    assert (await store.stats()).expired == 0


async def test_cve_2026_39324_any_flipped_bit_is_refused_and_no_second_decoder_is_asked(
    sessions: Sessions,
) -> None:
    made = await sessions.create("7", fields={"x": "value"})
    row: Any = await sessions.records.read(made.session_id)
    sealed = row.fields["x"]
    for bit in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[bit // 8] ^= 1 << bit % 8
        await sessions.records.store.patch(row.digest, SessionPatch(set={"x": bytes(damaged)}))
        with pytest.raises(SessionUnreadableError):
            await sessions.get(made.session_id)


@pytest.mark.parametrize(
    "planted", [b"", b"\x01", b"\x02", b"\x01\x80\x04}.", b"\x03x", b"\x80\x04}q\x00.", b'\x01"x"']
)
async def test_cve_2021_33026_planted_bytes_are_never_opened(sessions: Sessions, planted: bytes) -> None:
    made = await sessions.create("7", fields={"x": "value"})
    row: Any = await sessions.records.read(made.session_id)
    await sessions.records.store.patch(row.digest, SessionPatch(set={"x": planted}))
    with pytest.raises(SessionUnreadableError):
        await sessions.get(made.session_id)


async def test_bytes_moved_from_another_session_are_refused(sessions: Sessions) -> None:
    rich, poor = [
        await sessions.create(user, fields={"balance": amount}) for user, amount in (("1", 9), ("2", 0))
    ]
    source: Any = await sessions.records.read(rich.session_id)
    target: Any = await sessions.records.read(poor.session_id)
    for patch in (SessionPatch(set={"balance": source.fields["balance"]}), SessionPatch(about=source.about)):
        await sessions.records.store.patch(target.digest, patch)
        with pytest.raises(SessionUnreadableError, match="moved"):
            await sessions.get(poor.session_id)


@pytest.mark.parametrize("column", ["subject", "digest", "handle"])
async def test_a_row_that_was_made_somebody_elses_signs_nobody_in(
    store: SQLiteStore, sessions: Sessions, desk: Desk, wrap: Any, column: str
) -> None:
    sessions.records.store = store
    desk._immediate = store
    mine = await sessions.create("eve", fields={"x": 1})
    theirs = await sessions.create("ada", username="Ada")
    hand = direct(store)
    if column == "digest":  # my id leads to their row
        own, other = digest_of_id(mine.session_id), digest_of_id(theirs.session_id)
        hand.execute("DELETE FROM sessions WHERE digest = ?", (own,))
        hand.execute("UPDATE sessions SET digest = ? WHERE digest = ?", (own, other))
    else:
        value = {"subject": "ada", "handle": theirs.handle}[column]
        hand.execute(f"UPDATE sessions SET {column} = ? WHERE handle = ?", (value, mine.handle))
    hand.close()
    for call in (sessions.get, sessions.rotate):
        with pytest.raises(SessionUnreadableError, match="changed or moved"):
            await call(mine.session_id)

    async def who(session: RequestSession) -> str | None:
        return session.user_id

    browser = wrap(who)
    browser.cookies = {"__Host-acme_session": mine.session_id}
    assert (await browser.get("/")).status == 503


async def test_a_rotated_session_opens_under_its_new_id_and_not_under_the_old_one(sessions: Sessions) -> None:
    made = await sessions.create("7", username="ada", fields={"x": [1]})
    before: Any = await sessions.records.read(made.session_id)
    rotated: Any = await sessions.rotate(made.session_id)
    assert (rotated.username, rotated.fields, rotated.handle) == ("ada", {"x": [1]}, made.handle)
    after: Any = await sessions.records.read(rotated.session_id)
    await sessions.records.store.patch(after.digest, SessionPatch(set=before.fields))
    with pytest.raises(SessionUnreadableError):
        await sessions.get(rotated.session_id)


# files


async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "sessions.db"
    path.write_bytes(b"precious notes, not a database" * 100)
    with pytest.raises(StoreUnavailableError, match="kept"):
        await SQLiteStore(path, clock.time).open()
    assert path.read_bytes().startswith(b"precious notes")


async def test_another_programs_database_is_refused_and_kept(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "sessions.db"
    hand = sqlite3.connect(path)
    hand.execute("CREATE TABLE sessions(mine TEXT)")
    hand.close()
    with pytest.raises(StoreUnavailableError, match="another program"):
        await SQLiteStore(path, clock.time).open()


async def test_a_newer_layout_is_refused(tmp_path: Path, clock: FakeClock) -> None:
    store = SQLiteStore(tmp_path / "sessions.db", clock.time)
    await store.open()
    await store.close()
    hand = direct(store)
    hand.execute("PRAGMA user_version=99")
    hand.close()
    with pytest.raises(StoreUnavailableError, match="layout 99"):
        await SQLiteStore(store.path, clock.time).open()


async def test_a_damaged_database_is_refused_and_kept(tmp_path: Path, clock: FakeClock) -> None:
    store = SQLiteStore(tmp_path / "sessions.db", clock.time)
    await store.open()
    for number in range(200):
        await store.create(new(f"s{number}", fields={"x": b"y" * 300}))
    await store.close()
    content = bytearray(store.path.read_bytes())
    for page in range(3, len(content) // 4096, 2):
        content[page * 4096 : page * 4096 + 2000] = os.urandom(2000)
    store.path.write_bytes(content)
    with pytest.raises(StoreUnavailableError, match="kept"):
        await SQLiteStore(store.path, clock.time).open()
    assert store.path.read_bytes() == content


async def test_a_torn_end_of_the_log_loses_only_what_was_torn(tmp_path: Path, clock: FakeClock) -> None:
    store = SQLiteStore(tmp_path / "sessions.db", clock.time)
    await store.open()
    await store.create(new("a"))
    whole = (tmp_path / "sessions.db-wal").read_bytes()
    await store.create(new("b"))
    torn = (tmp_path / "sessions.db-wal").read_bytes()[: len(whole) + 2000]
    copy = tmp_path / "copy.db"
    copy.write_bytes(store.path.read_bytes())
    (tmp_path / "copy.db-wal").write_bytes(torn)
    await store.close()
    again = SQLiteStore(copy, clock.time)
    await again.open()
    assert isinstance(await again.read(digest("a")), StoredSession)
    assert await again.read(digest("b")) is None
    await again.close()


async def test_a_path_that_cannot_be_made_says_so(tmp_path: Path, clock: FakeClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailableError, match="cannot be made"):
        await SQLiteStore(tmp_path / "file" / "sessions.db", clock.time).open()


async def test_a_database_readable_by_others_is_closed_to_them(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "sessions.db"
    path.touch(mode=0o644)
    store = SQLiteStore(path, clock.time)
    await store.open()
    assert path.stat().st_mode & 0o077 == 0
    await store.close()


READ_ONLY = """
import sys, anyio
from pathlib import Path
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
async def main():
    try:
        await SQLiteStore(Path(sys.argv[1]), lambda: 1.0).open()
    except StoreUnavailableError as error:
        print("refused:", error)
anyio.run(main)
"""


async def test_a_read_only_file_is_refused_at_the_start(tmp_path: Path, clock: FakeClock) -> None:
    store = SQLiteStore(tmp_path / "sessions.db", clock.time)
    await store.open()
    await store.close()
    for file in tmp_path.iterdir():
        file.chmod(0o444)
    done = run_as_anybody(READ_ONLY, str(store.path))
    assert "refused:" in done.stdout, done.stderr


async def test_a_closed_store_says_so(store: SQLiteStore) -> None:
    await store.close()
    for call in (lambda: store.read(digest("a")), lambda: store.create(new("a")), store.stats):
        with pytest.raises(StoreUnavailableError, match="closed"):
            await call()
    await store.close()


async def test_what_was_asked_for_before_closing_is_still_done(tmp_path: Path, clock: FakeClock) -> None:
    store = SQLiteStore(tmp_path / "sessions.db", clock.time)
    await store.open()
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(store.create, new(f"s{number}"))
        await anyio.lowlevel.checkpoint()
        await anyio.lowlevel.checkpoint()
        group.start_soon(store.close)
    again = SQLiteStore(store.path, clock.time)
    await again.open()
    assert (await again.stats()).active == 50
    await again.close()


async def test_a_cancelled_write_is_done_or_not_and_nothing_waits_for_ever(store: SQLiteStore) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await store.create(new("a"))
    assert scope.cancelled_caught
    assert await store.create(new("b")) is not None
    assert isinstance(await store.read(digest("a")), StoredSession)


# clocks


@pytest.mark.parametrize("jump", [-86400.0, -3600.0, -1.0])
async def test_a_clock_set_back_lets_no_session_live_longer(
    tmp_path: Path, clock: FakeClock, jump: float
) -> None:
    store = SQLiteStore(tmp_path / "jump.db", SteadyTime(clock))
    await store.open()
    created = await store.create(new("a", idle=60.0, absolute=100.0))
    assert created is not None
    await clock.advance(30)
    clock.jump(jump)
    await store.touch(digest("a"))
    await store.patch(digest("nobody"), SessionPatch())
    found = await store.read(digest("a"))
    assert isinstance(found, StoredSession)
    assert found.deadline == created.deadline
    await clock.advance(71)
    assert await store.read(digest("a")) is None
    await store.close()


async def test_a_clock_set_forward_ends_sessions_and_none_comes_back(
    store: SQLiteStore, clock: FakeClock
) -> None:
    await store.create(new("a", idle=60.0))
    clock.jump(3600)
    assert await store.read(digest("a")) is None
    clock.jump(-3600)
    assert await store.read(digest("a")) is None


async def test_cve_2024_35220_loading_never_moves_a_deadline(store: SQLiteStore, clock: FakeClock) -> None:
    created = await store.create(new("a", idle=60.0))
    assert created is not None
    for _ in range(5):
        await clock.advance(10)
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert found.expires_at == created.expires_at


async def test_cve_2015_3982_no_copy_answers_after_the_end(sessions: Sessions) -> None:
    made = await sessions.create("7")
    assert await sessions.get(made.session_id) is not None
    await sessions.destroy_user("7")
    assert await sessions.get(made.session_id) is None
    assert await sessions.list_user("7") == []


async def test_cve_2019_16782_the_raw_id_is_in_no_file(
    tmp_path: Path, clock: FakeClock, sessions: Sessions
) -> None:
    store = SQLiteStore(tmp_path / "raw.db", SteadyTime(clock))
    await store.open()
    sessions.records.store = store
    made = await sessions.create(
        "7", fields={"note": "canary-value"}, metadata={"ip_address": "203.0.113.77"}
    )
    rotated = await sessions.rotate(made.session_id)
    assert rotated is not None
    files = [path.read_bytes() for path in tmp_path.iterdir()]
    await store.close()
    files += [path.read_bytes() for path in tmp_path.iterdir()]
    for canary in (made.session_id, rotated.session_id, "canary-value", "203.0.113.77"):
        assert not any(canary.encode() in content for content in files)
    assert any(made.handle.encode() in content for content in files)
