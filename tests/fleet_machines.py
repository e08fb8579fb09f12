"""Hosts with folders of their own that meet in one server, and what they are to do there whatever its engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from plughost import Host, Plugin, PluginContext
from plughost.contracts import Fleet, FleetChange, JobRun, current_run


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
            engine = engine_of(url)
            fleet = {"store": engine, f"{engine}_url": url, "member_name": name, "interval": 0.5} | more
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


def engine_of(url: str) -> str:
    return "postgresql" if url.startswith("postgresql") else "redis"


async def share_and_steer(folder: Path, url: str) -> None:
    """Two hosts share the slots of a job, and what is told to one holds for both."""
    tickers = [Ticker(), Ticker()]
    async with machines(folder, url, "north", "south") as hosts:
        for host, ticker in zip(hosts, tickers, strict=True):
            await host.load_plugin(ticker)
        await until(lambda: sum(len(ticker.runs) for ticker in tickers) >= 10)
        status = await hosts[1].use(Fleet).status()
        assert (status.store, status.members) == (engine_of(url), {"alive": 2})
        await hosts[0].use(Fleet).propose(FleetChange("disable", "ticker"))
        await until(lambda: {str(host.plugins["ticker"].state) for host in hosts} == {"disabled"})
    runs = [run for ticker in tickers for run in ticker.runs]
    assert len({run.slot for run in runs}) == len({run.token for run in runs}) == len(runs)


async def stop_while_it_claims(folder: Path, url: str, standing: AbstractContextManager[None]) -> None:
    """What a host claims while its plugin is stopped is given back, also when the store takes its time.

    Args:
        folder: Where hosts have their folders.
        url: The address of the store.
        standing: Has the store take no step, for the time of a block.
    """
    ticker, claims = Ticker(), anyio.Event()
    patience = {f"{engine_of(url)}_timeout": 60}
    async with machines(folder, url, "north", interval=20, **patience) as (host,):
        await host.load_plugin(ticker)
        await until(lambda: bool(ticker.runs))
        fleet = host.use(Fleet)
        store: Any = fleet._store  # type: ignore[attr-defined]
        claim = store.claim

        async def told_of(asked: Any) -> Any:
            if not claims.is_set():
                # Nobody is given a slot while the store has not heard of the end of the run before.
                while (await fleet.status()).jobs[0].state == "running":  # noqa: ASYNC110
                    await anyio.sleep(0.02)
                stands.enter_context(standing)
                claims.set()
            return await claim(asked)

        async with anyio.create_task_group() as tasks:
            with ExitStack() as stands:
                store.claim = told_of
                await claims.wait()
                tasks.start_soon(host.disable_plugin, "ticker")
                await until(lambda: all(job.owner != "ticker" for job in host.jobs.snapshot()))
        with anyio.fail_after(30):
            while (job := (await fleet.status()).jobs[0]).state in ("running", "done"):  # noqa: ASYNC110
                await anyio.sleep(0.05)
        assert (job.state, job.error) == ("failed", "it was stopped with its plugin")
