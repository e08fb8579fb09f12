"""The plugin in a real host: it joins, it decides on jobs, and without it each host is alone."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from full_disk import fill_disk
from plughost import Host, Plugin, PluginContext
from plughost.contracts import (
    Beat,
    Enlistment,
    Fleet,
    FleetChange,
    Greeting,
    Heard,
    JobRun,
    MemberJoined,
    MemberLeft,
    Welcome,
    current_run,
)
from plughost.exceptions import ServiceError, StoreUnavailableError
from plughost.plugins.fleet import FleetPlugin
from plughost.plugins.fleet.stores.memory import MemoryFleetStore
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from plughost.testing import FakeClock

pytestmark = pytest.mark.anyio


class Counter(Plugin):
    """Counts the slots it is given."""

    name = "counter"

    def __init__(self) -> None:
        self.runs: list[JobRun | None] = []

    async def start(self, context: PluginContext) -> None:
        context.every(0.1, self.count, name="count", scope="fleet")

    async def count(self) -> None:
        self.runs.append(current_run())


def config(folder: Path, **fleet: Any) -> dict[str, Any]:
    return {
        "host": {"data_dir": str(folder), "allow": ["fleet"]},
        "plugins": {"fleet": {"config": {"interval": 0.5} | fleet}},
    }


@asynccontextmanager
async def hosts(folder: Path, number: int) -> AsyncIterator[list[Host]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Host("shop", config=config(folder), environ={}, worker=worker))
            for worker in range(number)
        ]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def test_hosts_of_one_folder_are_a_fleet_and_share_the_slots_of_a_job(tmp_path: Path) -> None:
    counters = [Counter(), Counter()]
    async with hosts(tmp_path, 2) as both:
        for host, counter in zip(both, counters, strict=True):
            await host.load_plugin(counter)
        await until(lambda: sum(len(counter.runs) for counter in counters) >= 8)
        fleet = both[0].use(Fleet)
        assert [member.worker for member in await fleet.members()] == [0, 1]
        assert fleet.member.connected
        status = await fleet.status()
        assert (status.name, status.members, [job.job for job in status.jobs]) == (
            "shop", {"alive": 2}, ["counter:count"],
        )  # fmt: skip
    runs = [run for counter in counters for run in counter.runs if run is not None]
    assert len({run.slot for run in runs}) == len({run.token for run in runs}) == len(runs)


async def test_a_host_that_has_no_room_for_the_secret_joins_when_there_is_some_and_is_steered_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_disk(monkeypatch)
    async with hosts(tmp_path, 1) as [host]:
        checks = (await host.health()).checks
        (told,) = [str(check) for check in checks if "fleet.key" in str(check)]
        assert "fleet.key cannot be made: No space left on device. Make room for it" in told
        with pytest.raises(StoreUnavailableError, match="Make room for it"):
            await host.use(Fleet).propose(FleetChange("disable", "lamp", force=True))
        monkeypatch.undo()
        await until(lambda: host.use(Fleet).member.connected)
        assert (await host.use(Fleet).propose(FleetChange("disable", "lamp", force=True))).revision == 1


async def test_members_hear_who_joins_and_leaves(tmp_path: Path) -> None:
    heard: list[object] = []
    async with hosts(tmp_path, 1) as (first,):
        for event in (MemberJoined, MemberLeft):
            first.events.subscribe(event, heard.append)
        await anyio.sleep(1)  # it knows who is there
        async with Host("shop", config=config(tmp_path), environ={}, worker=1):
            await until(lambda: len(heard) == 1)
        await until(lambda: len(heard) == 2)
    assert [(type(one), one.member.worker) for one in heard] == [(MemberJoined, 1), (MemberLeft, 1)]  # type: ignore[attr-defined]


async def test_two_hosts_that_are_no_workers_have_names_of_their_own(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(Host("shop", config=config(tmp_path), environ={}))
        # In one process both would be this process's own: the second is a worker here.
        host = await stack.enter_async_context(Host("shop", config=config(tmp_path), environ={}, worker=0))
        assert len({one.id for one in await host.use(Fleet).members()}) == 2


async def test_a_host_on_an_errand_joins_no_fleet_and_runs_no_job(tmp_path: Path) -> None:
    counter = Counter()
    async with Host("shop", config=config(tmp_path), environ={}, errand=True) as host:
        await host.load_plugin(counter)
        await anyio.sleep(0.5)
        assert await host.use(Fleet).members() == ()
        assert not host.use(Fleet).member.connected
    assert counter.runs == []


async def test_jobs_wait_for_a_fleet_that_failed_and_run_alone_once_it_is_switched_off(
    tmp_path: Path,
) -> None:
    counter = Counter()
    broken = config(tmp_path, interval=-1)
    async with Host("shop", config=broken, environ={}) as host:
        await host.load_plugin(counter)
        await anyio.sleep(0.5)
        assert counter.runs == []
        with pytest.raises(ServiceError, match=r"fleet.*interval must be between"):
            host.use(Fleet)
        await host.disable_plugin("fleet")
        await host.reload_plugin("counter")
        await until(lambda: len(counter.runs) > 2)
    assert [run.token for run in counter.runs if run] == [0] * len(counter.runs)


async def test_of_workers_without_a_fleet_the_first_runs_its_jobs(tmp_path: Path) -> None:
    counters = [Counter(), Counter()]
    alone = {"host": {"data_dir": str(tmp_path), "allow": []}}
    async with AsyncExitStack() as stack:
        for worker, counter in enumerate(counters):
            host = Host("shop", config=alone, environ={}, worker=worker)
            await stack.enter_async_context(host)
            await host.load_plugin(counter)
        await until(lambda: len(counters[0].runs) > 3)
    assert counters[1].runs == []


@pytest.mark.parametrize("store", ["sqlite", "memory"])
async def test_workers_clean_up_sessions_once_where_they_share_them(tmp_path: Path, store: str) -> None:
    both = config(tmp_path)
    both["host"]["allow"] = ["fleet", "sessions"]
    both["plugins"]["sessions"] = {"config": {"store": store, "cleanup_interval": 2.0}}
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(Host("shop", config=both, environ={}, worker=worker))
            for worker in range(2)
        ]

        def cleaned() -> list[int]:
            jobs = (job for host in workers for job in host.jobs.snapshot())
            return [job.runs for job in jobs if job.name == "clean up sessions"]

        if store == "memory":
            await until(lambda: all(cleaned()))
            return
        await until(lambda: sum(cleaned()) >= 2)
        (job,) = (await workers[0].use(Fleet).status()).jobs
        assert job.job == "sessions:clean up sessions"
        assert sum(cleaned()) <= job.starts


@pytest.mark.parametrize("store", ["sqlite", "memory"])
async def test_each_worker_looks_after_its_own_connection_to_the_sessions(tmp_path: Path, store: str) -> None:
    both = {
        "host": {"data_dir": str(tmp_path), "allow": ["sessions"]},
        "plugins": {"sessions": {"config": {"store": store}}},
    }
    async with Host("shop", config=both, environ={}, worker=1) as host:
        found = lambda: [job.runs for job in host.jobs.snapshot() if "look after" in job.name]  # noqa: E731
        await until(lambda: found() != [] and min(found()) > 0)


async def test_a_reload_of_the_fleet_neither_doubles_nor_ends_its_jobs(tmp_path: Path) -> None:
    counter = Counter()
    async with hosts(tmp_path, 1) as (host,):
        await host.load_plugin(counter)
        for _ in range(3):
            seen = len(counter.runs)
            await host.reload_plugin("fleet")
            await until(lambda seen=seen: len(counter.runs) >= seen + 3)  # type: ignore[misc]
        assert len(await host.use(Fleet).members()) == 1
    runs = [run for run in counter.runs if run is not None]
    assert len({run.slot for run in runs}) == len(runs)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"store": "redis"}, "redis_url is needed"),
        ({"interval": 0.01}, "interval must be between"),
        ({"member_name": "a b"}, "member_name may have"),
        ({"zone": "Europe/Berlim"}, "no time zone that this machine knows.*Did you mean 'Europe/Berlin'"),
        ({"zone": "../etc/passwd"}, "It is a name such as Europe/Berlin"),
        ({"store": "etcd"}, "store"),
    ],
)
async def test_wrong_settings_are_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    async with Host("shop", config=config(tmp_path, **wrong), environ={}) as host:
        (failed,) = host.report.failed
        assert re.search(said, failed.error.message)


async def test_a_clock_that_is_wrong_is_told_once_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, ahead = FakeClock(), [0.0]
    store = MemoryFleetStore(lambda: clock.time() - ahead[0])
    monkeypatch.setattr("plughost.plugins.fleet.config.MemoryFleetStore", lambda: store)
    plugin = FleetPlugin(clock)
    async with Host("shop", config=config(tmp_path, store="memory"), environ={}) as host:
        await host.unload_plugin("fleet")
        caplog.clear()
        await host.load_plugin(plugin)
        fleet = host.use(Fleet)
        await until(lambda: fleet.member.connected)
        assert health_of(plugin) == ("pass", "")
        ahead[0] = 7200.0
        for _ in range(3):
            await clock.advance(0.5)
        assert health_of(plugin) == ("warn", "its clock is 7200 s ahead of the store's")
        assert fleet.member.connected
    assert caplog.text.count("the clock of this host is wrong") == 1


class SlowStore(MemoryFleetStore):
    """Answers late, by the clock of a test."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock.time)
        self._clock, self.late = clock, 0.0

    async def join(self, greeting: Greeting) -> Welcome:
        welcome = await super().join(greeting)
        await self._clock.sleep(self.late)
        return welcome

    async def beat(self, beat: Beat) -> Heard:
        heard = await super().beat(beat)
        await self._clock.sleep(self.late)
        return heard


