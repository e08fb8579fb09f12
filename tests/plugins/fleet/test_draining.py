"""A host that is drained: no more work is sent there, and what runs goes on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest

from plughost import Host, Plugin, PluginContext
from plughost.cli import main
from plughost.contracts import Fleet, current_run
from plughost.exceptions import FleetError
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.fleet import FleetPlugin
from plughost.plugins.fleet.draining import DrainOrder
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from serving import serve

__all__ = ["serve"]

pytestmark = pytest.mark.anyio


class Counter(Plugin):
    """Counts the slots it is given; one of them takes as long as it is told."""

    name = "counter"

    def __init__(self) -> None:
        self.runs = 0
        self.may_end = anyio.Event()
        self.may_end.set()

    async def start(self, context: PluginContext) -> None:
        context.every(0.1, self.count, name="count", scope="fleet")
        context.cron("0 3 1 1 *", self.count, name="yearly", scope="fleet")

    async def count(self) -> None:
        assert current_run() is not None
        self.runs += 1
        await self.may_end.wait()


@asynccontextmanager
async def member(folder: Path, name: str, *plugins: Plugin, **host: Any) -> AsyncIterator[Host]:
    fleet = {"path": str(folder / "data/fleet/fleet.db"), "interval": 0.5, "member_name": name}
    fleet["secret_file"] = str(folder / "data/fleet/fleet.key")
    config = {
        "host": {"data_dir": str(folder / name), "allow": ["fleet"], **host},
        "plugins": {"fleet": {"config": fleet}},
    }
    key = folder / "data/fleet/fleet.key"
    key.parent.mkdir(parents=True, exist_ok=True)
    key.touch(mode=0o600)
    key.write_text("k" * 40)
    async with Host("shop", config=config, environ={}) as running:
        for plugin in plugins:
            await running.load_plugin(plugin)
        yield running


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def test_jobs_of_the_fleet_leave_a_drained_host_and_come_back(tmp_path: Path) -> None:
    north, south = Counter(), Counter()
    async with member(tmp_path, "north", north) as drained, member(tmp_path, "south", south) as other:
        await until(lambda: north.runs > 0)
        assert list(await other.use(Fleet).drain("north")) == ["north"]
        await until(lambda: drained.draining)
        assert (drained.ready, drained.use(Fleet).member.state, other.draining) == (True, "draining", False)
        before, others = north.runs, south.runs
        await until(lambda: south.runs >= others + 6)
        assert north.runs <= before + 1  # it may have asked for a slot just before
        before = north.runs
        await drained.use(Fleet).drain("north", on=False)
        await until(lambda: not drained.draining and north.runs > before)


async def test_what_runs_on_a_drained_host_goes_on_to_its_end(tmp_path: Path) -> None:
    counter = Counter()
    counter.may_end = anyio.Event()
    async with member(tmp_path, "north", counter) as host:
        await until(lambda: counter.runs == 1)
        await host.use(Fleet).drain("north")
        await until(lambda: host.draining)
        await anyio.sleep(0.8)
        counter.may_end.set()

        async def job() -> Any:
            return next(one for one in (await host.use(Fleet).status()).jobs if one.job == "counter:count")

        with anyio.fail_after(60):
            while (await job()).state == "running":  # noqa: ASYNC110 - a condition of the test
                await anyio.sleep(0.02)
        assert ((await job()).state, (await job()).starts) == ("done", 1)


async def test_a_drained_host_stays_so_when_it_is_started_again(tmp_path: Path) -> None:
    async with member(tmp_path, "north") as host:
        await host.use(Fleet).drain("north")
    counter = Counter()
    async with member(tmp_path, "north", counter) as host:
        await until(lambda: host.draining)
        await anyio.sleep(0.4)
        assert counter.runs == 0


async def test_who_means_nobody_or_a_host_that_follows_nothing_is_told(tmp_path: Path) -> None:
    async with member(tmp_path, "north", fleet=False) as host:
        with pytest.raises(FleetError, match="no member and no machine 'moon'"):
            await host.use(Fleet).drain("moon")
        with pytest.raises(FleetError, match=r"host\.fleet is off"):
            await host.use(Fleet).drain("north")
        assert not host.draining


@pytest.mark.parametrize("forged", ["another secret", "another member"])
async def test_an_order_that_nobody_may_give_is_not_followed(tmp_path: Path, forged: str) -> None:
    async with member(tmp_path, "north") as host:
        seal = Seal((b"x" if forged == "another secret" else b"k") * 40)
        order = DrainOrder(member="south" if forged == "another member" else "north")
        store = SqliteFleetStore(tmp_path / "data/fleet/fleet.db")
        await store.open()
        await store.drain("north", seal.close(order))
        await store.close()
        await anyio.sleep(1.0)
        assert not host.draining


async def test_an_order_is_given_once_whoever_writes_it_into_the_store_again(tmp_path: Path) -> None:
    store = SqliteFleetStore(tmp_path / "data/fleet/fleet.db")
    await store.open()
    async with member(tmp_path, "north") as host:
        await host.use(Fleet).drain("north")
        await until(lambda: host.draining)
        (first,) = (await store.steering()).drains
        await host.use(Fleet).drain("north", on=False)
        await until(lambda: not host.draining)
        (second,) = (await store.steering()).drains
        await store.drain("north", first.order)
        await anyio.sleep(0.7)
        assert not host.draining
    async with member(tmp_path, "north") as host:  # nor by one who was started again
        await anyio.sleep(0.7)
        assert not host.draining
        await host.use(Fleet).drain("north")
        await until(lambda: host.draining)
        for order in (second.order, b""):  # nobody takes it back either
            await store.drain("north", order)
            await anyio.sleep(0.7)
            assert host.draining
    await store.close()


async def test_readiness_says_that_a_host_is_drained_and_the_page_drains_it(
    serve: Any, tmp_path: Path
) -> None:
    fleet = (FleetPlugin, {"path": str(tmp_path / "fleet.db"), "member_name": "north", "interval": 0.5})
    async with serve(fleet, AdminPlugin) as served:
        async with served.client() as client:
            assert (await client.get("/readyz")).json() == {"status": "pass"}
        async with served.client(token=served.token("fleet:*")) as client:
            page = (await client.get("/admin/system/fleet", headers={"Accept": "text/html"})).text
            assert 'action="fleet/drain"' in page
            assert (await client.post("/admin/system/fleet/drain", data={"host": "north"})).status_code < 400
            await until(lambda: served.host.draining)
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()) == (503, {"status": "fail", "notes": ["draining"]})
            assert (await client.get("/livez")).status_code == 200
            path = "/admin/api/fleet/hosts/north"
            assert (await client.post(f"{path}/undrain")).json() == {"members": ["north"], "draining": False}
            await until(lambda: not served.host.draining)
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.post("/admin/api/fleet/hosts/moon/drain")).status_code == 409
        async with served.client(token=served.token("fleet:read")) as client:
            assert (await client.post(f"{path}/drain")).status_code == 403


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    (tmp_path / "plughost.toml").write_text('[host]\nname = "shop"\ndata_dir = "data"\n')
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[int, Any, str]:
        with pytest.raises(SystemExit) as ended:
            main(["--json", *words])
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), json.loads(out) if out else None, err

    async def in_thread(*words: str) -> tuple[int, Any, str]:
        return await anyio.to_thread.run_sync(partial(run, *words))

    return in_thread


async def test_commands_drain_a_host_and_have_a_job_run_now(tmp_path: Path, typed: Any) -> None:
    counter = Counter()
    async with member(tmp_path, "north", counter) as host:
        await until(lambda: counter.runs > 0)
        known_since = (await typed("fleet", "jobs"))[1]["jobs"][1]["slot"]
        code, found, _ = await typed("fleet", "jobs", "run", "counter:yearly")
        assert known_since < found["slot"] <= found["began"]  # the moment at which it was asked for
        assert (code, found["state"], found["starts"], found["ended"]) == (0, "done", 1, True)
        assert (await typed("fleet", "jobs"))[1]["jobs"][1]["job"] == "counter:yearly"
        code, found, _ = await typed("fleet", "drain", "north", "--reason", "a new disk")
        assert (code, found) == (0, {"members": ["north"], "draining": True, "busy": []})
        code, _, said = await typed("fleet", "jobs", "run", "yearly")
        assert (code, "no host that lives and takes work has it" in said) == (1, True)
        code, _, said = await typed("fleet", "jobs", "run", "monthly")
        assert (code, "no job is named 'monthly': counter:count, counter:yearly" in said) == (1, True)
        assert (await typed("fleet", "undrain", "north"))[1]["members"] == ["north"]
        await until(lambda: not host.draining)
