"""The page of a fleet of any size shows what is wrong, and no more than people can read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from plughost.contracts import SYSTEM_CLOCK, Beat, Greeting, MemberPlugin
from plughost.plugins.fleet.cards import MemberCard, decode_card
from plughost.plugins.fleet.membership import Membership
from plughost.plugins.fleet.overview import MOST_COLUMNS, MOST_LINES
from plughost.plugins.fleet.panel import FleetPanel
from plughost.plugins.fleet.revisions import Revisions
from plughost.plugins.fleet.seal import Seal
from plughost.plugins.fleet.service import FleetService
from plughost.plugins.fleet.stores.memory import MemoryFleetStore

pytestmark = pytest.mark.anyio


def card(**states: str) -> bytes:
    plugins = tuple(MemberPlugin(name=name, version="1.0", state=state) for name, state in states.items())
    return msgspec.msgpack.encode(MemberCard(plugins=plugins))


async def figures(hosts: int, odd: dict[int, bytes], troubled: set[int]) -> Any:
    """Return what the page shows of so many hosts with two plugins each, of which some are otherwise."""
    store, seal = MemoryFleetStore(), Seal(b"s" * 48)
    for number in range(hosts):
        name = f"h{number:04}"
        written = odd.get(number, card(lamp="ready", shop="ready"))
        welcome = await store.join(Greeting(member=name, ttl=3_600_000, card=written))
        ready = number not in troubled
        await store.beat(Beat(member=name, incarnation=welcome.incarnation, ready=ready))
    revisions = Revisions(store, seal)
    mine = Membership("reader", 60.0, SYSTEM_CLOCK)
    service = FleetService("many", store, mine, None, revisions, seal)  # type: ignore[arg-type]
    data: Any = FleetPanel(service, revisions).panel().data
    return await data()


async def test_of_many_hosts_those_in_trouble_have_a_line_and_the_number_of_lines_is_bounded() -> None:
    found = await figures(400, {}, troubled={17, 333, 399})
    lines = [host["id"] for host in found["hosts"]]
    assert len(lines) == MOST_LINES
    assert {"h0017", "h0333", "h0399"} <= set(lines)
    assert lines == sorted(lines)
    assert (found["known"], len(found["living"]), found["here"]) == (400, 400, "reader")


async def test_of_many_hosts_those_have_a_column_where_a_plugin_is_otherwise_and_the_others_are_counted() -> (
    None
):
    odd = {7: card(lamp="failed", shop="ready"), 211: card(shop="ready")}
    found = await figures(300, odd, troubled=set())
    assert found["columns"] == ["h0007", "h0211"]
    lamp, shop = found["plugins"]
    assert (lamp["name"], lamp["differs"], shop["differs"]) == ("lamp", True, False)
    assert [cell["state"] for cell in lamp["cells"]] == ["failed", ""]
    for row in (lamp, shop):
        assert row["others"] == [{"state": "ready", "version": "1.0", "count": 298}]


async def test_when_most_hosts_are_otherwise_the_number_of_columns_is_bounded_and_nobody_is_left_out() -> (
    None
):
    odd = {number: card(lamp="failed" if number % 2 else "disabled") for number in range(90)}
    found = await figures(200, odd, troubled=set())
    assert len(found["columns"]) == MOST_COLUMNS
    for row in found["plugins"]:
        assert len(row["cells"]) + sum(one["count"] for one in row["others"]) == 200


@pytest.mark.parametrize("hosts", [1, MOST_COLUMNS])
async def test_of_a_few_hosts_each_has_its_line_and_its_column(hosts: int) -> None:
    found = await figures(hosts, {}, troubled=set())
    assert len(found["hosts"]) == len(found["columns"]) == hosts
    assert all(row["others"] == [] for row in found["plugins"])


async def test_what_is_in_trouble_stands_before_what_runs_and_what_does_not() -> None:
    every = card(a="ready", b="disabled", c="failed", d="ready", e="quarantined", f="degraded")
    found = await figures(2, {0: every, 1: every}, troubled=set())
    assert [row["name"] for row in found["plugins"]] == ["f", "c", "e", "a", "d", "b"]


def test_members_with_the_same_plugins_share_what_is_known_of_them() -> None:
    one, two = (
        decode_card(msgspec.msgpack.encode(MemberCard(pid=pid, plugins=(MemberPlugin(name="lamp"),))))
        for pid in (1, 2)
    )
    assert one.pid != two.pid
    assert one.plugins is two.plugins
