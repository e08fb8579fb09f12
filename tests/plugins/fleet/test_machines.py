"""Hosts with folders of their own that meet in a real server, as those of two machines do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from fleet_machines import Ticker, machines, share_and_steer, stop_while_it_claims, until
from plughost.contracts import Fleet, FleetChange, FleetJobSkipped
from plughost.exceptions import FleetError
from servers import Server
from servers import server as running_server

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_machines_share_the_slots_of_a_job_and_are_steered_together(
    tmp_path: Path, server: Server
) -> None:
    await share_and_steer(tmp_path, server.url)


async def test_what_is_claimed_while_its_plugin_is_stopped_is_given_back(
    tmp_path: Path, server: Server
) -> None:
    @contextmanager
    def standing() -> Iterator[None]:
        server.pause()
        try:
            yield
        finally:
            server.resume()

    await stop_while_it_claims(tmp_path, server.url, standing())


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


async def test_slots_that_passed_while_an_emptied_store_knew_nobody_are_told(
    tmp_path: Path, server: Server
) -> None:
    ticker, told, silent = Ticker(), list[FleetJobSkipped](), set[int]()

    async def until_it_ran(times: int) -> None:
        await until(lambda: len(ticker.runs) >= times)

    async with machines(tmp_path, server.url, "north", interval=1.5) as (host,):
        await host.load_plugin(ticker)
        host.events.subscribe(FleetJobSkipped, told.append)
        while not silent:  # it may join again before the next slot comes
            await until_it_ran(1)
            server.command("FLUSHALL")
            await until_it_ran(len(ticker.runs) + 3)
            started = {round(run.slot * 5) for run in ticker.runs}  # it runs each fifth of a second
            silent = {*range(min(started), max(started))} - started
    assert silent <= {int(one.slot * 5 + 0.001) - number for one in told for number in range(one.count)}
    assert {one.reason for one in told} == {"missed"}
