"""The Redis store against a real server: the suite that every store must pass, and its own promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import pytest

from plughost.contracts.fleet_store import Beat, Greeting, RunEnd, Telling
from plughost.exceptions import ConfigError, StoreUnavailableError
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from plughost.testing import FakeClock, FleetStoreSuite
from plughost.testing.suites.fleet_driver import JOB, FleetDriver
from redis_gate import OF_REDIS_6, Gate, gate
from servers import Server, free_port
from servers import server as running_server

__all__ = ["gate"]  # a fixture of this module

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as started:
        yield started


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store(
    server: Server, clock: FakeClock, request: pytest.FixtureRequest
) -> AsyncIterator[RedisFleetStore]:
    store = RedisFleetStore(server.url, prefix=f"t{abs(hash(request.node.nodeid))}", now=clock.time)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=1_800_000_000.0)


class TestRedisFleetStore(FleetStoreSuite):
    @pytest.fixture
    async def store(self, store: RedisFleetStore) -> RedisFleetStore:
        return store


async def test_a_server_that_was_emptied_is_another_fleet_for_the_same_client(
    store: RedisFleetStore, clock: FakeClock
) -> None:
    fleet = FleetDriver(store, clock)
    await fleet.join("a", process="one")
    before = (await fleet.beat("a")).epoch
    await store._opened.flushall()
    await fleet.join("a", process="one")
    assert (await fleet.beat("a")).epoch not in ("", before)


async def test_no_key_of_a_fleet_has_a_time_to_live(store: RedisFleetStore, clock: FakeClock) -> None:
    fleet = FleetDriver(store, clock)
    await fleet.join("a", b"card")
    await fleet.enlist("a")
    await fleet.claim("a", await fleet.at_slot("a"))
    await fleet.join("b")
    await store.leave("b", fleet.incarnations["b"])
    client = store._client
    assert client is not None
    keys = [key async for key in client.scan_iter(f"{store._base}*")]
    assert len(keys) >= 7
    assert {await client.pttl(key) for key in keys} == {-1}


@pytest.mark.parametrize(("policy", "refused"), [("allkeys-lru", True), ("volatile-lru", False)])
async def test_a_server_that_may_evict_any_key_is_refused_in_words(policy: str, refused: bool) -> None:
    with running_server("--maxmemory-policy", policy) as server:
        store = RedisFleetStore(server.url, prefix="p")
        await store.open()
        hazards = await store.hazards()
        assert ("jobs of the fleet are refused" in "".join(hazards)) is refused
        assert policy in "".join(hazards) or not refused
        await store.close()


async def test_a_slot_is_run_when_as_many_replicas_as_are_asked_for_have_it(clock: FakeClock) -> None:
    with running_server(port=free_port()) as primary:
        more = ("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
        with running_server(*more, port=free_port()) as replica:
            patient, hasty = (
                RedisFleetStore(primary.url, prefix="p", timeout=limit, replicas=1, now=clock.time)
                for limit in (120, 4)
            )
            await patient.open()
            await hasty.open()
            with anyio.fail_after(60):
                while await patient.hazards():  # noqa: ASYNC110 - the replica has not come yet
                    await anyio.sleep(0.02)
            fleet = FleetDriver(patient, clock)
            await fleet.join("a")
            await fleet.enlist("a")
            first = await fleet.claim("a", await fleet.at_slot("a"))
            assert first.verdict == "run"
            await patient.finish(RunEnd(job=JOB, token=first.token))
            replica.pause()
            try:
                fleet.store = hasty
                with pytest.raises(StoreUnavailableError, match="0 of 1 replica had the slot in time"):
                    await fleet.claim("a", await fleet.at_slot("a"))
            finally:
                replica.resume()
            job = await fleet.job()
            assert (job.state, job.starts, "it was not run" in job.error) == ("failed", 2, True)
        with anyio.fail_after(60):
            while "0 replicas" not in "".join(await patient.hazards()):  # noqa: ASYNC110
                await anyio.sleep(0.02)
        await patient.close()
        await hasty.close()


async def test_the_time_is_the_servers_own(server: Server) -> None:
    store = RedisFleetStore(server.url, prefix="own-time")
    await store.open()
    welcome = await store.join(Greeting(member="a", ttl=15_000))
    client = store._client
    assert client is not None
    seconds, _ = await client.time()
    assert abs(welcome.now / 1000 - seconds) < 60
    await store.close()


async def test_a_server_that_lost_everything_is_another_fleet(server: Server) -> None:
    first, second = (RedisFleetStore(server.url, prefix="emptied") for _ in range(2))
    await first.open()
    await second.open()
    welcome = await first.join(Greeting(member="a", ttl=15_000))
    assert (await second.join(Greeting(member="b", ttl=15_000))).epoch == welcome.epoch
    client = first._client
    assert client is not None
    await client.delete(*[key async for key in client.scan_iter("{emptied}*")])
    assert not (await first.beat(Beat(member="a", incarnation=welcome.incarnation))).known
    again = await second.join(Greeting(member="a", ttl=15_000))
    # It is counted in milliseconds, and all of this may happen in one of them.
    assert again.incarnation >= welcome.incarnation
    assert again.epoch != welcome.epoch
    await first.close()
    await second.close()


async def test_a_server_that_is_away_is_unavailable_and_its_address_is_not_told() -> None:
    store = RedisFleetStore("redis://:pass-word@127.0.0.1:1/0", prefix="p", timeout=0.5)
    with pytest.raises(StoreUnavailableError) as raised:
        await store.open()
    assert "pass-word" not in f"{raised.value}{store!r}"
    await store.close()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nothing"])
async def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="redis_url"):
        await RedisFleetStore(url, prefix="p").open()


async def test_a_sign_of_life_takes_the_server_ten_commands_at_most(
    store: RedisFleetStore, clock: FakeClock
) -> None:
    fleet = FleetDriver(store, clock)
    for name in ("a", "b"):
        await fleet.join(name, process=name)
        await fleet.beat(name)
    await store._opened.config_resetstat()
    for _ in range(10):
        await fleet.beat("b")
    counted = await store._opened.info("commandstats")
    assert sum(one["calls"] for one in counted.values()) / 10 <= 10


async def test_what_members_tell_of_themselves_is_read_once_and_again_when_it_changed(
    store: RedisFleetStore, clock: FakeClock
) -> None:
    fleet = FleetDriver(store, clock)
    for name in ("a", "b"):
        await fleet.join(name, b"old " + name.encode(), process=name)

    async def cards() -> tuple[bool, dict[str, bytes]]:
        """Return whether the server had to send them, and what they are."""
        before = store._cards
        view = await store.view()
        return store._cards is not before, {one.member: one.card for one in view.members}

    assert await cards() == (True, {"a": b"old a", "b": b"old b"})
    await fleet.beat("a")
    assert await cards() == (False, {"a": b"old a", "b": b"old b"})
    await store.describe("b", fleet.incarnations["b"], b"new")
    assert await cards() == (True, {"a": b"old a", "b": b"new"})
    await fleet.join("a", b"back", process="a")  # the same process, which the roster says nothing of
    assert await cards() == (True, {"a": b"back", "b": b"new"})
    await store._opened.flushall()
    await fleet.join("b", b"anew", process="b")
    assert await cards() == (True, {"b": b"anew"})


async def test_a_member_of_an_older_version_beats_on_and_takes_back_what_it_refused(
    store: RedisFleetStore, clock: FakeClock
) -> None:
    fleet = FleetDriver(store, clock)
    await fleet.join("a")
    client, base = store._opened, store._base
    for numbers in (9, 13):  # what its row had at first, and once it counted calls
        await fleet.beat("a", refused="no such plugin")
        row = (await client.hget(f"{base}:beat", "a")).split()
        await client.hset(f"{base}:beat", "a", b" ".join(row[:numbers]))
        assert (await fleet.member("a")).refused == "no such plugin"
        assert (await fleet.beat("a")).known
        assert (await fleet.member("a")).refused == ""


async def test_who_is_lost_is_noticed_by_the_first_beat_after_it(
    store: RedisFleetStore, clock: FakeClock
) -> None:
    fleet = FleetDriver(store, clock)
    await fleet.join("a")
    await clock.advance(14.9)
    await fleet.join("b")
    before = (await fleet.beat("b")).roster
    await clock.advance(0.2)
    heard = await fleet.beat("b")
    assert (heard.roster, heard.members) == (before + 1, 1)
    assert (await fleet.member("a")).lost


async def test_a_user_that_may_not_do_what_a_script_does_is_told_so() -> None:
    with running_server() as server:
        server.command("ACL", "SETUSER", "app", "on", ">word", "~*", "&*", "+@all", "-hget")
        store = RedisFleetStore(f"unix://app@{server.path}?password=word", prefix="p")
        await store.open()
        with pytest.raises(StoreUnavailableError, match="the user in redis_url may not do that"):
            await store.view()
        await store.close()


@pytest.mark.parametrize("field", ["step", "roster", "event"])
async def test_what_stands_in_the_head_and_is_no_number_ends_no_call_by_an_error_of_its_own(
    store: RedisFleetStore, clock: FakeClock, field: str
) -> None:
    fleet = FleetDriver(store, clock)
    await fleet.join("a")
    await store._opened.hset(f"{store._base}:head", field, "next")
    calls: list[Callable[[], Any]] = [lambda: fleet.beat("a")]
    if field == "event":
        telling = Telling(member="a", incarnation=fleet.incarnations["a"], first=1, events=(b"x",))
        calls += [lambda: fleet.join("b"), lambda: store.tell(telling)]
    for call in calls:
        with pytest.raises(StoreUnavailableError, match="cannot read"):
            await call()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.", "it is out of memory"),
        (b"-READONLY You can't write against a read only replica.", "it is a replica"),
    ],
)
async def test_what_an_older_server_says_of_a_command_within_a_script_is_told(
    gate: Gate, answer: bytes, says: str
) -> None:
    store = RedisFleetStore(gate.url, prefix="p")
    await store.open()
    gate.refusal = OF_REDIS_6 % answer
    with pytest.raises(StoreUnavailableError, match=says):
        await store.join(Greeting(member="a", ttl=15_000))
    await store.close()
