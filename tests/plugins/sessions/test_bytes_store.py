"""Sessions over three methods of bytes: everything a login needs, and what the store does not offer said in words."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plughost import Host
from plughost.contracts import BytesSessions, SessionManager
from plughost.contracts.session_store import NewSession, SessionPatch, StoredSession
from plughost.exceptions import SessionUnreadableError, StoreUnavailableError
from plughost.plugins.sessions.plugin import SessionsPlugin
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.testing import FakeClock, SessionLoginSuite, SessionPurgeSuite

pytestmark = pytest.mark.anyio

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"


class Drawer:
    """The shortest store there is; every call lets the others go first, as one over a network does."""

    def __init__(self, setup: Any = None) -> None:
        self.values: dict[str, bytes] = {}
        self.until: dict[str, float] = {}

    async def find(self, key: str) -> bytes | None:
        await anyio.lowlevel.checkpoint()
        return self.values.get(key)

    async def commit(self, key: str, value: bytes, instead_of: bytes | None, expires_at: float) -> bool:
        await anyio.lowlevel.checkpoint()
        if self.values.get(key) != instead_of:
            return False
        self.values[key], self.until[key] = value, expires_at
        return True

    async def delete(self, key: str, value: bytes) -> bool:
        await anyio.lowlevel.checkpoint()
        return self.values.get(key) == value and bool(self.values.pop(key))


class TestDrawer(SessionLoginSuite):
    @pytest.fixture
    def store(self, clock: FakeClock) -> BytesSessions:
        return BytesSessions(Drawer(), clock.time)


class Tidy(Drawer):
    """Drops each value the moment its time is over, as a server with expiring keys does."""

    clock: FakeClock

    async def find(self, key: str) -> bytes | None:
        if self.until.get(key, 0.0) <= self.clock.time():
            self.values.pop(key, None)
        return await super().find(key)


class TestTidyDrawer(SessionLoginSuite):
    @pytest.fixture
    def store(self, clock: FakeClock) -> BytesSessions:
        drawer = Tidy()
        drawer.clock = clock
        return BytesSessions(drawer, clock.time)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_700_000_000.0)


def new(name: str, subject: str | None = "ada") -> NewSession:
    return NewSession(
        digest=sha256(name.encode()).digest(),
        handle=name,
        subject=subject,
        idle=60.0,
        absolute=600.0,
        about=b"a",
    )


async def test_of_two_who_replace_one_session_at_once_only_one_does(clock: FakeClock) -> None:
    drawer = Drawer()
    store = BytesSessions(drawer, clock.time)
    old = await store.create(new("old"))
    assert old is not None
    made: list[StoredSession | None] = []

    async def replace(name: str) -> None:
        made.append(await store.replace(old.digest, new(name), version=1, grace=0.0))

    async with anyio.create_task_group() as group:
        for name in ("one", "two", "three"):
            group.start_soon(replace, name)
    fresh = [row for row in made if row is not None]
    assert len(fresh) == 1
    assert [row.handle for row in await store.list_subject("ada")] == [fresh[0].handle]
    assert sum(key.startswith("session:") for key in drawer.values) == 1


async def test_what_began_while_its_subject_was_ended_is_over_or_outlives_it_whole(clock: FakeClock) -> None:
    store = BytesSessions(Drawer(), clock.time)
    await store.create(new("first"))
    async with anyio.create_task_group() as group:
        group.start_soon(store.create, new("second"))
        group.start_soon(store.end_subject, "ada")
    living = await store.list_subject("ada")
    found = [name for name in ("first", "second") if await store.read(new(name).digest)]
    assert [row.handle for row in living] == found
    assert "first" not in found


@pytest.mark.parametrize("subject", ["ada", "", "a\x00b"])
async def test_a_store_that_loses_a_subject_ends_its_sessions_rather_than_bringing_old_ones_back(
    clock: FakeClock, subject: str
) -> None:
    drawer = Drawer()
    store = BytesSessions(drawer, clock.time)
    await store.create(new("ended", subject))
    await store.end_subject(subject)
    await store.create(new("lost", subject))
    for key in [key for key in drawer.values if key.startswith("subject:")]:
        del drawer.values[key]
    assert await store.read(new("lost", subject).digest) is None
    assert await store.create(new("fresh", subject)) is not None
    names = [name for name in ("ended", "lost", "fresh") if await store.read(new(name, subject).digest)]
    assert names == ["fresh"]


async def test_damaged_bytes_are_refused_and_kept(clock: FakeClock) -> None:
    drawer = Drawer()
    store = BytesSessions(drawer, clock.time)
    await store.create(new("a", None))
    (key,) = drawer.values
    drawer.values[key] = b"\xc1"
    with pytest.raises(SessionUnreadableError, match="damaged"):
        await store.read(new("a").digest)
    assert drawer.values[key] == b"\xc1"


async def test_a_store_on_which_others_are_always_faster_is_given_up_after_a_while(clock: FakeClock) -> None:
    class Contended(Drawer):
        async def commit(self, key: str, value: bytes, instead_of: bytes | None, expires_at: float) -> bool:
            return instead_of is None and await super().commit(key, value, instead_of, expires_at)

    store = BytesSessions(Contended(), clock.time)
    await store.create(new("a", None))
    with pytest.raises(StoreUnavailableError, match="all the time"):
        await store.patch(new("a").digest, SessionPatch(set={"x": b"1"}))


async def test_a_host_signs_in_lists_and_ends_over_three_methods_and_counts_nothing(tmp_path: Path) -> None:
    config = {"host": {"data_dir": str(tmp_path)}}
    async with Host("acme", config=config, environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        await host.load_plugin(
            SessionsPlugin, {"store": f"{__name__}:Drawer", "secret": SECRET}, name="sessions"
        )
        sessions = host.use(SessionManager)
        guest = await sessions.create(None, fields={"cart": ["book"]})
        made = await sessions.sign_in(guest.session_id, "7", username="ada")
        assert await sessions.get(guest.session_id) is None
        rotated = await sessions.rotate(made.session_id)
        assert rotated is not None
        assert [one.username for one in await sessions.list_user("7")] == ["ada"]
        assert (await sessions.update(rotated.session_id, {"n": 1})).fields == {"cart": ["book"], "n": 1}  # type: ignore[union-attr]
        figures = await sessions.stats()
        assert (figures.store, figures.counted, figures.active) == ("Drawer", False, 0)
        assert (await sessions.cleanup_expired()).removed == 0
        checks = {check.name: check for check in (await host.health()).checks}
        assert checks["sessions"].status == "pass"
        assert "active" not in checks["sessions"].figures
        (metrics,) = await host.hooks.describe_metrics()
        families = {family.name for family in metrics}
        assert "sessions_unreadable" in families
        assert "sessions_active" not in families
        assert await sessions.destroy_user("7") == 1
        assert await sessions.get(rotated.session_id) is None
        with pytest.raises(StoreUnavailableError, match="keep the older secrets"):
            await sessions.reseal()  # type: ignore[attr-defined]


@pytest.mark.parametrize("suite", [SessionLoginSuite, SessionPurgeSuite])
async def test_a_suite_that_proves_less_than_the_store_offers_says_what_is_missing(
    clock: FakeClock, suite: type[SessionLoginSuite]
) -> None:
    case = type("Case", (suite,), {})()
    with pytest.raises(AssertionError, match="let the test class subclass them too") as said:
        await case.test_what_it_offers_besides_is_proved_too(MemoryStore(clock.time))
    assert ("SessionPurgeSuite" in str(said.value)) == (suite is SessionLoginSuite)
    assert "SessionMoveSuite" in str(said.value)
