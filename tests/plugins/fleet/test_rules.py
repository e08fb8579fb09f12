"""The rules that hold in every fleet, each by the door of real members."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, PluginContext
from plughost.contracts import Fleet, FleetChange, Rollout, RolloutPlan, fleet_event
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from servers import Server

pytestmark = pytest.mark.anyio

LAMP = """
from pathlib import Path
import anyio
from plughost import Plugin

HERE = Path(__file__).parent

class Lamp(Plugin):
    async def start(self, context):
        with (HERE / "tried").open("a") as tried:
            tried.write("x")
        while (HERE / "waits").exists():
            await anyio.sleep(0.01)
        if (HERE / "breaks").exists():
            raise RuntimeError("it does not light up")
"""


@fleet_event("tests.rang")
@dataclass(frozen=True)
class Rang:
    """Somebody rang."""

    door: str


class Ticker(Plugin):
    """Has a job of the fleet."""

    name = "ticker"

    async def start(self, context: PluginContext) -> None:
        context.every(0.2, self.count, name="count", scope="fleet")

    async def count(self) -> None:
        """Do nothing."""


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / f"lamp_{tmp_path.name}.py").write_text(LAMP)
    monkeypatch.syspath_prepend(str(folder))
    return folder


@asynccontextmanager
async def members(
    code: Path, number: int, meets: dict[str, Any] | None = None, **host: Any
) -> AsyncIterator[list[Host]]:
    """So many hosts with a lamp each; they meet in a file unless ``meets`` says otherwise."""
    lamp = {"module": f"lamp_{code.parent.name}:Lamp", "config": {"password": "hunter-number-two"}}
    config = {
        "host": {"data_dir": str(code.parent / "data"), "allow": ["fleet", "lamp"]} | host,
        "plugins": {"fleet": {"config": {"interval": 0.3} | (meets or {})}, "lamp": lamp},
    }
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(Host("shop", config=config, environ={}, worker=worker))
            for worker in range(number)
        ]


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not condition():  # noqa: ASYNC110 - a condition of the test
            await anyio.sleep(0.02)


async def ended(host: Host, rollout: Rollout) -> Rollout:
    with anyio.fail_after(60):
        while not rollout.ended:
            await anyio.sleep(0.02)
            found = await host.use(Fleet).rollout(rollout.id)
            assert found is not None
            rollout = found
    return rollout


async def beats(host: Host, number: int) -> None:
    """Wait until every member was heard of so often more."""
    fleet = host.use(Fleet)
    with anyio.fail_after(60):
        for _ in range(number):
            since = now = (await fleet.status()).now
            while any(now - one.seen_age <= since for one in await fleet.members()):
                await anyio.sleep(0.05)
                now = (await fleet.status()).now


def tried(code: Path) -> int:
    return len((code / "tried").read_text())


async def test_an_acknowledgement_is_asked_for_before_anything_spreads(code: Path) -> None:
    async with members(code, 3) as hosts:
        fleet = hosts[2].use(Fleet)
        (code / "waits").touch()
        rollout = await fleet.propose(FleetChange("reload", "lamp"), RolloutPlan(settle=0.1))
        await until(lambda: tried(code) == 4)
        await beats(hosts[0], 2)  # all are there, and one has not said yet that it went well
        assert tried(code) == 4
        assert sorted(host.plugins["lamp"].generation for host in hosts) == [1, 1, 1]
        assert (await fleet.status()).revision == 0
        (code / "waits").unlink()
        assert (await ended(hosts[0], rollout)).state == "done"
        assert [host.plugins["lamp"].generation for host in hosts] == [2, 2, 2]


async def test_a_negative_acknowledgement_is_never_fatal_and_never_resent(code: Path) -> None:
    async with members(code, 2) as hosts:
        fleet = hosts[0].use(Fleet)
        (code / "breaks").touch()
        rollout = await ended(hosts[0], await fleet.propose(FleetChange("reload", "lamp")))
        assert rollout.state == "failed"
        assert all("it does not light up" in said for said in rollout.results.values())
        assert [(host.ready, str(host.plugins["lamp"].state)) for host in hosts] == [(True, "ready")] * 2
        # Whatever wakes them, nobody tries it again.
        for on in (True, False):
            await fleet.drain(fleet.member.id, on=on)
        await ended(hosts[0], await fleet.propose(FleetChange("disable", "elsewhere", force=True)))
        await beats(hosts[0], 2)
        assert tried(code) == 2 + 2  # each started it, and tried the new one once


UPGRADE = FleetChange("upgrade", "lamp", url="https://example.org/x.zip", sha256="0" * 64)


@pytest.mark.parametrize(
    ("forbids", "change", "said"),
    [
        ({"allow": ["fleet"]}, FleetChange("enable", "lamp"), "lamp"),
        ({"disabled": ["lamp"]}, FleetChange("enable", "lamp"), "lamp"),
        ({"safe_mode": True}, FleetChange("enable", "lamp"), "safe mode is on"),
        ({"fleet": False}, FleetChange("disable", "lamp"), "host.fleet is off"),
        ({}, UPGRADE, "allow_urls"),
    ],
    ids=["allow", "disabled", "safe mode", "fleet", "allow_urls"],
)
async def test_what_a_hosts_own_deployer_forbade_the_fleet_cannot_do(
    code: Path, forbids: dict[str, Any], change: FleetChange, said: str
) -> None:
    async with members(code, 1, **forbids) as (host,):
        fleet = host.use(Fleet)
        before = str(host.plugins["lamp"].state)
        rollout = await ended(host, await fleet.propose(change))
        (member,) = await fleet.members()
        assert said in member.error
        assert rollout.results == ({member.id: member.error} if host.follows_fleet else {})
        await beats(host, 1)
        assert (str(host.plugins["lamp"].state), host.ready) == (before, True)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_key_relies_on_a_time_to_live_and_no_secret_travels(code: Path, server: Server) -> None:
    secret = code / "secret"
    secret.touch(mode=0o600)
    secret.write_text("the-key-of-this-fleet-is-only-in-its-file")
    meets = {"store": "redis", "redis_url": server.url, "secret_file": str(secret)}
    async with members(code, 2, meets) as hosts:
        for host in hosts:
            await host.load_plugin(Ticker())
        fleet = hosts[0].use(Fleet)
        await fleet.publish(Rang("front"))
        (code / "breaks").touch()
        for change, plan in (
            (FleetChange("reload", "lamp"), RolloutPlan(settle=0.1)),
            (FleetChange("configure", "lamp", config={"password": {"$env": "LAMP_WORD"}}), None),
        ):
            await ended(hosts[0], await fleet.propose(change, plan))
        await fleet.drain(fleet.member.id)  # now: before, no host could be spared for the roll-outs
        store = RedisFleetStore(server.url, prefix="shop")
        await store.open()
        client = store._opened
        keys = [key async for key in client.scan_iter("*")]
        kinds = {key.split(b"}:")[1].split(b":")[0].decode() for key in keys}
        assert kinds >= {
            "head", "rev", "teller", "drain", "ev", "live", "beat", "card", "jobs", "job", "carry", "due"
        }  # fmt: skip
        assert {await client.pttl(key) for key in keys} == {-1}
        kept = b"".join([await client.dump(key) for key in keys])
        await store.close()
    for word in (b"hunter-number-two", b"only-in-its-file"):
        assert word not in kept
    assert b"LAMP_WORD" in kept  # a reference does travel, and what is looked at is what was told
