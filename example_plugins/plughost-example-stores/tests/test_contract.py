"""The session stores against the suites of what they offer, and in a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from plughost import Host
from plughost.contracts import BytesSessions, SessionManager, SessionStoreSetup
from plughost.testing import FakeClock, SessionLoginSuite, SessionStoreSuite
from plughost_example_stores import shelf
from plughost_example_stores.sessions import ExampleSessions, Settings

SECRET = "a-secret-of-more-than-thirty-two-signs"


class TestExampleSessions(SessionStoreSuite):
    @pytest.fixture
    def store(self, clock: FakeClock, tmp_path: Path) -> ExampleSessions:
        return ExampleSessions(
            SessionStoreSetup(host_name="acme", data_dir=tmp_path, now=clock.time, settings=Settings())
        )


class TestShelfSessions(SessionLoginSuite):
    @pytest.fixture
    async def store(self, clock: FakeClock, tmp_path: Path) -> BytesSessions:
        setup = SessionStoreSetup(
            host_name="acme", data_dir=tmp_path, now=clock.time, settings=shelf.Settings()
        )
        store = BytesSessions(shelf.ShelfSessions(setup), clock.time)
        await store.open()
        return store


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("store", "name", "given"),
    [
        ("example", "example", {"most": 2}),
        ("plughost_example_stores.sessions:ExampleSessions", "example", {"most": 2}),
        ("shelf", "shelf", {"file": "s.db"}),
        ("plughost_example_stores.shelf:ShelfSessions", "shelf", {}),
    ],
)
async def test_a_host_keeps_its_sessions_in_it(
    store: str, name: str, given: dict[str, object], tmp_path: Path
) -> None:
    settings = {"store": store, "store_settings": given, "secret": SECRET}
    config = {"host": {"data_dir": str(tmp_path)}, "plugins": {"sessions": {"config": settings}}}
    async with Host("acme", config=config, environ={"PLUGHOST_LOAD_PLUGINS": "sessions"}) as host:
        sessions = host.use(SessionManager)
        made = await sessions.create("7", fields={"cart": 1})
        found = await sessions.get(made.session_id)
        assert found is not None
        assert found.fields == {"cart": 1}
        assert (await sessions.stats()).store == name
        assert await sessions.destroy_user("7") == 1
        assert await sessions.get(made.session_id) is None
