"""Prometheus is told of each address once, and of hosts that were lost too."""

from __future__ import annotations

import pytest

from plughost.contracts import FleetMember, MemberState
from plughost.exceptions import ConfigError
from plughost.plugins.fleet.config import FleetConfig
from plughost.plugins.fleet.targets import targets_of


def member(name: str, machine: str, address: str = "", state: MemberState = "alive") -> FleetMember:
    return FleetMember(
        id=name, incarnation=1, machine=machine, address=address, state=state, connected=state == "alive"
    )


def test_who_shares_an_address_is_one_target_and_who_left_in_order_is_none() -> None:
    found = targets_of(
        "shop",
        [
            member("vm-0", "vm", "vm.test:8000", "lost"),
            member("vm-1", "vm", "vm.test:8000"),
            member("gone", "other", "other.test:8000", "left"),
            member("dead", "third", "third.test:8000", "lost"),
            member("plain", "fourth"),
            member("of an older version, whose card nobody can read", ""),
        ],
    )
    assert [one.targets[0] for one in found] == ["fourth", "third.test:8000", "vm.test:8000"]
    names = ("fleet", "machine", "members", "state")
    told = [tuple(one.labels[f"__meta_plughost_{name}"] for name in names) for one in found]
    assert told == [
        ("shop", "fourth", "plain", "alive"),
        ("shop", "third", "dead", "lost"),
        ("shop", "vm", "vm-0,vm-1", "alive"),
    ]


@pytest.mark.parametrize("address", ["north.test:8000", "192.0.2.7:80", "[2001:db8::7]:8000"])
def test_an_address_is_a_name_and_a_port(address: str) -> None:
    FleetConfig(address=address).check()


@pytest.mark.parametrize(
    "address",
    [
        "north.test", ":8000", "http://north.test:8000", "north.test:8000/metrics", "ada@north.test:8000",
        "north.test:port", "north.test:0", "north.test:80000", "north test:8000", "north.test:8000 ",
    ],
)  # fmt: skip
def test_anything_else_is_refused_as_an_address(address: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        FleetConfig(address=address).check()
