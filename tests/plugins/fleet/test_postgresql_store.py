"""The PostgreSQL store against a real server: the suite that every store must pass, and its own promises."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlsplit

import anyio
import pytest

from fleet_machines import Ticker, machines, share_and_steer, stop_while_it_claims, until
from fleet_racing import race
from plughost.contracts import JobRun
from plughost.contracts.fleet_store import Beat, Greeting, Proposal
from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.fleet.stores.postgresql import PostgresqlFleetStore
from plughost.testing import FakeClock, FleetStoreSuite
from postgres import PostgresServer, postgres, running_pair

__all__ = ["postgres"]  # a fixture of this module

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> str:
    return postgres.create("fleets")


@pytest.fixture
def fleet_name(request: pytest.FixtureRequest) -> str:
    return f"t{abs(hash(request.node.nodeid))}"


@pytest.fixture
async def store(url: str, clock: FakeClock, fleet_name: str) -> AsyncIterator[PostgresqlFleetStore]:
    store = PostgresqlFleetStore(url, fleet=fleet_name, timeout=20, now=clock.time)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_800_000_000.0)


class TestPostgresqlFleetStore(FleetStoreSuite):
    @pytest.fixture
    async def store(self, url: str, clock: FakeClock, fleet_name: str) -> AsyncIterator[PostgresqlFleetStore]:
        store = PostgresqlFleetStore(url, fleet=fleet_name, timeout=20, now=clock.time)
        await store.open()
        yield store
        await store.close()


async def test_the_time_is_the_servers_own(url: str, fleet_name: str, postgres: PostgresServer) -> None:
    store = PostgresqlFleetStore(url, fleet=fleet_name)
    await store.open()
    welcome = await store.join(Greeting(member="a", ttl=15_000))
    with postgres.connect("fleets") as connection:
        told = connection.execute("SELECT extract(epoch FROM clock_timestamp())::float").fetchone()
    assert told is not None
    assert abs(welcome.now / 1000 - float(str(told[0]))) < 60
    await store.close()


async def test_fleets_in_one_table_know_nothing_of_each_other(url: str, store: PostgresqlFleetStore) -> None:
    other = PostgresqlFleetStore(url, fleet="another", timeout=20)
    await other.open()
    await store.join(Greeting(member="a", ttl=15_000))
    await store.propose(Proposal(number=1, expect=0, document=b"one"))
    assert (await other.view()).members == ()
    names = await other.fleets()
    assert (store._fleet in names, "another" in names) == (True, False)
    assert await other.revision(1) is None
    await other.close()


@pytest.mark.parametrize("statement", ["DROP TABLE plughost_fleet", "TRUNCATE plughost_fleet"])
async def test_a_table_that_was_emptied_is_another_fleet(
    postgres: PostgresServer, statement: str, clock: FakeClock
) -> None:
    store = PostgresqlFleetStore(postgres.create("emptied"), fleet="f", timeout=20, now=clock.time)
    await store.open()
    welcome = await store.join(Greeting(member="a", ttl=15_000))
    with postgres.connect("emptied") as connection:
        connection.execute(statement)
    assert (await store.view()).members == ()
    assert not (await store.beat(Beat(member="a", incarnation=welcome.incarnation))).known
    again = await store.join(Greeting(member="a", ttl=15_000))
    assert again.epoch != welcome.epoch
    await store.close()


async def test_a_word_told_in_one_store_wakes_another(
    url: str, store: PostgresqlFleetStore, fleet_name
) -> None:
    other = PostgresqlFleetStore(url, fleet=fleet_name, timeout=20)
    await other.open()
    heard = []

    async def listen() -> None:
        heard.append(await other.wait_for_word())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(listen)
            number = 0
            while not heard:  # what is told before it listens is not heard
                number += 1
                await store.propose(Proposal(number=number, expect=number - 1, document=b"x"))
                await anyio.sleep(0.05)
    assert heard[0].step
    await other.close()


async def test_a_user_without_rights_is_told_which_it_lacks(
    postgres: PostgresServer, fleet_name: str
) -> None:
    url = postgres.create("strict")
    with postgres.connect("strict") as connection:
        connection.execute("REVOKE CREATE ON SCHEMA public FROM public")
        connection.execute("DROP ROLE IF EXISTS clerk")
        connection.execute("CREATE ROLE clerk LOGIN PASSWORD 'c'")
    plain = url.replace(urlsplit(url).netloc, "clerk:c@")
    store = PostgresqlFleetStore(plain, fleet=fleet_name, timeout=20)
    with pytest.raises(StoreUnavailableError, match="CREATE on the schema"):
        await store.open()
    await store.close()
    owner = PostgresqlFleetStore(url, fleet=fleet_name, timeout=20)
    await owner.open()
    await owner.close()
    with postgres.connect("strict") as connection:
        connection.execute("GRANT SELECT ON plughost_fleet TO clerk")
    await store.open()
    with pytest.raises(StoreUnavailableError, match="INSERT"):
        await store.join(Greeting(member="a", ttl=15_000))
    with postgres.connect("strict") as connection:
        connection.execute("GRANT INSERT, UPDATE, DELETE ON plughost_fleet TO clerk")
    assert (await store.join(Greeting(member="a", ttl=15_000))).incarnation
    await store.close()


@pytest.mark.parametrize(
    "url", ["postgresql://u:pass-word@127.0.0.1:1/x", "postgresql://u:pass-word@/x?host=/nowhere"]
)
async def test_a_server_that_is_away_is_unavailable_and_its_address_is_not_told(url: str) -> None:
    store = PostgresqlFleetStore(url, fleet="f", timeout=20)
    with pytest.raises(StoreUnavailableError) as raised:
        await store.open()
    assert "pass-word" not in f"{raised.value}{store!r}{raised.value.__context__}"
    await store.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nothing", "postgresql://u:pass%zzword@h/x"])
async def test_what_is_no_address_of_a_database_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql_url") as raised:
        await PostgresqlFleetStore(url, fleet="f").open()
    assert "zzword" not in str(raised.value)


async def test_a_server_that_stands_still_costs_one_time_limit_and_is_used_again(
    postgres: PostgresServer, url: str, fleet_name: str
) -> None:
    store = PostgresqlFleetStore(url, fleet=fleet_name, timeout=1)
    await store.open()
    welcome = await store.join(Greeting(member="a", ttl=600_000))
    with postgres.connect("postgres") as connection:
        found = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'plughost fleet'"
        )
        backends = [int(str(pid)) for (pid,) in found]
    for process in (postgres.pid, *backends):
        os.kill(process, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailableError, match="within 1 s"):
            await store.beat(Beat(member="a", incarnation=welcome.incarnation))
        with pytest.raises(StoreUnavailableError, match="within 1 s"):
            await store.wait_for_word()
    finally:
        for process in (postgres.pid, *backends):
            os.kill(process, signal.SIGCONT)
    with anyio.fail_after(60):
        while True:
            try:
                heard = await store.beat(Beat(member="a", incarnation=welcome.incarnation))
                break
            except StoreUnavailableError:
                await anyio.sleep(0.1)
    assert heard.known
    await store.close()


async def test_a_connection_that_the_server_ended_is_made_anew(
    postgres: PostgresServer, url: str, store: PostgresqlFleetStore
) -> None:
    welcome = await store.join(Greeting(member="a", ttl=15_000))
    with postgres.connect("postgres") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'plughost fleet'"
        )
    with pytest.raises(StoreUnavailableError):
        await store.beat(Beat(member="a", incarnation=welcome.incarnation))
    assert (await store.beat(Beat(member="a", incarnation=welcome.incarnation))).known


async def test_a_step_that_stands_still_in_its_middle_does_not_keep_the_others_from_theirs(
    postgres: PostgresServer, url: str, fleet_name: str
) -> None:
    store = PostgresqlFleetStore(url, fleet=fleet_name, timeout=20)
    await store.open()
    welcome = await store.join(Greeting(member="a", ttl=600_000))
    stopped = subprocess.Popen(  # noqa: ASYNC220 - it is to stand still, not to be awaited
        [sys.executable, "-c", STANDING, url, fleet_name], stdout=subprocess.PIPE, text=True
    )
    try:
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "inside\n"
        with anyio.fail_after(60):
            assert (await store.beat(Beat(member="a", incarnation=welcome.incarnation))).known
    finally:
        stopped.kill()
        stopped.communicate()
    await store.close()


STANDING = """
import sys, time
import anyio
from plughost.plugins.fleet.stores.postgresql import PostgresqlFleetStore

