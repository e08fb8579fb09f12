# ruff: noqa: D102, S101 - a suite: the names are the sentences, the assertions are the point
"""What a store in three methods must do, for sessions and for caches alike.

Yours is right when this class passes for it::

    class TestMyStore(BytesStoreSuite):
        @pytest.fixture
        async def store(self, clock):
            store = MyStore(now=clock.time)
            await store.open()
            yield store
            await store.close()

What plughost makes of the three methods is proved by ``SessionLoginSuite`` and ``CacheValuesSuite``.
"""

from __future__ import annotations

import anyio
import pytest

from plughost.contracts.bytes_store import BytesStore, ListingStore
from plughost.testing.clock import FakeClock
from plughost.testing.suites.stores import StoreSuite

KEYS = ("a", "A", "c:0123456789ab:e" + "f" * 60, "x" * 80)
VALUES = (b"", b"\x00", b"\xff\x00 text", bytes(range(256)) * 4000)


class BytesStoreSuite(StoreSuite):
    """The promises of ``plughost.contracts.BytesStore``. Give it a ``store`` fixture that opens and closes yours."""

    @pytest.fixture
    def later(self, clock: FakeClock) -> float:
        """When nothing of this test is over yet."""
        return clock.time() + 3600

    async def test_where_nothing_was_stored_there_is_nothing(self, store: BytesStore) -> None:
        assert await store.find("a") is None
        assert not await store.delete("a", b"")

    @pytest.mark.parametrize("key", KEYS, ids=len)
    async def test_a_value_stands_under_its_key_and_no_other(
        self, store: BytesStore, key: str, later: float
    ) -> None:
        assert await store.commit(key, b"this", None, later)
        assert await store.find(key) == b"this"
        assert [await store.find(other) for other in KEYS if other != key] == [None] * (len(KEYS) - 1)

    @pytest.mark.parametrize("value", VALUES, ids=len)
    async def test_any_bytes_come_back_as_they_were(
        self, store: BytesStore, value: bytes, later: float
    ) -> None:
        assert await store.commit("k", value, None, later)
        found = await store.find("k")
        assert found == value
        assert type(found) is bytes

    async def test_only_who_knows_what_is_there_replaces_it(self, store: BytesStore, later: float) -> None:
        assert not await store.commit("k", b"new", b"old", later)
        assert await store.commit("k", b"old", None, later)
        for instead_of in (None, b"", b"ol", b"older", b"OLD"):
            assert not await store.commit("k", b"new", instead_of, later)
        assert await store.find("k") == b"old"
        assert await store.commit("k", b"new", b"old", later)
        assert await store.find("k") == b"new"

    async def test_only_who_knows_what_is_there_removes_it(self, store: BytesStore, later: float) -> None:
        await store.commit("k", b"old", None, later)
        assert not await store.delete("k", b"other")
        assert await store.find("k") == b"old"
        assert await store.delete("k", b"old")
        assert await store.find("k") is None
        assert await store.commit("k", b"again", None, later)

    async def test_an_empty_value_is_not_nothing(self, store: BytesStore, later: float) -> None:
        assert await store.commit("k", b"", None, later)
        assert not await store.commit("k", b"x", None, later)
        assert await store.commit("k", b"x", b"", later)

    async def test_one_of_many_who_commit_at_once_succeeds(self, store: BytesStore, later: float) -> None:
        for instead_of in (None, b"0"):
            done: list[bytes] = []

            async def commit(value: bytes, seen: bytes | None, won: list[bytes]) -> None:
                if await store.commit("k", value, seen, later):
                    won.append(value)

            async with anyio.create_task_group() as tasks:
                for number in range(1, 13):
                    tasks.start_soon(commit, b"%d" % number, instead_of, done)
            assert len(done) == 1
            assert await store.find("k") == done[0]
            assert await store.commit("k", b"0", done[0], later)

    async def test_no_change_of_many_is_lost(self, store: BytesStore, later: float) -> None:
        await store.commit("n", b"0", None, later)

        async def count() -> None:
            while True:
                seen = await store.find("n")
                assert seen is not None
                if await store.commit("n", b"%d" % (int(seen) + 1), seen, later):
                    return

        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(count)
        assert await store.find("n") == b"10"

    async def test_what_is_still_needed_is_kept(self, store: BytesStore, clock: FakeClock) -> None:
        now = clock.time()
        assert await store.commit("short", b"s", None, now + 10)
        assert await store.commit("long", b"l", None, now + 40 * 86400)
        assert await store.commit("short", b"s2", b"s", now + 7200)
        await clock.advance(3600)
        assert await store.find("short") == b"s2"
        assert await store.find("long") == b"l"

    async def test_a_value_that_is_over_can_be_replaced(self, store: BytesStore, clock: FakeClock) -> None:
        assert await store.commit("k", b"old", None, clock.time() + 1)
        await clock.advance(2)
        seen = await store.find("k")
        assert seen in (None, b"old")
        assert await store.commit("k", b"new", seen, clock.time() + 10)
        assert await store.find("k") == b"new"

    async def test_keys_are_listed_in_order_page_by_page(self, store: BytesStore, later: float) -> None:
        if not isinstance(store, ListingStore):
            return  # it need not
        names = [f"p:{number:02}" for number in range(7)]
        for name in (*reversed(names), "p", "q:1", "o"):
            await store.commit(name, b"", None, later)
        assert list(await store.list_keys("p:", "", 3)) == names[:3]
        assert list(await store.list_keys("p:", names[2], 3)) == names[3:6]
        assert list(await store.list_keys("p:", names[5], 3)) == names[6:]
        assert list(await store.list_keys("p:", names[6], 3)) == []
        assert list(await store.list_keys("nothing", "", 3)) == []
