"""The memory store against the suite that every store must pass."""

from __future__ import annotations

import pytest

from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.testing.clock import FakeClock
from plughost.testing.suites.session_store import SessionStoreSuite, digest, new


class TestMemoryStore(SessionStoreSuite):
    @pytest.fixture
    def store(self, clock: FakeClock) -> MemoryStore:
        return MemoryStore(clock.time)

    async def test_a_frozen_store_answers_nothing(self, store: MemoryStore) -> None:
        await store.create(new("a"))
        store.freeze()
        with pytest.raises(StoreUnavailableError, match="moved"):
            await store.read(digest("a"))
        with pytest.raises(StoreUnavailableError):
            await store.create(new("b"))

    async def test_nothing_is_left_when_all_is_over(self, store: MemoryStore, clock: FakeClock) -> None:
        for number in range(20):
            await store.create(new(f"s{number}", subject=f"user{number % 4}"))
        await store.replace(digest("s0"), new("r", subject="user0", absolute=None), version=1, grace=10)
        await store.end_subject("user1")
        await clock.advance(30_000)
        while await store.purge(3):
            pass
        sizes = [len(store._rows), len(store._subjects), len(store._replaced), len(store._endings)]
        assert sizes == [0, 0, 0, 0]
