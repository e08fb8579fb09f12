"""The one sliding window, and what counts as one address, at every door that counts."""

from __future__ import annotations

import ast
from bisect import bisect_right
from pathlib import Path
from typing import Any

import anyio
import pytest

import plughost
from plughost.contracts import AuthAttempt, Limit
from plughost.core.rates import EXACT, WindowCounts, network_of
from plughost.flows.attempts import AttemptCounter, SignInLimits
from plughost.http.guards import ANONYMOUS
from plughost.http.middleware import RateLimitMiddleware
from plughost.http.rates import Rates, subject_of
from plughost.plugins.cache.limiter import Limiter
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("limit", [10, 3 * EXACT])
async def test_never_more_than_the_limit_in_any_window(limit):
    clock = FakeClock()
    counts = WindowCounts(clock)
    allowed: list[float] = []
    for _ in range(40):
        while counts.check_one("k", limit, 60).allowed:
            allowed.append(clock.monotonic())
        await clock.advance(7)
    for end in allowed:
        assert bisect_right(allowed, end) - bisect_right(allowed, end - 60) <= limit


@pytest.mark.parametrize("limit", [5, 2 * EXACT])
async def test_who_waits_as_long_as_told_is_let_in(limit):
    clock = FakeClock()
    counts = WindowCounts(clock)
    while (result := counts.check_one("k", limit, 60)).allowed:
        await clock.advance(7 / limit)
    assert 0 < result.retry_after <= 66
    await clock.advance(result.retry_after)
    assert counts.check_one("k", limit, 60).allowed


async def test_a_flood_of_addresses_takes_bounded_memory_and_forgets_the_longest_unused():
    counts = WindowCounts(FakeClock(), most=100)
    for number in range(1000):
        counts.check_one(str(number), 5, 60)
        counts.check_one("busy", 5, 60)
    assert len(counts) <= 100
    assert not counts.check_one("busy", 5, 60).allowed


async def test_ipv6_counts_by_the_network_a_customer_has():
    assert network_of("2001:db8:1:2:3:4:5:6") == network_of("2001:db8:1:2::1%eth0") == "2001:db8:1:2::"
    assert network_of("2001:db8:1:3::1") != network_of("2001:db8:1:2::1")
    assert network_of("198.51.100.7") == "198.51.100.7"
    assert network_of("no: address") == "no: address"


async def by_rate_class(addresses: list[str]) -> list[bool]:
    rates = Rates({"few": 5}, FakeClock())
    subjects = [subject_of({"client": (address, 1)}, ANONYMOUS) for address in addresses]
    return [(await rates.check("few", subject or "", None)).allowed for subject in subjects]


async def by_sign_in(addresses: list[str]) -> list[bool]:
    counter = AttemptCounter(SignInLimits(per_address=5, per_name=100), lambda: None, FakeClock())
    attempts = [AuthAttempt(username=f"u{n}", address=a) for n, a in enumerate(addresses)]
    return [await counter.retry_after(attempt) == 0.0 for attempt in attempts]


async def by_middleware(addresses: list[str]) -> list[bool]:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    limiter = Limiter(named={"api": Limit(limit=5, window=60, name="api")}, clock=FakeClock())
    inside = RateLimitMiddleware(app, limiter=limiter)
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    for address in addresses:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": (address, 1)}
        await inside(scope, anyio.sleep_forever, send)
    return [status == 200 for status in statuses]


@pytest.mark.parametrize("door", [by_rate_class, by_sign_in, by_middleware])
async def test_all_addresses_of_one_ipv6_network_are_one_client(door):
    one_network = [f"2001:db8:7:7::{number:x}" for number in range(1, 51)]
    assert (await door(one_network)).count(True) == 5
    assert all(await door([f"2001:db8:7:{number:x}::1" for number in range(1, 51)]))


def test_the_length_of_a_network_is_said_in_one_place():
    root = Path(plughost.__file__).parent
    naming = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("ip_network", "IPv6Network")
    }
    assert "flows/attempts.py" not in naming
    assert "http/rates.py" not in naming
    assert "core/rates.py" in naming