async def main(url, fleet):
    store = PostgresqlFleetStore(url, fleet=fleet, timeout=2)
    await store.open()
    def stand(rules):
        print("inside", flush=True)
        time.sleep(600)
    await store._step(stand)

anyio.run(main, *sys.argv[1:])
"""


def test_four_processes_on_an_empty_database_make_one_fleet_and_start_no_slot_twice(
    postgres: PostgresServer,
) -> None:
    imports = "from plughost.plugins.fleet.stores.postgresql import PostgresqlFleetStore"
    race(imports, f"PostgresqlFleetStore({postgres.create('race')!r}, fleet='f', timeout=60)", racers=4)


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_machines_share_the_slots_of_a_job_and_are_steered_together(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    await share_and_steer(tmp_path, postgres.create("machines"))


async def test_what_is_claimed_while_its_plugin_is_stopped_is_given_back(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.create("standing")

    @contextmanager
    def standing() -> Iterator[None]:
        with postgres.connect("standing") as connection, connection.transaction():
            connection.execute("LOCK TABLE plughost_fleet IN ACCESS EXCLUSIVE MODE")
            yield

    await stop_while_it_claims(tmp_path, url, standing())


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_replica_that_takes_over_gives_no_slot_out_again(tmp_path: Path) -> None:
    tickers = [Ticker(), Ticker()]

    def runs() -> list[JobRun]:
        return [run for ticker in tickers for run in ticker.runs]

    with running_pair() as (primary, replica):
        where = ",".join(quote(str(one.socket), safe="") for one in (primary, replica))
        url = primary.create("pair")
        both = f"{url.partition('?')[0]}?host={where}"
        async with machines(tmp_path, both, "north", "south") as hosts:
            for host, ticker in zip(hosts, tickers, strict=True):
                await host.load_plugin(ticker)
            await until(lambda: len(runs()) >= 6)
            os.kill(primary.pid, signal.SIGQUIT)  # at once, as a machine ends
            with replica.connect("postgres") as connection:
                connection.execute("SELECT pg_promote()")
            ran = len(runs())
            await until(lambda: len(runs()) >= ran + 6)
            with replica.connect("pair") as connection:
                connection.execute("SELECT 1 FROM plughost_fleet LIMIT 1")
    assert len({run.slot for run in runs()}) == len({run.token for run in runs()}) == len(runs())
