"""Members of another plughost in one fleet: what one does not know it leaves alone, says so, and harms nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import msgspec
import pytest
import structlog

from fleet_engines import Engine, RedisAtOnce, SqliteAtOnce
from fleet_engines import engine as running_engine
from plughost import Host
from plughost.cli import main
from plughost.contracts import Beat, Fleet, FleetChange, FleetStore, Greeting, NextStep, Proposal, Steering
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.plugins.fleet.conducting import Conductor
from plughost.plugins.fleet.config import FleetConfig
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.panel import FleetPanel
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores.rules import FleetRules
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from plughost.testing import FakeClock
from plughost.testing.suites.fleet_driver import JOB, FleetDriver

pytestmark = pytest.mark.anyio

LAMP = "from plughost import Plugin\nclass Lamp(Plugin): pass\n"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # as the client of Redis


@pytest.fixture(scope="module", params=["memory", "sqlite", "valkey"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with running_engine(request.param) as running:
        yield running


@pytest.fixture
async def fleet(engine: Engine) -> AsyncIterator[FleetDriver]:
    clock = FakeClock(start=1_800_000_000.0)
    store = engine(clock.time)
    await store.open()
    yield FleetDriver(store, clock)
    await store.close()


async def written(store: Any, kind: str, key: str, fields: Mapping[str, Any], line: str = "") -> None:
    """Have a document hold these fields, as whoever knows more or less of them would write it."""
    if isinstance(store, RedisAtOnce):
        client = store._opened
        if kind == "member":
            await client.hset(f"{store._base}:beat", key, line)
            return
        name = f"{store._base}:head" if kind == "head" else f"{store._base}:job:{key}"
        for field, value in fields.items():
            await client.hset(name, field, value if isinstance(value, str | int) else " ".join(value))
        if kind == "job":
            await client.sadd(f"{store._base}:jobs", key)
        return
    document = msgspec.msgpack.encode(fields) if fields else b"\xc1"

    def write(rules: FleetRules) -> None:
        rules._documents.put(kind, key, document)

    await store._step(write)


async def test_what_a_newer_plughost_keeps_in_its_own_way_is_left_alone_and_that_is_said(
    fleet: FleetDriver,
) -> None:
    store: FleetStore = fleet.store
    await fleet.join("a")
    await fleet.enlist("a")
    epoch = (await store.view()).epoch
    await written(store, "head", "", {"epoch": epoch, "format": 2, "what": "nobody knows yet"})
    calls: list[Callable[[], Any]] = [
        store.view,
        store.steering,
        lambda: fleet.join("b"),
        lambda: fleet.beat("a"),
        lambda: store.propose(Proposal(number=1, expect=0, document=b"x")),
        lambda: store.go_on(NextStep(after=0, roll=b"x")),
        lambda: store.drain("a", b"x"),
        lambda: store.forget("a"),
        lambda: store.leave("a", fleet.incarnations["a"]),
    ]
    for call in calls:
        with pytest.raises(
            StoreUnavailableError, match=r"kept by a newer plughost.*upgrade plughost on this host"
        ):
            await call()


async def test_what_an_older_plughost_wrote_is_read(fleet: FleetDriver) -> None:
    store, now = fleet.store, fleet.now
    await fleet.join("a")
    epoch = (await store.view()).epoch
    old = {"member": "old", "incarnation": now, "joined": now, "seen": now, "ttl": 15_000}
    await written(store, "member", "old", old, f"{now} {now} {now} 15000 0 0 1 0 0")
    await written(store, "head", "", {"epoch": epoch})
    await written(store, "job", JOB, {"job": JOB, "slot": now - 60_000, "definitions": ["one"]})
    assert [one.member for one in (await store.view()).members] == ["a", "old"]
    fleet.incarnations["old"] = now
    assert (await fleet.beat("old", calls=3)).members == 2
    await fleet.enlist("a")
    claimed = await fleet.claim("a", await fleet.at_slot("a"))
    assert claimed.verdict in ("run", "gap")
    assert (await store.steering()).active == 0


async def test_what_a_newer_plughost_of_the_same_format_adds_harms_nobody(fleet: FleetDriver) -> None:
    store, now = fleet.store, fleet.now
    epoch = (await store.view()).epoch
    new = {"member": "new", "incarnation": now, "joined": now, "seen": now, "ttl": 15_000, "mood": "good"}
    await written(store, "member", "new", new, f"{now} {now} {now} 15000 0 0 0 0 0 0 0 0 0 0 7 7")
    await written(store, "head", "", {"epoch": epoch, "mood": "good"})
    await written(store, "job", JOB, {"job": JOB, "slot": now, "definitions": ["one"], "mood": "good"})
    fleet.incarnations["new"] = now
    assert (await fleet.beat("new", ready=True)).known
    view = await store.view()
    assert [one.ready for one in view.members] == [True]
    assert [one.job for one in view.jobs] == [JOB]


@pytest.mark.parametrize(("kind", "key"), [("member", "a"), ("job", JOB), ("head", "")])
async def test_what_cannot_be_read_at_all_is_told_and_nothing_is_made_of_it(
    fleet: FleetDriver, kind: str, key: str
) -> None:
    await fleet.join("a")
    await fleet.enlist("a")
    garbage = {"slot": "soon", "step": "next"} if isinstance(fleet.store, RedisAtOnce) else {}
    await written(fleet.store, kind, key, garbage, "some words")
    reads = fleet.store.steering if kind == "head" else fleet.store.view
    with pytest.raises(
        StoreUnavailableError, match=r"cannot read.*another version wrote it, or somebody by hand"
    ):
        await reads()


class Wanted(msgspec.Struct, kw_only=True):
    enabled: bool | None = None
    mood: str = ""


class Revision(msgspec.Struct, kw_only=True):
    """A revision of a plughost that knows moods."""

    number: int
    parent: int = 0
    author: str = "ada"
    change: str = "a better mood"
    plugins: dict[str, Wanted] = {}
    made: float = 0.0


class Roll(msgspec.Struct, kw_only=True):
    """A roll-out of a plughost that knows moods."""

    revision: int
    since: int = 0
    mood: str = "good"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
    name = f"skew_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(LAMP)
    monkeypatch.syspath_prepend(str(tmp_path))
    return {
        "host": {"data_dir": str(tmp_path / "data"), "allow": ["fleet", "lamp"]},
        "plugins": {"fleet": {"config": {"interval": 0.3}}, "lamp": {"module": f"{name}:Lamp"}},
    }


@asynccontextmanager
async def with_a_newer_one(
    folder: Path, config: Mapping[str, Any]
) -> AsyncIterator[tuple[Host, Fleet, Seal, SqliteAtOnce]]:
    """A running host with its fleet, and what a newer plughost would write into its store with."""
    async with Host("shop", config=config, environ={}) as host:
        store = SqliteAtOnce(folder / "data/fleet/fleet.db")
        yield host, host.use(Fleet), FleetConfig().make_seal(folder / "data/fleet"), store
        await store.close()


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(60):
        while not await condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def test_a_revision_that_says_more_than_a_host_knows_is_refused_whole_by_it_and_kept(
    tmp_path: Path, config: Mapping[str, Any]
) -> None:
    async with with_a_newer_one(tmp_path, config) as (host, fleet, seal, store):
        newer = seal.close(Revision(number=1, plugins={"lamp": Wanted(enabled=False, mood="good")}))
        await store.propose(Proposal(number=1, expect=0, document=newer))

        async def refused() -> bool:
            (mine,) = await fleet.members()
            return mine.applied == 1

        await until(refused)
        (mine,) = await fleet.members()
        assert "of a newer plughost, and says what this one does not know (mood)" in mine.error
        assert host.plugins["lamp"].state == "ready"  # half of it is not what was wanted
        with pytest.raises(FleetError, match="of a newer plughost"):
            await fleet.propose(FleetChange("reload", "lamp"))  # it would take the mood away from all
        assert await store.revision(1) == newer


async def test_whoever_does_not_know_a_roll_out_leaves_the_lead_to_one_that_does(
    tmp_path: Path, config: Mapping[str, Any]
) -> None:
    async with with_a_newer_one(tmp_path, config) as (_, fleet, seal, store):
        now = (await fleet.status()).now
        document = seal.close(Revision(number=1, plugins={}))
        roll = seal.close(Roll(revision=1, since=round(now * 1000)))
        await store.propose(Proposal(number=1, expect=0, document=document, at_once=False, roll=roll))
        newer = await store.join(Greeting(member="newer", ttl=600_000))

        async def newer_leads() -> bool:
            return (await store.beat(Beat(member="newer", incarnation=newer.incarnation))).leads

        await until(newer_leads)
        seen = await FleetPanel(fleet, Revisions(store, seal)).panel().data()  # type: ignore[arg-type]
        assert "does not know (mood)" in seen["revisions_error"]
        assert fleet.member.connected


async def test_a_step_that_came_while_an_unreadable_one_was_looked_at_is_looked_at_by_itself() -> None:
    asked, answered = anyio.Event(), anyio.Event()
    looks = []

    class Store:
        async def steering(self) -> Steering:
            looks.append(len(looks))
            if len(looks) == 1:
                asked.set()
                await answered.wait()
            return Steering(step=len(looks), active=0, newest=0, roll=b"", drains=())

    class Courses:
        def roll_of(self, steering: Steering) -> None:
            if steering.step == 1:
                raise FleetError("of a newer plughost")

    clock = FakeClock()
    membership = Membership("a", 15.0, clock)
    membership.entered(1, "epoch")
    membership.heard(clock.monotonic(), round(clock.time() * 1000))
    log = structlog.get_logger("silent", silent=True)
    kit: Any = SimpleNamespace(
        store=Store(), revisions=Courses(), membership=membership, publish=None, clock=clock, log=log
    )
    conductor = Conductor(kit)
    conductor.hear(1, leads=True)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(conductor.run)
            await asked.wait()
            conductor.hear(2, leads=True)
            answered.set()
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert len(looks) == 2
    assert membership.understands


def test_a_command_of_an_older_plughost_says_that_it_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plughost.toml").write_text('[host]\nname = "shop"\ndata_dir = "data"\n')
    monkeypatch.chdir(tmp_path)

    async def be_newer() -> None:
        seal = FleetConfig().make_seal(tmp_path / "data/fleet")
        store = SqliteFleetStore(tmp_path / "data/fleet/fleet.db")
        await store.open()
        roll = seal.close(Roll(revision=1))
        await store.propose(
            Proposal(number=1, expect=0, document=seal.close(Revision(number=1)), at_once=False, roll=roll)
        )
        await store.close()

    anyio.run(be_newer)
    with pytest.raises(SystemExit) as ended:
        main(["fleet", "status"])
    assert ended.value.code == 3
    assert "says what this one does not know (mood)" in capsys.readouterr().out
