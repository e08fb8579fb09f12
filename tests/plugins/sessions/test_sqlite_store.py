"""The SQLite store against the suite that every store must pass, and against its own promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from plughost.contracts.clock import SteadyTime
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.testing.clock import FakeClock
from plughost.testing.suites.session_store import SessionStoreSuite


class TestSQLiteStore(SessionStoreSuite):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[SQLiteStore]:
        store = SQLiteStore(tmp_path / "sessions.db", SteadyTime(clock))
        await store.open()
        yield store
        await store.close()