async def test_a_store_that_answers_too_late_for_its_hosts_is_told_once_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    store = SlowStore(clock)
    monkeypatch.setattr("plughost.plugins.fleet.config.MemoryFleetStore", lambda: store)
    plugin = FleetPlugin(clock)
    async with Host("shop", config=config(tmp_path, store="memory"), environ={}) as host:
        await host.unload_plugin("fleet")
        await host.load_plugin(plugin)
        fleet = host.use(Fleet)
        await until(lambda: fleet.member.connected)
        store.late = 3.0  # and after 1.5 it counts as lost
        for _ in range(16):
            await clock.advance(0.5)
        status, said = health_of(plugin)
        assert status == "warn"
        assert "the fleet's store took 3.0 s to answer, and this host counts as lost after 1.5 s" in said
        assert "cut off from the fleet, its jobs do not run here" in said
        assert "3.0 s to answer" in fleet.member.error
        store.late = 0.0
        for _ in range(16):
            await clock.advance(0.5)
        assert (health_of(plugin), fleet.member.error) == (("pass", ""), "")
    assert caplog.text.count("the fleet's store is slow") == 1


def health_of(plugin: FleetPlugin) -> tuple[str, str]:
    found = plugin.health_check(None)
    assert found is not None
    return found.status, found.detail


async def test_a_job_that_waits_since_the_clock_of_the_store_was_set_back_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = SqliteFleetStore(tmp_path / "fleet/fleet.db", lambda: time.time() + 3600)
    await ahead.open()
    welcome = await ahead.join(Greeting(member="a", ttl=60_000))
    job = Enlistment(job="counter:count", member="a", incarnation=welcome.incarnation, definition="every")
    assert (await ahead.enlist(job)).known  # what is past by that clock is settled
    await ahead.close()
    counter = Counter()
    async with hosts(tmp_path, 1) as (host,):
        await host.load_plugin(counter)
        await until(lambda: "clock of the fleet's store was set back" in caplog.text)
    assert counter.runs == []
