"""Counters and sets: values that are changed where they are.

They are ordinary values: ``get`` returns them, tags and patterns reach them, and what was counted while Redis
was away is gone when it comes back, as everything is that was cached meanwhile. Count what must not be lost
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from plughost.contracts import Seconds
from plughost.exceptions import CacheValueError, StoreUnavailableError
from plughost.plugins.cache.engine import Engine
from plughost.plugins.cache.entry import Entry

_LARGEST: Final = 2**53
"""Servers count in doubles inside scripts: beyond this a sum would be silently wrong."""


class Amounts:
    """Counters and sets of one cache."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _new_entry(self, ttl: Seconds | None, value: Any) -> Entry:
        engine = self._engine
        _, _, weight = engine.pack(value)
        return engine.freshness.written(ttl).entry(value, engine.monotonic(), weight=weight)

    async def increment(self, key: str, by: int, ttl: Seconds | None) -> int:
        """Add to an integer."""
        if isinstance(by, bool) or not isinstance(by, int):
            raise TypeError(f"by is an integer, not {by!r}")
        engine = self._engine
        life = engine.freshness.written(ttl)
        if engine.remote is not None:
            engine.memory.delete(key)
            with suppress(StoreUnavailableError):
                return await engine.remote.increment(key, by, life)
        return int(engine.memory.update(key, adding(by), lambda value: self._new_entry(ttl, value)))

    async def change_set(self, key: str, members: frozenset[Any], ttl: Seconds | None, *, add: bool) -> int:
        """Add members to a set or remove them; how many that changed."""
        engine = self._engine
        life = engine.freshness.written(ttl)
        change = _Change(members, add)
        if engine.remote is not None:
            engine.memory.delete(key)
            with suppress(StoreUnavailableError):
                await engine.remote.update(key, change, life)
                return change.count
        engine.memory.update(key, change, lambda value: self._new_entry(ttl, value))
        return change.count

    @staticmethod
    def members(value: Any) -> frozenset[Any]:
        """Return a stored set as one."""
        if value is None:
            return frozenset()
        if not isinstance(value, set | frozenset):
            raise CacheValueError(f"there is a {type(value).__name__} under this key, not a set")
        return frozenset(value)


def checked_sum(value: Any, by: int) -> int:
    """Return the sum of what is stored and what is added.

    Raises:
        CacheValueError: It is not an integer, or the sum is too large to be counted everywhere.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise CacheValueError(f"there is a {type(value).__name__} under this key, not an integer")
    total = value + by
    if abs(total) >= _LARGEST or abs(value) >= _LARGEST:
        raise CacheValueError(f"a counter ends below {_LARGEST}")
    return total


def adding(by: int) -> Callable[[Any, bool], int]:
    """Return the change that adds to what is there, 0 when nothing is."""

    def add(value: Any, present: bool) -> int:
        return checked_sum(value if present else 0, by)

    return add


class _Change:
    """Adds to a set or removes from it, and remembers how many that were; may be run again."""

    def __init__(self, members: frozenset[Any], add: bool) -> None:
        self._members = members
        self._add = add
        self.count = 0

    def __call__(self, value: Any, present: bool) -> set[Any]:
        old = Amounts.members(value) if present else frozenset()
        new = old | self._members if self._add else old - self._members
        self.count = abs(len(new) - len(old))
        return set(new)
