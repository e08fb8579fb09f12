# ruff: noqa: D102, S101 - a suite: the names are the sentences, the assertions are the point
"""What every session store must do.

Yours is right when this class passes for it::

    class TestMyStore(SessionStoreSuite):
        @pytest.fixture
        async def store(self, clock):
            store = MyStore(now=clock.time)
            await store.open()
            yield store
            await store.close()

A store that offers less passes less: begin with ``SessionLoginSuite``, and add ``SessionPurgeSuite``,
``SessionFiguresSuite`` and ``SessionMoveSuite`` as it offers what they prove; ``SessionStoreSuite`` is all four. Run
them on the event loops your store works on, by way of the ``anyio_backend`` fixture.
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any, Protocol

import anyio
import pytest

from plughost.contracts.session_store import (
    CountingStore,
    MovableStore,
    NewSession,
    PurgingStore,
    ReplacedSession,
    SessionPatch,
    SessionStore,
    StoredSession,
    VersionConflict,
)
from plughost.exceptions import SessionDataError
from plughost.testing.clock import FakeClock
from plughost.testing.suites.stores import StoreSuite


def digest(name: str) -> bytes:
    """Return a digest for a readable name."""
    return sha256(name.encode()).digest()


def new(name: str, subject: str | None = "ada", **changes: Any) -> NewSession:
    """Return a session to store: half an hour idle, eight hours in all, unless told otherwise."""
    given: dict[str, Any] = {
        "digest": digest(name),
        "handle": f"handle-{name}",
        "subject": subject,
        "idle": 1800.0,
        "absolute": 28800.0,
        "about": b"\x01about",
    }
    return NewSession(**(given | changes))


def living(name: str, now: float) -> StoredSession:
    """Return a session as another store hands it over, of a subject of its own."""
    return StoredSession(
        digest=digest(name), handle=f"handle-{name}", subject=name, epoch=3, version=2, created_at=now - 100,
        touched_at=now - 10, idle=1800.0, deadline=now + 20_000, expires_at=now + 1500, about=b"\x01a",
        fields={"k": b"v"},
    )  # fmt: skip


async def touch(store: SessionStore, key: bytes) -> None:
    """Touch, and wait until it counts: at the latest when a later change returns."""
    await store.touch(key)
    await store.patch(digest("nobody"), SessionPatch())


async def purge(store: SessionStore) -> None:
    """Remove what is over, where the store has to be told to."""
    while isinstance(store, PurgingStore) and await store.purge(2):
        pass


async def living_sessions(store: SessionStore) -> int | None:
    """Return how many sessions the store counts; None where it counts none."""
    return (await store.stats()).active if isinstance(store, CountingStore) else None


async def fill(store: SessionStore, name: str, count: int, clock: FakeClock) -> None:
    """Put many sessions in, by the quicker way where there is one."""
    if isinstance(store, MovableStore):
        await store.adopt([living(f"{name}{number}", clock.time()) for number in range(count)])
    else:
        for number in range(count):
            await store.create(new(f"{name}{number}", subject=f"{name}{number}"))


class CountedStore(SessionStore, CountingStore, Protocol):
    """What the tests of figures are given."""


class PurgedStore(SessionStore, PurgingStore, Protocol):
    """What the tests of purges are given."""


class MovedStore(SessionStore, MovableStore, Protocol):
    """What the tests of moves are given."""


class SessionLoginSuite(StoreSuite):
    """What a login needs. Subclass it and give it a ``store`` fixture that opens and closes yours."""

    async def test_what_was_created_is_read(self, store: SessionStore) -> None:
        created = await store.create(new("a", fields={"cart": b"\x01x"}))
        assert created is not None
        assert created.version == 1
        assert created.fields == {"cart": b"\x01x"}
        assert await store.read(digest("a")) == created

    async def test_a_taken_digest_is_refused_and_not_overwritten(self, store: SessionStore) -> None:
        await store.create(new("a", fields={"owner": b"first"}))
        assert await store.create(new("a", subject="eve", fields={"owner": b"second"})) is None
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert found.fields == {"owner": b"first"}

    async def test_an_unknown_digest_never_becomes_a_session(self, store: SessionStore) -> None:
        stranger = digest("stranger")
        assert await store.read(stranger) is None
        assert await store.patch(stranger, SessionPatch(set={"a": b"1"})) is None
        assert await store.replace(stranger, new("b"), version=1, grace=10) is None
        assert await store.delete(stranger) is None
        await touch(store, stranger)
        assert await store.read(stranger) is None
        assert await store.read(digest("b")) is None
        assert await living_sessions(store) in (0, None)

    async def test_a_change_merges_key_by_key(self, store: SessionStore) -> None:
        await store.create(new("a", fields={"keep": b"1", "drop": b"2", "alter": b"3"}))
        changed = await store.patch(digest("a"), SessionPatch(set={"alter": b"4"}, remove=("drop", "never")))
        assert changed is not None
        assert changed.fields == {"keep": b"1", "alter": b"4"}
        assert changed.version == 2
        assert await store.read(digest("a")) == changed

    async def test_fields_keep_the_order_they_were_set_in(self, store: SessionStore) -> None:
        long = b"y" * 300
        await store.create(new("a", fields=dict.fromkeys(("zebra", "ant", "mole", "bee"), long)))
        patch = SessionPatch(set={"yak": b"1", "cat": long, "ant": b"2"}, remove=("mole",))
        assert await store.patch(digest("a"), patch) is not None
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert list(found.fields) == ["zebra", "ant", "bee", "yak", "cat"]
        await store.patch(digest("a"), SessionPatch(remove=tuple(found.fields)))
        await store.patch(digest("a"), SessionPatch(set={"one": b"1", "ox": b"2"}))
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert list(found.fields) == ["one", "ox"]

    async def test_parallel_changes_of_different_keys_all_survive(self, store: SessionStore) -> None:
        await store.create(new("a"))
        async with anyio.create_task_group() as group:
            for number in range(20):
                patch = SessionPatch(set={f"key{number}": b"%d" % number})
                group.start_soon(store.patch, digest("a"), patch)
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert found.fields == {f"key{number}": b"%d" % number for number in range(20)}

    async def test_a_change_for_another_version_is_refused(self, store: SessionStore) -> None:
        await store.create(new("a", fields={"n": b"0"}))
        await store.patch(digest("a"), SessionPatch(set={"n": b"1"}, version=1))
        with pytest.raises(VersionConflict):
            await store.patch(digest("a"), SessionPatch(set={"n": b"2"}, version=1))
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert found.fields == {"n": b"1"}

    async def test_a_change_that_grows_too_large_is_refused_whole(self, store: SessionStore) -> None:
        await store.create(new("a", fields={"n": b"0"}))
        with pytest.raises(SessionDataError, match="max_bytes"):
            await store.patch(digest("a"), SessionPatch(set={"n": b"1", "big": b"x" * 200}, max_bytes=150))
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert found.fields == {"n": b"0"}

    async def test_a_change_that_leaves_the_fields_alone_keeps_the_version(self, store: SessionStore) -> None:
        await store.create(new("a"))
        changed = await store.patch(digest("a"), SessionPatch(about=b"\x01other"))
        assert changed is not None
        assert (changed.about, changed.version) == (b"\x01other", 1)

    async def test_field_names_and_values_are_kept_byte_for_byte(self, store: SessionStore) -> None:
        fields = {"": b"", "näme:with/odd\x00chars\n": bytes(range(256)), "f": b"f", "about": b"a", "v": b"9"}
        await store.create(new("a", fields=fields))
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert found.fields == fields

    async def test_cve_2011_4136_subjects_are_told_apart_byte_for_byte(self, store: SessionStore) -> None:
        subjects = ["ada", "Ada", "ada ", "ada\x00", "ada:1", "{ada}", "\u00e5", "a\u030a"]
        for number, subject in enumerate(subjects):
            await store.create(new(f"s{number}", subject=subject))
        await store.end_subject("ada")
        alive = [number for number in range(len(subjects)) if await store.read(digest(f"s{number}"))]
        assert alive == [1, 2, 3, 4, 5, 6, 7]

    async def test_it_ends_when_it_was_not_used(self, store: SessionStore, clock: FakeClock) -> None:
        await store.create(new("a", idle=60.0))
        await clock.advance(59.5)
        assert await store.read(digest("a")) is not None
        await clock.advance(1)
        assert await store.read(digest("a")) is None

    async def test_an_expired_session_takes_no_change(self, store: SessionStore, clock: FakeClock) -> None:
        await store.create(new("a", idle=60.0))
        await clock.advance(61)
        assert await store.patch(digest("a"), SessionPatch(set={"a": b"1"}, idle=600)) is None
        assert await store.replace(digest("a"), new("b"), version=1, grace=10) is None
        await touch(store, digest("a"))
        assert await store.delete(digest("a")) is None
        assert await store.read(digest("a")) is None

    async def test_reading_does_not_prolong_it(self, store: SessionStore, clock: FakeClock) -> None:
        await store.create(new("a", idle=60.0))
        for _ in range(4):
            await clock.advance(14)
            await store.read(digest("a"))
        await clock.advance(5)
        assert await store.read(digest("a")) is None

    async def test_use_prolongs_it_but_never_past_its_deadline(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        created = await store.create(new("a", idle=60.0, absolute=150.0))
        assert created is not None
        for _ in range(2):
            await clock.advance(50)
            await touch(store, digest("a"))
            await clock.advance(1)
            found = await store.read(digest("a"))
            assert isinstance(found, StoredSession)
            assert found.deadline == pytest.approx(created.deadline, abs=0.01)
            assert found.expires_at <= found.deadline
        await clock.advance(47)
        assert await store.read(digest("a")) is not None
        await clock.advance(2)
        assert await store.read(digest("a")) is None

    async def test_extending_never_shortens_and_never_passes_the_deadline(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        created = await store.create(new("a", idle=60.0, absolute=1000.0))
        assert created is not None
        shorter = await store.patch(digest("a"), SessionPatch(idle=5.0))
        longer = await store.patch(digest("a"), SessionPatch(idle=300.0))
        endless = await store.patch(digest("a"), SessionPatch(idle=10_000.0))
        assert shorter is not None
        assert shorter.expires_at == pytest.approx(created.expires_at, abs=0.01)
        assert longer is not None
        assert longer.expires_at == pytest.approx(clock.time() + 300, abs=1)
        assert endless is not None
        assert endless.expires_at == pytest.approx(created.deadline, abs=0.01)

    async def test_what_was_deleted_stays_deleted(self, store: SessionStore) -> None:
        await store.create(new("a"))
        ended = await store.delete(digest("a"))
        assert ended is not None
        assert ended.handle == "handle-a"
        assert await store.patch(digest("a"), SessionPatch(set={"back": b"1"})) is None
        await touch(store, digest("a"))
        assert await store.replace(digest("a"), new("b"), version=1, grace=10) is None
        assert await store.delete(digest("a")) is None
        assert await store.read(digest("a")) is None
        assert await living_sessions(store) in (0, None)

    async def test_replacing_kills_the_old_digest_when_there_is_no_grace(self, store: SessionStore) -> None:
        await store.create(new("a", fields={"cart": b"1"}))
        stored = await store.replace(digest("a"), new("b", fields={"cart": b"2"}), version=1, grace=0)
        assert stored is not None
        assert stored.fields == {"cart": b"2"}
        assert await store.read(digest("a")) is None
        assert await store.patch(digest("a"), SessionPatch(set={"x": b"1"})) is None
        assert await store.read(digest("b")) == stored

    async def test_replacing_for_the_same_principal_keeps_the_limit(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        created = await store.create(new("a", absolute=1000.0))
        await clock.advance(100)
        stored = await store.replace(digest("a"), new("b", absolute=None), version=1, grace=10)
        assert created is not None
        assert stored is not None
        assert stored.created_at == pytest.approx(created.created_at, abs=0.01)
        assert stored.deadline == pytest.approx(created.deadline, abs=0.01)

    async def test_replacing_another_version_is_refused_and_changes_nothing(
        self, store: SessionStore
    ) -> None:
        await store.create(new("a"))
        await store.patch(digest("a"), SessionPatch(set={"late": b"1"}))
        with pytest.raises(VersionConflict):
            await store.replace(digest("a"), new("b"), version=1, grace=0)
        assert isinstance(await store.read(digest("a")), StoredSession)
        assert await store.read(digest("b")) is None

    async def test_a_replaced_digest_leads_to_its_successor_for_the_grace(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        await store.create(new("a"))
        await store.replace(digest("a"), new("b", absolute=None), version=1, grace=10)
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert (found.digest, found.successor_of) == (digest("b"), digest("a"))
        changed = await store.patch(digest("a"), SessionPatch(set={"tab": b"1"}))
        assert changed is not None
        straight = await store.read(digest("b"))
        assert isinstance(straight, StoredSession)
        assert straight.fields == {"tab": b"1"}
        assert straight.successor_of is None

    async def test_a_replaced_digest_does_not_keep_its_successor_alive(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        await store.create(new("a", idle=60.0))
        await store.replace(digest("a"), new("b", idle=60.0, absolute=None), version=1, grace=1000)
        await clock.advance(50)
        await touch(store, digest("a"))
        await clock.advance(11)
        assert await store.read(digest("b")) is None

    async def test_a_replaced_digest_is_told_apart_after_the_grace(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        await store.create(new("a"))
        await store.replace(digest("a"), new("b", absolute=None), version=1, grace=10)
        await clock.advance(11)
        assert await store.read(digest("a")) == ReplacedSession(successor=digest("b"))
        assert await store.patch(digest("a"), SessionPatch(set={"x": b"1"})) is None

    async def test_a_chain_of_replacements_leads_to_its_end(self, store: SessionStore) -> None:
        await store.create(new("a"))
        await store.replace(digest("a"), new("b", absolute=None), version=1, grace=10)
        await store.replace(digest("b"), new("c", absolute=None), version=1, grace=10)
        found = await store.read(digest("a"))
        assert isinstance(found, StoredSession)
        assert found.digest == digest("c")

    async def test_deleting_a_replaced_digest_ends_its_successor(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        for wait in (0, 60):
            await store.create(new(f"a{wait}"))
            await store.replace(digest(f"a{wait}"), new(f"b{wait}", absolute=None), version=1, grace=10)
            await clock.advance(wait)
            ended = await store.delete(digest(f"a{wait}"))
            assert ended is not None
            assert await store.read(digest(f"b{wait}")) is None
            assert await store.read(digest(f"a{wait}")) is None

    async def test_a_replaced_digest_cannot_be_created_again(self, store: SessionStore) -> None:
        await store.create(new("a"))
        await store.replace(digest("a"), new("b", absolute=None), version=1, grace=10)
        assert await store.create(new("a")) is None

    async def test_ending_a_subject_ends_all_of_its_sessions_and_nobody_elses(
        self, store: SessionStore
    ) -> None:
        for name in ("a1", "a2", "a3"):
            await store.create(new(name))
        await store.create(new("b1", subject="bob"))
        await store.create(new("guest", subject=None))
        assert await store.end_subject("ada") == 3
        assert [bool(await store.read(digest(name))) for name in ("a1", "a2", "a3", "b1", "guest")] == [
            False, False, False, True, True,
        ]  # fmt: skip

    async def test_a_session_made_after_its_subject_ended_lives_and_is_listed(
        self, store: SessionStore
    ) -> None:
        await store.create(new("old"))
        await store.end_subject("ada")
        await store.create(new("fresh"))
        assert [row.handle for row in await store.list_subject("ada")] == ["handle-fresh"]
        assert await store.end_subject("ada") == 1
        assert await store.read(digest("fresh")) is None

    async def test_ending_a_subject_can_spare_one_again_and_again(self, store: SessionStore) -> None:
        for name in ("mine", "other"):
            await store.create(new(name))
        assert await store.end_subject("ada", keep=digest("mine")) == 1
        await store.create(new("third"))
        assert await store.end_subject("ada", keep=digest("mine")) == 1
        assert [row.handle for row in await store.list_subject("ada")] == ["handle-mine"]
        changed = await store.patch(digest("mine"), SessionPatch(set={"still": b"1"}))
        assert changed is not None
        assert await store.end_subject("ada") == 1
        assert await store.read(digest("mine")) is None

    async def test_sparing_somebody_elses_session_spares_nothing(self, store: SessionStore) -> None:
        await store.create(new("a"))
        await store.create(new("b", subject="bob"))
        await store.end_subject("ada", keep=digest("b"))
        assert await store.read(digest("a")) is None
        assert isinstance(await store.read(digest("b")), StoredSession)
        assert [row.subject for row in await store.list_subject("bob")] == ["bob"]

    async def test_an_id_that_was_replaced_spares_its_successor_within_its_grace_and_nothing_after(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        await store.create(new("a"))
        await store.replace(digest("a"), new("b", absolute=None), version=1, grace=10)
        assert await store.end_subject("ada", keep=digest("a")) == 0
        assert await store.read(digest("b")) is not None
        await clock.advance(11)
        assert await store.end_subject("ada", keep=digest("a")) == 1
        assert await store.read(digest("b")) is None

    async def test_nothing_revives_an_ended_subjects_session(
        self, store: SessionStore, clock: FakeClock
    ) -> None:
        await store.create(new("a"))
        await store.end_subject("ada")
        assert await store.patch(digest("a"), SessionPatch(set={"x": b"1"}, idle=600)) is None
        await touch(store, digest("a"))
        assert await store.replace(digest("a"), new("b"), version=1, grace=10) is None
        await purge(store)
        await store.create(new("c"))
        await store.end_subject("ada")
        await purge(store)
        assert await store.read(digest("a")) is None

    async def test_a_list_shows_the_living_newest_first(self, store: SessionStore, clock: FakeClock) -> None:
        for name in ("one", "two", "three"):
            await store.create(new(name, idle=60.0 if name == "two" else 1800.0))
            await clock.advance(1)
        await store.delete(digest("one"))
        await store.create(new("four"))
        await clock.advance(61)
        assert [row.handle for row in await store.list_subject("ada")] == ["handle-four", "handle-three"]
        assert [row.handle for row in await store.list_subject("ada", 1)] == ["handle-four"]
        assert len(await store.list_subject("ada", 3)) == 2

    async def test_what_it_offers_besides_is_proved_too(self, store: SessionStore) -> None:
        suites = {
            SessionPurgeSuite: isinstance(store, PurgingStore),
            SessionFiguresSuite: isinstance(store, CountingStore),
            SessionMoveSuite: isinstance(store, MovableStore),
        }
        proved = type(self).__mro__
        unproved = [suite.__name__ for suite, offered in suites.items() if offered and suite not in proved]
        assert not unproved, (
            f"the store offers what {', '.join(unproved)} prove: let the test class subclass them too"
        )


class SessionPurgeSuite(SessionLoginSuite):
    """What a ``PurgingStore`` must do besides."""

    async def test_the_last_session_of_a_subject_can_be_replaced_after_a_purge(
        self, store: PurgedStore
    ) -> None:
        await store.create(new("old"))
        await store.end_subject("ada")
        await store.create(new("a"))
        await store.purge(100)
        assert await store.replace(digest("a"), new("b"), version=1, grace=0) is not None
        assert isinstance(await store.read(digest("b")), StoredSession)
        assert [row.handle for row in await store.list_subject("ada")] == ["handle-b"]

    async def test_a_purge_is_bounded_and_takes_only_what_is_over(
        self, store: PurgedStore, clock: FakeClock
    ) -> None:
        for number in range(10):
            await store.create(new(f"old{number}", idle=60.0))
        await clock.advance(120)
        await store.create(new("young"))
        removed = [await store.purge(4) for _ in range(4)]
        assert [len(batch) for batch in removed] == [4, 4, 2, 0]
        assert {(one.handle, one.subject, one.expired) for batch in removed for one in batch} == {
            (f"handle-old{number}", "ada", True) for number in range(10)
        }
        assert isinstance(await store.read(digest("young")), StoredSession)

    async def test_a_purge_takes_the_sessions_of_ended_subjects(self, store: PurgedStore) -> None:
        for number in range(5):
            await store.create(new(f"s{number}"))
        await store.end_subject("ada", keep=digest("s3"))
        handles: list[str] = []
        while removed := await store.purge(2):
            assert len(removed) <= 2
            assert not any(one.expired for one in removed)
            handles += [one.handle for one in removed]
        assert sorted(handles) == ["handle-s0", "handle-s1", "handle-s2", "handle-s4"]
        assert isinstance(await store.read(digest("s3")), StoredSession)

    async def test_a_touched_session_outlives_a_purge(self, store: PurgedStore, clock: FakeClock) -> None:
        await store.create(new("a", idle=60.0))
        await clock.advance(50)
        await touch(store, digest("a"))
        await clock.advance(30)
        await store.purge(10)
        assert isinstance(await store.read(digest("a")), StoredSession)


class SessionFiguresSuite(SessionLoginSuite):
    """What a ``CountingStore`` must do besides."""

    async def test_figures_follow_what_happens(self, store: CountedStore, clock: FakeClock) -> None:
        for number in range(6):
            await store.create(new(f"s{number}", subject=f"user{number % 3}", idle=60.0 + 600 * (number > 3)))
        await store.create(new("guest", subject=None))
        figures = await store.stats()
        assert (figures.active, figures.expired, figures.users) == (7, 0, 3)
        await store.delete(digest("s0"))
        await store.end_subject("user1")
        await clock.advance(100)
        figures = await store.stats()
        assert (figures.active, figures.users) == (2, 1)
        await purge(store)
        figures = await store.stats()
        assert (figures.active, figures.expired, figures.users) == (2, 0, 1)

    async def test_the_figures_cost_the_same_however_many_sessions_there_are(
        self, store: CountedStore, clock: FakeClock
    ) -> None:
        """By the processor time of this process; what a server does for the store is not seen from here."""

        async def cost() -> float:
            least = float("inf")
            for _ in range(20):
                begun = time.process_time()
                await store.stats()
                least = min(least, time.process_time() - begun)
            return least

        await fill(store, "few", 5, clock)
        of_few = await cost()
        await fill(store, "many", 5000, clock)
        assert (await store.stats()).active == 5005
        assert await cost() < 8 * of_few + 0.000_05


class SessionMoveSuite(SessionLoginSuite):
    """What a ``MovableStore`` must do besides."""

    async def test_pages_show_every_living_session_once(self, store: MovedStore, clock: FakeClock) -> None:
        for number in range(9):
            await store.create(new(f"s{number}", idle=60.0 if number < 2 else 1800.0))
        await clock.advance(61)
        seen: list[str] = []
        cursor: str | None = None
        while True:
            rows, cursor = await store.page(cursor, 3)
            seen += [row.handle for row in rows]
            if cursor is None:
                break
        assert sorted(seen) == [f"handle-s{number}" for number in range(2, 9)]

    async def test_adopted_sessions_keep_their_clocks_and_yield_to_those_already_here(
        self, store: MovedStore, clock: FakeClock
    ) -> None:
        created = await store.create(new("here", fields={"x": b"mine"}))
        assert created is not None
        foreign = StoredSession(
            digest=digest("moved"), handle="handle-moved", subject="ada", epoch=77, version=5,
            created_at=clock.time() - 100, touched_at=clock.time() - 10, idle=60.0,
            deadline=clock.time() + 500, expires_at=clock.time() + 50, about=b"\x01a", fields={"k": b"v"},
        )  # fmt: skip
        expired = StoredSession(
            digest=digest("late"), handle="handle-late", subject="ada", epoch=77, version=1,
            created_at=1.0, touched_at=1.0, idle=60.0, deadline=100.0, expires_at=61.0, about=b"", fields={},
        )  # fmt: skip
        clash = StoredSession(
            digest=digest("here"), handle="other", subject="eve", epoch=0, version=1,
            created_at=clock.time(), touched_at=clock.time(), idle=60.0, deadline=clock.time() + 500,
            expires_at=clock.time() + 60, about=b"", fields={},
        )  # fmt: skip
        assert await store.adopt([foreign, expired, clash]) == 1
        assert await store.read(digest("here")) == created
        moved = await store.read(digest("moved"))
        assert isinstance(moved, StoredSession)
        assert moved.fields == {"k": b"v"}
        assert moved.deadline == pytest.approx(foreign.deadline, abs=0.01)
        assert moved.expires_at == pytest.approx(foreign.expires_at, abs=0.01)
        assert await store.end_subject("ada") == 2
        assert await store.read(digest("moved")) is None


class SessionStoreSuite(SessionPurgeSuite, SessionFiguresSuite, SessionMoveSuite):
    """All of it, for a store that offers everything."""
