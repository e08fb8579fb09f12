"""Hosts with folders of their own that meet in a real server, as those of two machines do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, PluginContext
from plughost.contracts import Fleet, FleetChange, JobRun, current_run
from plughost.exceptions import FleetError
from servers import Server
from servers import server as running_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as started:
        yield started


class Ticker(Plugin):
    """Counts the slots it is given."""

    name = "ticker"

    def __init__(self, outage: str = "closed") -> None:
        self.runs: list[JobRun] = []
        self.outage: Any = outage

    async def start(self, context: PluginContext) -> None:
        context.every(0.2, self.count, name="count", scope="fleet", outage=self.outage)

    async def count(self) -> None:
        run = current_run()
        assert run is not None
        self.runs.append(run)


@asynccontextmanager
async def machines(folder: Path, url: str, *names: str, **more: Any) -> AsyncIterator[list[Host]]:
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text("s" * 48)
    async with AsyncExitStack() as stack:
        hosts = []
        for name in names:
            fleet = {"store": "redis", "redis_url": url, "member_name": name, "interval": 0.5} | more
            if "secret_file" not in more:
                fleet["secret_file"] = str(secret)
            host = {"data_dir": str(folder / name), "allow": ["fleet"]}
            config = {"host": host, "plugins": {"fleet": {"config": fleet}}}
            hosts.append(await stack.enter_async_context(Host("shop", config=config, environ={})))
        yield hosts


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def test_machines_share_the_slots_of_a_job_and_are_steered_together(
    tmp_path: Path, server: Server
) -> None:
    tickers = [Ticker(), Ticker()]
    async with machines(tmp_path, server.url, "north", "south") as hosts:
        for host, ticker in zip(hosts, tickers, strict=True):
            await host.load_plugin(ticker)
        await until(lambda: sum(len(ticker.runs) for ticker in tickers) >= 10)
        status = await hosts[1].use(Fleet).status()
        assert (status.store, status.members) == ("redis", {"alive": 2})
        await hosts[0].use(Fleet).propose(FleetChange("disable", "ticker"))
        await until(lambda: {str(host.plugins["ticker"].state) for host in hosts} == {"disabled"})
    runs = [run for ticker in tickers for run in ticker.runs]
    assert len({run.slot for run in runs}) == len({run.token for run in runs}) == len(runs)


async def test_without_a_secret_machines_share_jobs_and_are_not_steered(
    tmp_path: Path, server: Server
) -> None:
    ticker = Ticker()
    async with machines(tmp_path, server.url, "north", secret_file="") as (host,):
        await host.load_plugin(ticker)
        await until(lambda: len(ticker.runs) >= 2)
        with pytest.raises(FleetError, match="secret_file"):
            await host.use(Fleet).propose(FleetChange("disable", "ticker"))


@pytest.mark.parametrize("outage", ["closed", "local"])
async def test_a_machine_that_is_cut_off_serves_on_and_its_jobs_do_as_they_were_told(
    tmp_path: Path, server: Server, outage: str
) -> None:
    ticker = Ticker(outage)
    async with machines(tmp_path, server.url, "north") as (host,):
        await host.load_plugin(ticker)
        await until(lambda: len(ticker.runs) >= 2)
        server.kill()
        await until(lambda: not host.use(Fleet).member.connected)
        ran = len(ticker.runs)
        assert host.ready
        report = await host.health()
        assert "cut off from the fleet" in "".join(check.detail for check in report.checks)
        if outage == "local":
            await until(lambda: len(ticker.runs) >= ran + 3)
            assert {run.token for run in ticker.runs[ran + 1 :]} == {0}
        else:
            await anyio.sleep(0.7)
            assert len(ticker.runs) == ran
        server.start()
        await until(lambda: host.use(Fleet).member.connected)
        ran = len(ticker.runs)
        await until(lambda: len(ticker.runs) >= ran + 2 and ticker.runs[-1].token > 0)
    assert len({run.slot for run in ticker.runs}) >= len(ticker.runs) - (2 if outage == "local" else 0)


async def test_a_server_that_may_evict_any_key_gets_no_jobs_and_the_host_says_why(tmp_path: Path) -> None:
    ticker = Ticker()
    with running_server("--maxmemory-policy", "allkeys-lfu") as server:
        async with machines(tmp_path, server.url, "north") as (host,):
            await host.load_plugin(ticker)
            await anyio.sleep(1)
            assert ticker.runs == []
            assert host.use(Fleet).member.connected
            report = await host.health()
            assert "jobs of the fleet are refused" in "".join(check.detail for check in report.checks)
