"""Every figure of the sessions moves when its cause happens, on each store: one that cannot move lies to its reader."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from plughost.contracts.clock import SteadyTime
from plughost.contracts.session import SessionStats
from plughost.exceptions import SessionUnreadableError
from plughost.plugins.sessions.clocks import Lifetimes
from plughost.plugins.sessions.crypto import KeyRing, SealedEnvelope
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.records import SessionRecords, SessionRules
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.plugins.sessions.stores.redis import RedisStore
from plughost.plugins.sessions.stores.sqlite import SQLiteStore
from plughost.testing.clock import FakeClock
from servers import Server, server

from .conftest import OLDER_SECRET, SECRET

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    with server() as running:
        yield running


CELLS = [
    ("asyncio", "memory"),
    ("asyncio", "sqlite"),
    ("asyncio", "redis"),  # whose client works on asyncio only
    ("trio", "memory"),
    ("trio", "sqlite"),
]


@pytest.fixture(params=CELLS, ids="-".join)
def cell(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture
def anyio_backend(cell: tuple[str, str]) -> str:
    return cell[0]


@pytest.fixture
async def store(
    request: pytest.FixtureRequest, cell: tuple[str, str], clock: FakeClock, tmp_path: Path, redis: Server
) -> AsyncIterator[Any]:
    opened: Any = {
        "memory": lambda: MemoryStore(SteadyTime(clock)),
        "sqlite": lambda: SQLiteStore(tmp_path / "sessions.db", SteadyTime(clock)),
        "redis": lambda: RedisStore(redis.url, prefix=request.node.name, now=clock.time),
    }[cell[1]]()
    await opened.open()
    assert opened.name == cell[1]
    yield opened
    await opened.close()


def with_secret(store: Any, clock: FakeClock, secret: str) -> Sessions:
    policy = SessionRules(lifetimes=Lifetimes(idle=60, absolute=3600, touch=1))
    codec = RowCodec(SealedEnvelope(KeyRing([secret])))
    return Sessions(SessionRecords(store, codec, policy, SteadyTime(clock)))


@pytest.mark.parametrize(
    "name", sorted({field.name for field in fields(SessionStats)} - {"store", "counted"})
)
async def test_a_figure_moves_when_its_cause_happens(store: Any, clock: FakeClock, name: str) -> None:
    sessions = with_secret(store, clock, SECRET)
    before = await sessions.stats()
    strangers = await with_secret(store, clock, OLDER_SECRET).create("8")
    with pytest.raises(SessionUnreadableError):
        await sessions.get(strangers.session_id)
    await sessions.create("7")
    clock.jump(100)
    await sessions.create("9")
    after = await sessions.stats()
    assert getattr(after, name) != getattr(before, name)


async def test_figures_are_what_there_is_and_no_more(store: Any, clock: FakeClock) -> None:
    sessions = with_secret(store, clock, SECRET)
    made = [await sessions.create(user) for user in ("7", "7", "8", None)]
    assert await sessions.stats() == SessionStats(active=4, expired=0, users=2, store=store.name)
    await sessions.destroy(made[0].session_id)
    assert (await sessions.stats()).active == 3
    assert (await sessions.stats()).users == 2
    await sessions.destroy_user("7")
    assert ((await sessions.stats()).active, (await sessions.stats()).users) == (2, 1)
    clock.jump(100)
    told = await sessions.stats()
    assert (told.active, told.users) == (0, 0)
    assert (await sessions.cleanup_expired()).removed >= 2
    assert (await sessions.stats()).expired == 0


@pytest.mark.parametrize("times", [1, 3])
async def test_each_time_a_session_could_not_be_opened_is_counted(
    store: Any, clock: FakeClock, times: int
) -> None:
    sessions = with_secret(store, clock, SECRET)
    strangers = await with_secret(store, clock, OLDER_SECRET).create("8", fields={"a": 1, "b": 2})
    for _ in range(times):
        with pytest.raises(SessionUnreadableError):
            await sessions.get(strangers.session_id)
    assert (await sessions.stats()).unreadable == times
