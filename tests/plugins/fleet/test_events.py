"""Events that are told on one host and heard on all."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from plughost import Host
from plughost.contracts import Fleet, FleetEventsMissed, FleetStore, Greeting, Telling, fleet_event
from plughost.exceptions import FleetError, StoreUnavailableError
from plughost.plugins.fleet.relay import MOST_WAITING, SentEvent
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from plughost.plugins.fleet.stores.sqlite import SqliteFleetStore
from servers import Server
from servers import server as running_server

pytestmark = pytest.mark.anyio


@fleet_event("tests.orders.changed")
@dataclass(frozen=True)
class OrdersChanged:
    number: int
    by: str = ""


@fleet_event("tests.price.set", version=2)
class PriceSet(msgspec.Struct, frozen=True):
    cents: int


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as started:
        yield started


class Shop:
    """Hosts of one fleet, and what each of them heard."""

    def __init__(self, folder: Path, **fleet: Any) -> None:
        self.folder = folder
        self.secret = folder / "secret"
        self.secret.touch(mode=0o600)
        self.secret.write_text("s" * 48)
        self.settings = {"interval": 0.5, "secret_file": str(self.secret), **fleet}
        self.heard: dict[str, list[object]] = {}

    @asynccontextmanager
    async def host(self, name: str) -> AsyncIterator[Host]:
        config = {
            "host": {"data_dir": str(self.folder / name), "allow": ["fleet"]},
            "plugins": {"fleet": {"config": self.settings | {"member_name": name}}},
        }
        async with Host("shop", config=config, environ={}) as host:
            self.heard[name] = []
            for kind in (OrdersChanged, PriceSet, FleetEventsMissed):
                host.events.subscribe(kind, self.heard[name].append)
            yield host

    @asynccontextmanager
    async def hosts(self, *names: str) -> AsyncIterator[list[Host]]:
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(self.host(name)) for name in names]

    @asynccontextmanager
    async def store(self) -> AsyncIterator[FleetStore]:
        """The store, as whoever can write to it has it."""
        store: FleetStore
        if "redis_url" in self.settings:
            store = RedisFleetStore(
                self.settings["redis_url"], prefix=f"{self.settings['redis_prefix']}:fleet:shop"
            )
        else:
            store = SqliteFleetStore(Path(self.settings["path"]))
        await store.open()
        yield store
        await store.close()


@pytest.fixture(params=["sqlite", "redis"])
def shop(request: pytest.FixtureRequest, tmp_path: Path, anyio_backend_name: str) -> Shop:
    if request.param == "sqlite":
        return Shop(tmp_path, path=str(tmp_path / "fleet.db"))
    if anyio_backend_name == "trio":
        return Shop(tmp_path, path=str(tmp_path / "trio.db"))  # the client knows asyncio only
    url = request.getfixturevalue("server").url
    return Shop(tmp_path, store="redis", redis_url=url, redis_prefix=f"t{abs(hash(request.node.nodeid))}")


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def test_every_host_hears_every_event_once_and_all_in_the_same_order(shop: Shop) -> None:
    async with shop.hosts("north", "south", "east") as hosts:

        async def tell(host: Host, by: str) -> None:
            for number in range(20):
                await host.use(Fleet).publish(OrdersChanged(number, by))
                await anyio.sleep(0.001)

        async with anyio.create_task_group() as tasks:
            for host, by in zip(hosts, ("n", "s", "e"), strict=True):
                tasks.start_soon(tell, host, by)
        await until(lambda: all(len(heard) >= 60 for heard in shop.heard.values()))
        await anyio.sleep(0.1)
    north, south, east = shop.heard.values()
    assert north == south == east
    for by in "nse":
        numbers = [one.number for one in north if isinstance(one, OrdersChanged) and one.by == by]
        assert numbers == list(range(20))


async def test_who_joins_hears_what_comes_and_not_what_was(shop: Shop) -> None:
    async with shop.host("north") as north:
        await north.use(Fleet).publish(OrdersChanged(1))
        await until(lambda: len(shop.heard["north"]) == 1)
        async with shop.host("south"):
            await north.use(Fleet).publish(PriceSet(99))
            await until(lambda: len(shop.heard["north"]) == 2 and len(shop.heard["south"]) == 1)
        assert shop.heard["south"] == [PriceSet(99)]


async def test_what_is_told_just_before_a_host_ends_is_heard(shop: Shop) -> None:
    async with shop.host("north"):
        async with shop.host("south") as south:
            await south.use(Fleet).publish(OrdersChanged(7))
        await until(lambda: shop.heard["north"] == [OrdersChanged(7)])


class Unmarked:
    pass


@fleet_event("tests.with.secret")
@dataclass(frozen=True)
class Opened:
    where: dict[str, str]


@fleet_event("tests.with.object")
@dataclass(frozen=True)
class Odd:
    what: object


async def test_what_was_not_made_to_cross_or_holds_a_secret_stays_here(tmp_path: Path) -> None:
    shop = Shop(tmp_path, path=str(tmp_path / "fleet.db"))
    async with shop.host("north") as host:
        fleet = host.use(Fleet)
        for event, said in (
            (Unmarked(), "mark the class with @fleet_event"),
            (Opened({"password": "abc"}), "where.password may be secret"),
            (Odd(object()), "tests.with.object cannot cross"),
            (OrdersChanged(1, "x" * 9000), "and may have 8192"),
        ):
            with pytest.raises(FleetError, match=said) as refused:
                await fleet.publish(event)
            assert "abc" not in str(refused.value)
        async with shop.store() as store:
            assert (await store.events_after(0, 9)).last == 0


def test_a_name_belongs_to_one_class() -> None:
    with pytest.raises(ValueError, match=r"is the name of .*OrdersChanged: choose another"):
        fleet_event("tests.orders.changed")(Unmarked)


def sent(number: int, name: str, version: int, payload: bytes) -> SentEvent:
    """An event as another process would have told it just now."""
    return SentEvent(
        name=name, version=version, payload=payload, process="another", number=number, at=time.time()
    )


async def test_what_nobody_may_tell_and_what_cannot_be_read_is_left_out(shop: Shop) -> None:
    key = Seal(shop.secret.read_bytes())
    good = msgspec.msgpack.encode(OrdersChanged(5))
    async with shop.host("north"), shop.store() as store:
        (mine,) = (await store.view()).members
        events = [
            Seal(b"f" * 40).close(sent(1, "tests.orders.changed", 1, good)),
            key.close(sent(2, "tests.orders.changed", 2, good)),
            key.close(sent(3, "tests.orders.changed", 1, b"\xc1")),
            key.close(sent(4, "nobody.knows.it", 1, good)),
            b"",
            key.close(sent(5, "tests.orders.changed", 1, good)),
        ]
        telling = Telling(member=mine.member, incarnation=mine.incarnation, first=1, events=tuple(events))
        await store.tell(telling)
        await until(lambda: len(shop.heard["north"]) > 0)
        assert shop.heard["north"] == [OrdersChanged(5)]


async def test_what_was_told_once_is_not_heard_again_whoever_writes_it_into_the_store(shop: Shop) -> None:
    shop.settings["interval"] = 0.2

    async def tell_again(store: FleetStore, documents: tuple[bytes, ...]) -> None:
        incarnation = (await store.join(Greeting(member="stranger", ttl=60_000))).incarnation
        await store.tell(Telling(member="stranger", incarnation=incarnation, first=1, events=documents))

    async with shop.store() as store, shop.host("north") as north:
        await north.use(Fleet).publish(OrdersChanged(1))
        await north.use(Fleet).publish(OrdersChanged(2))
        await until(lambda: len(shop.heard["north"]) == 2)
        told = (await store.events_after(0, 9)).events
        await tell_again(store, told)
        # Longer than a process lives without a beat: what joins now has nothing to do with it.
        await anyio.sleep(1.0)
        async with shop.host("south") as south:
            await tell_again(store, told)
            await south.use(Fleet).publish(OrdersChanged(3))
            await until(lambda: OrdersChanged(3) in shop.heard["north"])
            await until(lambda: OrdersChanged(3) in shop.heard["south"])
        assert shop.heard == {
            "north": [OrdersChanged(1), OrdersChanged(2), OrdersChanged(3)],
            "south": [OrdersChanged(3)],
        }


async def test_a_host_that_was_away_hears_what_it_missed_or_how_much_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plughost.plugins.fleet.stores import rules

    monkeypatch.setattr(rules, "MOST_EVENTS", 5)
    shop = Shop(tmp_path, path=str(tmp_path / "fleet.db"))
    async with shop.hosts("north", "south") as (north, south):
        relay: Any = south.use(Fleet).relay  # type: ignore[attr-defined]
        await north.use(Fleet).publish(OrdersChanged(0))
        # Nobody reads any more.
        await until(lambda: len(shop.heard["north"]) == len(shop.heard["south"]) == 1)
        release = await _held_up(relay)
        for number in range(1, 10):
            await north.use(Fleet).publish(OrdersChanged(number))
            await until(lambda: len(shop.heard["north"]) > number)  # noqa: B023 - it is over before the next
        release()
        await until(lambda: len(shop.heard["south"]) >= 7)
    later = [OrdersChanged(number) for number in range(5, 10)]
    assert shop.heard["south"] == [OrdersChanged(0), FleetEventsMissed(4), *later]


async def _held_up(relay: Any) -> Callable[[], None]:
    """Let a relay read nothing until the returned function is called."""
    go = anyio.Event()
    reads = relay._store.events_after

    async def later(*args: Any) -> Any:
        await go.wait()
        return await reads(*args)

    relay._store.events_after = later
    return go.set


async def test_a_store_that_lost_everything_is_told_of_and_what_is_told_then_is_heard(tmp_path: Path) -> None:
    shop = Shop(tmp_path, path=str(tmp_path / "fleet.db"))
    async with shop.host("north") as host:
        await host.use(Fleet).publish(OrdersChanged(1))
        await until(lambda: shop.heard["north"] == [OrdersChanged(1)])
        for ending in ("", "-wal", "-shm"):
            (tmp_path / f"fleet.db{ending}").unlink(missing_ok=True)
        await until(lambda: FleetEventsMissed(0) in shop.heard["north"])
        await host.use(Fleet).publish(OrdersChanged(2))
        await until(lambda: shop.heard["north"][-1] == OrdersChanged(2))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_told_while_the_store_is_away_is_kept_up_to_a_bound_and_told_when_it_is_back(
    tmp_path: Path,
) -> None:
    with running_server() as server:
        shop = Shop(tmp_path, store="redis", redis_url=server.url)
        async with shop.host("north") as host:
            fleet = host.use(Fleet)
            await fleet.publish(OrdersChanged(0))
            await until(lambda: shop.heard["north"] == [OrdersChanged(0)])
            server.kill()
            await until(lambda: not fleet.member.connected)
            for number in range(MOST_WAITING):
                await fleet.publish(OrdersChanged(number))
            with pytest.raises(StoreUnavailableError, match="this one is not told"):
                await fleet.publish(OrdersChanged(-1))
            server.start()
            await until(lambda: len(shop.heard["north"]) >= MOST_WAITING + 1)
    told = [one for one in shop.heard["north"][1:] if isinstance(one, OrdersChanged)]
    assert [one.number for one in told] == list(range(MOST_WAITING))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_without_a_secret_no_event_crosses_between_machines(tmp_path: Path, server: Server) -> None:
    shop = Shop(tmp_path, store="redis", redis_url=server.url, redis_prefix="bare")
    shop.settings["secret_file"] = ""
    async with shop.host("north") as host:
        with pytest.raises(FleetError, match="secret_file"):
            await host.use(Fleet).publish(OrdersChanged(1))
