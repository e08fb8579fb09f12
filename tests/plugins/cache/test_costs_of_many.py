"""What is done with many keys at once costs as much for each of them as for one: it is counted, not timed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from counting import counted
from plughost.plugins.cache.flight import Flight
from plughost.plugins.cache.manager import NamedCaches

pytestmark = pytest.mark.anyio

_MANY = 300


class _Key(str):
    """A key that counts how often it is compared with another one."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        _Key.compared += 1
        return str.__eq__(self, other)


@pytest.mark.parametrize(("value", "ttl"), [("small", 0), ("too large for it" * 10, None)])
async def test_keys_whose_values_cannot_be_stored_are_looked_for_once_each(
    caches: NamedCaches, monkeypatch: pytest.MonkeyPatch, value: str, ttl: float | None
) -> None:
    few = caches.get("few", max_value_bytes=20, max_bytes=1_000_000)
    keys = [_Key(f"k{number}") for number in range(_MANY)]
    await few.set_many(dict.fromkeys(keys, "old"))
    monkeypatch.setattr(_Key, "compared", 0)
    assert await few.set_many(dict.fromkeys(keys, value), ttl) == 0
    assert _Key.compared < 30 * _MANY
    assert await few.get_many(keys) == {}


async def test_what_one_loader_loads_is_not_looked_for_among_all_of_it(
    caches: NamedCaches, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0

    def same(flight: Flight, other: object) -> bool:
        nonlocal compared
        compared += 1
        return flight is other

    monkeypatch.setattr(Flight, "__eq__", same, raising=False)
    keys = [f"k{number}" for number in range(_MANY)]
    assert await caches.default.get_or_set_many(keys, lambda keys: dict.fromkeys(keys, 1)) == dict.fromkeys(
        keys, 1
    )
    assert compared < 30 * _MANY


async def _load_each(caches: NamedCaches, count: int, *, at_once: bool) -> None:
    """Load several keys with a loader that asks another cache for each."""
    raw, found = caches.get("raw"), dict[str, Any]()

    async def find(key: str) -> None:
        found[key] = await raw.get_or_set(key, lambda: 1)

    async def load(keys: Sequence[str]) -> dict[str, Any]:
        async with anyio.create_task_group() as group:
            for key in keys:
                if at_once:
                    group.start_soon(find, key)
                else:
                    await find(key)
        return found

    keys = [f"{count}:{number}" for number in range(count)]
    assert len(await caches.default.get_or_set_many(keys, load)) == count


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_loader_of_many_that_asks_for_each_pays_for_each_once(
    caches: NamedCaches, at_once: bool
) -> None:
    await _load_each(caches, 5, at_once=at_once)
    with counted() as few:
        await _load_each(caches, 50, at_once=at_once)
    with counted() as many:
        await _load_each(caches, 200, at_once=at_once)
    assert many.instructions < 6 * few.instructions
