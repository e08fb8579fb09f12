"""A change that brings what its maker read is merged as any other, however stale that is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from plughost.contracts.clock import SteadyTime
from plughost.contracts.session_store import SessionPatch, StoredSession
from plughost.exceptions import SessionDataError
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.testing.clock import FakeClock
from plughost.testing.suites.session_store import digest, new

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(tmp_path / "sessions.db", SteadyTime(clock))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def base(store: SQLiteStore) -> StoredSession:
    made = await store.create(new("a", fields={"kept": b"1", "gone": b"2"}))
    assert made is not None
    return made


async def stored(store: SQLiteStore) -> StoredSession:
    found = await store.read(digest("a"))
    assert isinstance(found, StoredSession)
    return found


async def test_what_is_returned_is_what_is_stored(store: SQLiteStore, base: StoredSession) -> None:
    patch = SessionPatch(set={"n": b"3"}, remove=("gone",), base=base)
    returned = await store.patch(digest("a"), patch)

    assert returned == await stored(store)
    assert returned is not None
    assert (returned.fields, returned.version) == ({"kept": b"1", "n": b"3"}, base.version + 1)


async def test_a_stale_base_loses_nobody_s_field(store: SQLiteStore, base: StoredSession) -> None:
    await store.patch(digest("a"), SessionPatch(set={"theirs": b"t"}, base=base))
    await store.patch(digest("a"), SessionPatch(set={"mine": b"m"}, base=base))

    found = await stored(store)
    assert found.fields == {"kept": b"1", "gone": b"2", "theirs": b"t", "mine": b"m"}
    assert found.version == base.version + 2


async def test_a_base_from_before_a_use_does_not_turn_the_clock_back(
    store: SQLiteStore, clock: FakeClock
) -> None:
    base = await store.create(new("a", idle=100.0, absolute=100.0))  # a use moves nothing but the time of it
    await clock.advance(5)
    await store.touch(digest("a"))
    returned = await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=base))

    assert returned == await stored(store)
    assert base is not None
    assert returned is not None
    assert returned.touched_at > base.touched_at


async def test_a_base_from_before_a_new_name_does_not_bring_the_old_one_back(
    store: SQLiteStore, base: StoredSession
) -> None:
    await store.patch(digest("a"), SessionPatch(about=b"renamed"))
    returned = await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=base))

    assert returned is not None
    assert returned.about == (await stored(store)).about == b"renamed"


async def test_a_base_brings_no_session_back_that_was_deleted(
    store: SQLiteStore, base: StoredSession
) -> None:
    await store.delete(digest("a"))

    assert await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=base)) is None
    assert await store.read(digest("a")) is None


async def test_a_base_brings_no_session_back_whose_user_was_ended(
    store: SQLiteStore, base: StoredSession
) -> None:
    await store.end_subject("ada")

    assert await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=base)) is None
    assert await store.read(digest("a")) is None


async def test_a_base_brings_no_session_back_whose_time_is_over(
    store: SQLiteStore, base: StoredSession, clock: FakeClock
) -> None:
    await clock.advance(base.deadline - base.created_at + 1)

    assert await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=base)) is None


async def test_a_session_spared_when_its_user_was_ended_takes_changes_of_before(
    store: SQLiteStore, base: StoredSession
) -> None:
    await store.end_subject("ada", keep=digest("a"))
    returned = await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=base))

    assert returned == await stored(store)


async def test_a_base_of_another_session_is_not_written_over_this_one(
    store: SQLiteStore, base: StoredSession
) -> None:
    other = await store.create(new("b", fields={"private": b"x"}))
    await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=other))

    assert (await stored(store)).fields == {"kept": b"1", "gone": b"2", "n": b"3"}


async def test_a_base_from_before_a_rotation_does_not_bring_the_old_digest_back(
    store: SQLiteStore, base: StoredSession
) -> None:
    fresh = replace(new("b", fields=base.fields), handle=base.handle, about=base.about, absolute=None)
    await store.replace(digest("a"), fresh, version=base.version, grace=10.0)
    returned = await store.patch(digest("b"), SessionPatch(set={"n": b"3"}, base=base))

    assert returned is not None
    assert returned.digest == digest("b")


async def test_what_is_stored_is_measured_and_not_the_base(store: SQLiteStore, base: StoredSession) -> None:
    large = replace(base, fields={"large": b"x" * 20_000})
    assert await store.patch(digest("a"), SessionPatch(remove=("gone",), base=base)) is not None
    assert await store.patch(digest("a"), SessionPatch(set={"n": b"3"}, base=large)) is not None

    with pytest.raises(SessionDataError, match="16384 are allowed"):
        await store.patch(digest("a"), SessionPatch(set={"n": b"x" * 20_000}, base=await stored(store)))
