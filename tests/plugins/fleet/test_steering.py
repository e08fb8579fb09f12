"""What the fleet wants of plugins is done on every member, and nobody without the secret can want anything."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from msgspec.structs import replace

from plughost import Host, Plugin
from plughost.contracts import Fleet, FleetChange, Proposal, Rollout, RolloutPlan
from plughost.exceptions import FleetError
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from plughost.plugins.fleet.stores.tables import FleetHead
from plughost.plugins.fleet.wishes import Revision, WantedState

pytestmark = pytest.mark.anyio

LAMP = """
from plughost import Plugin

class Lamp(Plugin):
    async def stop(self):
        if {sticks!r}:
            raise RuntimeError("stuck")
"""


def config(folder: Path, interval: float = 5, **host: Any) -> dict[str, Any]:
    return {
        "host": {"data_dir": str(folder), "allow": ["fleet", "lamp"]} | host,
        "plugins": {"fleet": {"config": {"interval": interval}}, "lamp": {"module": "tests_fleet_lamp:Lamp"}},
    }


@pytest.fixture(autouse=True)
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "tests_fleet_lamp.py").write_text(LAMP.format(sticks=False))
    monkeypatch.syspath_prepend(str(code))


@asynccontextmanager
async def workers(folder: Path, number: int, **host: Any) -> AsyncIterator[list[Host]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                Host("shop", config=config(folder, **host), environ={}, worker=worker)
            )
            for worker in range(number)
        ]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def done(host: Host, rollout: Rollout) -> Rollout:
    with anyio.fail_after(60):
        while rollout.state == "rolling":
            await anyio.sleep(0.02)
            found = await host.use(Fleet).rollout(rollout.id)
            assert found is not None
            rollout = found
    return rollout


def states(hosts: list[Host], name: str = "lamp") -> list[str]:
    return [str(host.plugins[name].state) for host in hosts]


async def test_a_change_is_made_on_all_members_long_before_their_next_beat(tmp_path: Path) -> None:
    async with workers(tmp_path / "data", 2) as hosts:
        fleet = hosts[0].use(Fleet)
        await anyio.sleep(0.3)  # they have beaten once, and would again in five seconds
        began = anyio.current_time()
        rollout = await fleet.propose(FleetChange("disable", "lamp", "it flickers"))
        await until(lambda: states(hosts) == ["disabled", "disabled"])
        assert anyio.current_time() - began < 4
        rollout = await done(hosts[0], rollout)
        assert (rollout.state, set(rollout.results.values())) == ("done", {"applied"})
        await fleet.propose(FleetChange("enable", "lamp"))
        await until(lambda: states(hosts) == ["ready", "ready"])


async def test_nobody_waits_for_the_disk_in_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_in: list[int] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        written_in.append(threading.get_ident())
        fsync(descriptor)

    async with workers(tmp_path / "data", 1) as (host,):
        monkeypatch.setattr(os, "fsync", watched)
        await done(host, await host.use(Fleet).propose(FleetChange("disable", "lamp")))
        await until(lambda: bool(written_in))
        assert threading.get_ident() not in written_in


async def test_who_joins_later_follows_too_and_so_does_who_starts_without_the_store(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with workers(folder, 1) as (first,):
        await done(first, await first.use(Fleet).propose(FleetChange("quarantine", "lamp", "bad")))
        async with Host("shop", config=config(folder), environ={}, worker=1) as second:
            await until(lambda: states([second]) == ["disabled"])
    (folder / "fleet/fleet.db").unlink()
    async with workers(folder, 1) as again:
        await until(lambda: states(again) == ["disabled"])
        # The store had forgotten it, and has it back.
        with anyio.fail_after(60):
            store = SqliteFleetStore(folder / "fleet/fleet.db")
            while not await store.revisions():  # noqa: ASYNC110 - a condition of the test
                await anyio.sleep(0.05)
            await store.close()


async def test_a_reload_happens_once_on_each_member_and_not_on_those_that_start_later(tmp_path: Path) -> None:
    async with workers(tmp_path / "data", 1) as (host,):
        before = host.plugins["lamp"]
        await anyio.sleep(0.3)  # it has heard that there is nothing to follow
        await done(host, await host.use(Fleet).propose(FleetChange("reload", "lamp")))
        assert host.plugins["lamp"].generation == before.generation + 1
    async with workers(tmp_path / "data", 1) as (host,):
        await anyio.sleep(0.5)
        assert host.plugins["lamp"].generation == before.generation


async def test_of_two_who_decide_on_the_same_revision_the_second_is_refused(tmp_path: Path) -> None:
    async with workers(tmp_path / "data", 1) as (host,):
        fleet = host.use(Fleet)
        first = await fleet.propose(FleetChange("disable", "lamp"), expect=0, author="ada")
        with pytest.raises(FleetError, match=r"at revision 1 \(disable lamp, by ada\), and you expected 0"):
            await fleet.propose(FleetChange("enable", "lamp"), expect=0)
        assert (await done(host, first)).state == "done"
        assert states([host]) == ["disabled"]


async def test_of_two_at_the_same_moment_both_changes_are_made_when_nobody_minds_the_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers(tmp_path / "data", 1) as (host,):
        fleet = host.use(Fleet)
        propose, first = SqliteFleetStore.propose, list[Proposal]()

        async def second(store: SqliteFleetStore, proposal: Proposal) -> Any:
            if not first:
                first.append(proposal)
                await fleet.propose(FleetChange("quarantine", "lamp"), author="ada")
            return await propose(store, proposal)

        monkeypatch.setattr(SqliteFleetStore, "propose", second)
        rollout = await fleet.propose(FleetChange("disable", "lamp"))
        assert (first[0].number, rollout.revision) == (1, 2)
        first.clear()
        with pytest.raises(
            FleetError, match=r"at revision 3 \(quarantine lamp, by ada\), and you expected 2"
        ):
            await fleet.propose(FleetChange("disable", "lamp"), expect=2)


async def test_a_change_whose_place_another_took_is_not_told_to_be_done(tmp_path: Path) -> None:
    async with workers(tmp_path / "data", 2) as hosts:
        fleet = hosts[0].use(Fleet)
        await until(lambda: all(host.use(Fleet).member.connected for host in hosts))
        slow = await fleet.propose(FleetChange("reload", "lamp"), RolloutPlan(settle=600))
        await fleet.propose(FleetChange("disable", "lamp"), author="ada")

        async def told(name: str) -> Rollout:
            found = await fleet.rollout(name)
            assert found is not None
            return found

        with anyio.fail_after(60):
            while not (found := await told(slow.id)).ended:
                assert found.state == "reverting"
                await anyio.sleep(0.02)
        assert (found.state, set(found.results.values())) == ("reverted", {"taken back"})
        assert found.reason == "revision 2 took its place: disable lamp, by ada"
        await done(hosts[0], await fleet.propose(FleetChange("enable", "lamp")))
        assert [(await told(str(number))).state for number in (1, 2, 3)] == ["reverted", "done", "done"]
        await fleet.propose(FleetChange("disable", "lamp"), RolloutPlan(settle=600))
        await fleet.steer_rollout("4", "abort")
        with anyio.fail_after(60):
            while (await told("4")).state != "reverted":  # noqa: ASYNC110
                await anyio.sleep(0.02)
        await done(hosts[0], await fleet.propose(FleetChange("reload", "lamp")))
        assert [(await told(str(number))).state for number in (3, 4, 5, 6)] == [
            "done", "reverted", "done", "done",
        ]  # fmt: skip


async def test_a_change_that_the_store_has_lost_is_not_told_to_be_done(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with workers(folder, 1) as (host,):
        fleet: Any = host.use(Fleet)
        await done(host, await fleet.propose(FleetChange("disable", "lamp")))
        for ending in ("", "-wal", "-shm"):
            (folder / f"fleet/fleet.db{ending}").unlink(missing_ok=True)
        rollout = await fleet._revisions.rollout(1)
        if not rollout.results:  # nobody has joined again yet
            assert (rollout.state, "has lost" in rollout.waits_for) == ("rolling", True)
        with anyio.fail_after(60):
            while not (rollout := await fleet._revisions.rollout(1)).ended or not rollout.results:  # noqa: ASYNC110
                await anyio.sleep(0.02)
        assert (rollout.state, set(rollout.results.values())) == ("done", {"applied"})


async def test_what_no_host_told_to_be_good_is_not_put_back_into_a_store_that_was_emptied(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"
    async with workers(folder, 2, interval=0.5) as hosts:
        fleet = hosts[0].use(Fleet)
        await until(lambda: all(host.use(Fleet).member.connected for host in hosts))
        await done(hosts[0], await fleet.propose(FleetChange("enable", "lamp")))
        await fleet.propose(FleetChange("disable", "lamp"), RolloutPlan(settle=600))
        await until(lambda: sorted(states(hosts)) == ["disabled", "ready"])
        for ending in ("", "-wal", "-shm"):
            (folder / f"fleet/fleet.db{ending}").unlink(missing_ok=True)
        await until(lambda: {host.use(Fleet).member.applied for host in hosts} == {3})
        assert states(hosts) == ["ready", "ready"]
        found = await fleet.rollout("3")
        assert found is not None
        found = await done(hosts[0], found)
        assert (found.state, set(found.results.values())) == ("done", {"applied"})
        lost: Any = await fleet._revisions.rollout(2)  # type: ignore[attr-defined]
        assert (lost.state, "the store was emptied while 2 was on its way" in lost.reason) == (
            "reverted",
            True,
        )
    async with workers(folder, 1) as (host,):
        await until(lambda: host.use(Fleet).member.applied == 3)


async def test_a_plugin_that_a_host_does_not_have_is_nothing_to_do_there(tmp_path: Path) -> None:
    async with workers(tmp_path / "data", 1) as (host,):
        rollout = await done(
            host, await host.use(Fleet).propose(FleetChange("disable", "elsewhere", force=True))
        )
        assert rollout.state == "done"


async def test_a_name_that_no_host_and_no_revision_knows_is_refused_and_the_nearest_told(
    tmp_path: Path,
) -> None:
    async with workers(tmp_path / "data", 1) as (host,):
        fleet = host.use(Fleet)
        await until(lambda: fleet.member.connected)  # before, nobody knows what any host has
        for act in ("disable", "reload"):
            with pytest.raises(FleetError, match=r"no host of the fleet has .* 'lmap'.* mean 'lamp'"):
                await fleet.propose(FleetChange(act, "lmap"))
        await done(host, await fleet.propose(FleetChange("quarantine", "bulb", force=True)))
        await done(host, await fleet.propose(FleetChange("enable", "bulb")))  # a revision has it
        assert fleet.member.applied == 2


async def test_what_a_host_loaded_a_moment_ago_can_be_changed_there(tmp_path: Path) -> None:
    class Bulb(Plugin):
        name = "bulb"

    async with workers(tmp_path / "data", 1, allow=["fleet", "lamp", "bulb"]) as (host,):
        await host.load_plugin(Bulb())
        await done(host, await host.use(Fleet).propose(FleetChange("disable", "bulb")))
        assert states([host], "bulb") == ["disabled"]


async def test_the_fleets_own_plugin_is_not_steered_by_it(tmp_path: Path) -> None:
    async with workers(tmp_path / "data", 1) as (host,):
        with pytest.raises(FleetError, match="its own plugin"):
            await host.use(Fleet).propose(FleetChange("disable", "fleet"))


async def test_what_was_not_signed_with_the_secret_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with workers(folder, 1) as (host,):
        store = SqliteFleetStore(folder / "fleet/fleet.db")
        await store.open()
        forged = Revision(number=1, plugins={"lamp": WantedState(enabled=False)})
        document = Seal(b"another secret of thirty-two signs").close(forged)
        await store.propose(Proposal(number=1, expect=0, document=document))
        await store.close()
        await until(lambda: "was not signed" in host.use(Fleet).member.error)
        assert states([host]) == ["ready"]


def test_a_revision_that_was_changed_in_any_byte_is_refused() -> None:
    seal = Seal(b"k" * 32)
    document = seal.close(Revision(number=1, plugins={"lamp": WantedState(enabled=False)}))
    assert seal.open(document, Revision).plugins == {"lamp": WantedState(enabled=False)}
    for place in range(len(document)):
        changed = bytearray(document)
        changed[place] ^= 1
        with pytest.raises(FleetError):
            seal.open(bytes(changed), Revision)
    for short in (b"", document[:31], document[:32]):
        with pytest.raises(FleetError):
            seal.open(short, Revision)


def test_without_a_secret_hosts_of_several_machines_cannot_be_steered() -> None:
    with pytest.raises(FleetError, match="secret_file"):
        Seal(b"").close(Revision(number=1))
    with pytest.raises(FleetError, match="secret_file"):
        Seal(b"").open(b"x" * 100, Revision)


async def test_an_older_revision_is_not_followed_again_though_the_store_says_so(tmp_path: Path) -> None:
    async with workers(tmp_path, 1, interval=0.5) as hosts:
        fleet = hosts[0].use(Fleet)
        for act in ("disable", "enable"):
            await done(hosts[0], await fleet.propose(FleetChange(act, "lamp")))  # type: ignore[arg-type]
        assert states(hosts) == ["ready"]
        with closing(sqlite3.connect(tmp_path / "fleet/fleet.db")) as database, database:
            (document,) = database.execute("SELECT value FROM documents WHERE kind = 'head'").fetchone()
            head = msgspec.msgpack.decode(document, type=FleetHead)
            assert head.active == 2
            forged = msgspec.msgpack.encode(replace(head, active=1, step=head.step + 1))
            database.execute("UPDATE documents SET value = ? WHERE kind = 'head'", (forged,))
        await anyio.sleep(1.5)
        assert states(hosts) == ["ready"]
        assert fleet.member.applied == 2
