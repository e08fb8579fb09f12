# ruff: noqa: D102, S101, PT011 - a suite: the names are the sentences, the assertions are the point
"""What every cache must do, whatever stands behind it.

Subclass ``CacheBackendSuite``, provide its two fixtures, and pytest runs it over your backend; one whose store cannot
list its keys passes ``CacheValuesSuite``::

    class TestMyBackend(CacheBackendSuite):
        @pytest.fixture
        async def cache(self):
            async with my_manager() as caches:
                yield caches.get("suite")

        @pytest.fixture
        def pass_time(self, clock):
            return clock.advance

Tests are asynchronous; mark the module with ``pytest.mark.anyio``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest

from plughost.contracts.cache import Cache
from plughost.exceptions import CacheValueError

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -(2**63),
    2**64 - 1,
    2**200,
    1.5,
    float("inf"),
    "",
    "text ü 🙂",
    b"\x00\xff",
    [],
    [1, [2, [3]]],
    (),
    (1, "a", (2.0,)),
    {"a": {"b": [1, (2,)]}},
    {1: "int key", "1": "str key"},
    {(1, 2): "tuple key"},
    {1, 2, 3},
    frozenset({"a"}),
    datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    datetime(2026, 1, 2, 3, 4, 5),  # naive values must come back naive
    date(2026, 1, 2),
    time(3, 4, 5),
    timedelta(days=-1, microseconds=3),
    UUID("12345678123456781234567812345678"),
    Decimal("1.10"),
)
"""One of each type that every tier gives back as it was."""

PassTime = Callable[[float], Awaitable[object]]


class Calls:
    """A loader that counts its runs, and can be held up in the middle."""

    def __init__(self, value: Any = "loaded", error: Exception | None = None) -> None:
        self.value = value
        self.error = error
        self.count = 0
        self.reached = anyio.Event()
        self.go_on = anyio.Event()

    async def __call__(self) -> Any:
        """Return the value at once."""
        self.count += 1
        if self.error is not None:
            raise self.error
        return self.value

    async def held(self) -> Any:
        """Take the value, and return it when allowed to."""
        self.count += 1
        value = self.value
        self.reached.set()
        await self.go_on.wait()
        if self.error is not None:
            raise self.error
        return value


async def invalidate(cache: Cache, how: str) -> None:
    """Invalidate ``user:1`` with tag ``users`` in one of the ways there are."""
    if how == "delete":
        await cache.delete("user:1")
    elif how == "tag":
        await cache.invalidate_tag("users")
    elif how == "glob":
        await cache.invalidate_glob("user:*")
    elif how == "regex":
        await cache.invalidate_regex("user:\\d+")
    elif how == "clear":
        await cache.clear()
    else:
        await cache.set("user:1", "new")


INVALIDATIONS = ("delete", "tag", "glob", "regex", "clear")


class CacheValuesSuite:
    """The promises of ``plughost.contracts.Cache`` that need no list of keys, one test each."""

    @pytest.fixture
    def pass_time(self) -> PassTime:
        """Let time pass for the cache; by default it really does."""
        return anyio.sleep

    # Values

    @pytest.mark.parametrize("value", VALUES, ids=repr)
    async def test_a_value_comes_back_with_its_type(self, cache: Cache, value: Any) -> None:
        await cache.set("k", value)
        for _ in range(2):  # from the tier it went to, and from the one in front of it
            found = await cache.get("k", default=...)
            assert found == value
            assert type(found) is type(value)

    async def test_nested_values_keep_their_types(self, cache: Cache) -> None:
        value = {"t": (1, {2}), "d": [Decimal("1.0"), {"when": date(2026, 1, 1)}]}
        await cache.set("k", value)
        found = await cache.get("k")
        assert found == value
        assert type(found["t"]) is tuple
        assert type(found["t"][1]) is set
        assert type(found["d"][0]) is Decimal

    async def test_what_the_caller_changes_later_is_not_changed_in_the_cache(self, cache: Cache) -> None:
        value = {"items": [1]}
        await cache.set("k", value)
        value["items"].append(2)
        assert await cache.get("k") == {"items": [1]}

    @pytest.mark.parametrize("value", [object(), lambda: None, {"f": print}, [object()], bytearray(b"x")])
    async def test_what_is_not_data_is_refused(self, cache: Cache, value: Any) -> None:
        await cache.set("k", "old")
        with pytest.raises(CacheValueError):
            await cache.set("k", value)
        with pytest.raises(CacheValueError):
            await cache.get_or_set("other", lambda: value)

    async def test_none_is_a_value(self, cache: Cache) -> None:
        calls = Calls(None)
        assert await cache.get_or_set("k", calls) is None
        assert await cache.get_or_set("k", calls) is None
        assert calls.count == 1
        assert await cache.get("k", default="missing") is None

    async def test_a_large_value_survives(self, cache: Cache) -> None:
        value = {"text": "lorem ipsum " * 20_000, "bytes": bytes(range(256)) * 100}
        await cache.set("k", value)
        assert await cache.get("k") == value

    # Keys and times

    @pytest.mark.parametrize("key", [None, 1, True, b"k", ("a",), 1.5])
    async def test_a_key_is_a_string(self, cache: Cache, key: Any) -> None:
        with pytest.raises(TypeError):
            await cache.get(key)
        with pytest.raises(TypeError):
            await cache.set(key, 1)
        with pytest.raises(TypeError):
            await cache.get_or_set(key, lambda: 1)

    @pytest.mark.parametrize("key", ["", "x" * 5000, "\ud800"])
    async def test_a_key_that_cannot_be_one_is_refused(self, cache: Cache, key: str) -> None:
        with pytest.raises(ValueError):
            await cache.get(key)

    @pytest.mark.parametrize("key", ["ü 🙂", "a b\nc\x00", "{slot}", "*", "a:b[c]?"])
    async def test_any_other_string_is_a_key(self, cache: Cache, key: str) -> None:
        await cache.set(key, key)
        assert await cache.get(key) == key

    @pytest.mark.parametrize("ttl", [0, -1, 0.0, timedelta(0)])
    async def test_no_time_to_live_stores_nothing_and_removes_what_was_there(
        self, cache: Cache, ttl: Any
    ) -> None:
        await cache.set("k", "old")
        assert not await cache.set("k", "new", ttl=ttl)
        assert await cache.get("k") is None

    @pytest.mark.parametrize("ttl", [True, "10", [], object()])
    async def test_a_ttl_is_a_length_of_time(self, cache: Cache, ttl: Any) -> None:
        with pytest.raises(TypeError):
            await cache.set("k", 1, ttl=ttl)

    async def test_a_ttl_that_is_not_a_number_is_refused(self, cache: Cache) -> None:
        with pytest.raises(ValueError):
            await cache.set("k", 1, ttl=float("nan"))

    @pytest.mark.parametrize("ttl", [1e300, float("inf"), 10**15, timedelta.max, None])
    async def test_a_huge_ttl_is_a_long_time(self, cache: Cache, ttl: Any) -> None:
        assert await cache.set("k", 1, ttl=ttl)
        assert await cache.get("k") == 1

    async def test_a_value_ends_with_its_ttl(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.set("short", 1, ttl=0.05)
        await cache.set("long", 2, ttl=60)
        assert await cache.get("short") == 1
        await pass_time(0.06)
        assert await cache.get("short") is None
        assert not await cache.exists("short")
        assert await cache.get("long") == 2

    async def test_setting_again_begins_a_new_life(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.set("k", 1, ttl=0.05)
        await cache.set("k", 2, ttl=60)
        await pass_time(0.06)
        assert await cache.get("k") == 2

    # Single values

    async def test_a_missing_key_gives_the_default(self, cache: Cache) -> None:
        assert await cache.get("k") is None
        assert await cache.get("k", default=3) == 3
        assert not await cache.exists("k")
        assert await cache.entry("k") is None

    async def test_delete_says_whether_something_was_there(self, cache: Cache) -> None:
        await cache.set("k", 1)
        assert await cache.exists("k")
        assert await cache.delete("k")
        assert not await cache.delete("k")
        assert await cache.get("k") is None

    async def test_an_entry_tells_its_age_and_time_left(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.set("k", "v", ttl=60, tags=["t"])
        await pass_time(0.05)
        entry = await cache.entry("k")
        assert entry is not None
        assert (entry.key, entry.value, entry.stale, entry.tags) == ("k", "v", False, ("t",))
        assert 0.03 <= entry.age < 30
        assert 30 < entry.ttl < 59.98

    @pytest.mark.parametrize("ttl", [float("inf"), timedelta.max])
    async def test_the_time_left_of_what_never_ends_is_infinite(self, cache: Cache, ttl: Any) -> None:
        await cache.set("k", 1, ttl=ttl)
        entry = await cache.entry("k")
        assert entry is not None
        assert entry.ttl == float("inf")

    # Only if

    async def test_what_is_added_does_not_replace(self, cache: Cache, pass_time: PassTime) -> None:
        assert await cache.add("k", {"n": 1}, ttl=0.05, tags=["t"])
        assert not await cache.add("k", {"n": 2})
        assert await cache.get("k") == {"n": 1}
        await pass_time(0.06)
        assert await cache.add("k", {"n": 3}, tags=["t"])
        await cache.invalidate_tag("t")
        assert await cache.get("k") is None
        assert not await cache.add("k", 4, ttl=0)
        assert await cache.get("k") is None

    async def test_one_of_many_who_add_at_once_succeeds(self, cache: Cache) -> None:
        ends: list[tuple[bool, int]] = []

        async def add(number: int) -> None:
            ends.append((await cache.add("k", number), number))

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(add, number)
        (winner,) = [number for done, number in ends if done]
        assert await cache.get("k") == winner

    async def test_touching_begins_a_new_life(self, cache: Cache, pass_time: PassTime) -> None:
        assert not await cache.touch("k")
        await cache.set("k", (1, 2), ttl=0.2, tags=["t"])
        assert await cache.touch("k", ttl=60)
        await pass_time(0.25)
        entry = await cache.entry("k")
        assert entry is not None
        assert (entry.value, entry.tags) == ((1, 2), ("t",))
        assert entry.ttl > 30
        assert await cache.touch("k", ttl=0)
        assert await cache.get("k") is None

    async def test_a_value_is_set_if_the_one_there_is_the_expected_one(self, cache: Cache) -> None:
        assert not await cache.compare_and_set("k", None, 1)
        await cache.set("k", [1], ttl=60, tags=["old"])
        assert not await cache.compare_and_set("k", [2], "new")
        assert not await cache.compare_and_set("k", (1,), "new")
        assert await cache.compare_and_set("k", [1], {"n": 1}, tags=["new"])
        await cache.invalidate_tag("old")
        assert await cache.get("k") == {"n": 1}
        await cache.invalidate_tag("new")
        assert not await cache.compare_and_set("k", {"n": 1}, 2)

    async def test_none_of_many_who_compare_and_set_is_lost(self, cache: Cache) -> None:
        await cache.set("k", 0)

        async def add_one() -> None:
            while True:
                seen = await cache.get("k")
                if await cache.compare_and_set("k", seen, seen + 1):
                    return
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(add_one)
        assert await cache.get("k") == 10

    async def test_a_conditional_change_overtakes_loads_under_way(self, cache: Cache) -> None:
        calls = Calls("loaded")
        async with anyio.create_task_group() as group:
            group.start_soon(cache.get_or_set, "k", calls.held)
            await calls.reached.wait()
            assert await cache.add("k", "added")
            calls.go_on.set()
        assert await cache.get("k") == "added"

    async def test_the_entry_of_a_loaded_value_is_given_with_it(self, cache: Cache) -> None:
        calls = Calls({"n": 1})
        for _ in range(2):
            entry = await cache.get_or_set_entry("k", calls, ttl=60, tags=["t"])
            assert (entry.key, entry.value, entry.stale, entry.tags) == ("k", {"n": 1}, False, ("t",))
            assert 0 < entry.ttl <= 60
            assert entry.age < 30
        assert calls.count == 1

    # Several values

    async def test_many_are_read_and_written_together(self, cache: Cache) -> None:
        assert await cache.set_many({"a": 1, "b": (2,), "c": None}) == 3
        assert await cache.get_many(["a", "b", "c", "d", "a"]) == {"a": 1, "b": (2,), "c": None}
        assert await cache.delete_many(["a", "b", "d"]) == 2
        assert await cache.get_many(["a", "b", "c"]) == {"c": None}
        assert await cache.get_many([]) == {}
        assert await cache.set_many({}) == 0

    async def test_a_thousand_keys_travel_together(self, cache: Cache) -> None:
        values = {f"k:{number}": number for number in range(500)}
        assert await cache.set_many(values) == 500
        assert await cache.get_many(values) == values

    async def test_missing_keys_are_loaded_in_one_call(self, cache: Cache) -> None:
        await cache.set("a", "kept")
        asked: list[list[str]] = []

        async def load(keys: Any) -> dict[str, str]:
            asked.append(list(keys))
            return {key: f"made {key}" for key in keys if key != "none"}

        wanted = ["a", "b", "none", "c"]
        found = await cache.get_or_set_many(wanted, load)
        assert found == {"a": "kept", "b": "made b", "c": "made c"}
        assert asked == [["b", "none", "c"]]
        assert await cache.get("c") == "made c"
        await cache.get_or_set_many(["b", "c"], load)
        assert len(asked) == 1

    async def test_a_failing_batch_loader_reaches_its_caller(self, cache: Cache) -> None:
        def fail(keys: Any) -> dict[str, str]:
            raise RuntimeError("source")

        with pytest.raises(RuntimeError, match="source"):
            await cache.get_or_set_many(["a", "b"], fail)
        assert await cache.get_or_set("a", lambda: 1) == 1

    # Loading

    async def test_a_value_is_loaded_once(self, cache: Cache) -> None:
        calls = Calls({"n": 1})
        assert await cache.get_or_set("k", calls) == {"n": 1}
        assert await cache.get_or_set("k", calls) == {"n": 1}
        assert calls.count == 1

    async def test_plain_functions_are_loaders_too(self, cache: Cache) -> None:
        assert await cache.get_or_set("a", lambda: 1) == 1
        assert await cache.get_or_set("b", lambda: 2, blocking=True) == 2
        assert await cache.get_or_set("c", lambda: Calls(3)()) == 3

    async def test_a_hundred_callers_wait_for_one_load(self, cache: Cache) -> None:
        calls = Calls()
        found: list[Any] = []

        async def ask() -> None:
            found.append(await cache.get_or_set("k", calls.held))

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask)
            await calls.reached.wait()
            calls.go_on.set()
        assert found == ["loaded"] * 100
        assert calls.count == 1

    async def test_a_cancelled_leader_harms_nobody(self, cache: Cache) -> None:
        calls = Calls()
        found: list[Any] = []

        async def ask() -> None:
            found.append(await cache.get_or_set("k", calls.held))

        async with anyio.create_task_group() as group:
            leader = anyio.CancelScope()

            async def lead() -> None:
                with leader:
                    await cache.get_or_set("k", calls.held)

            group.start_soon(lead)
            await calls.reached.wait()
            group.start_soon(ask)
            await anyio.lowlevel.checkpoint()
            leader.cancel()
            await anyio.lowlevel.checkpoint()
            calls.go_on.set()
        assert found == ["loaded"]
        assert calls.count == 1
        assert await cache.get("k") == "loaded"

    async def test_a_failing_load_reaches_all_who_wait_once(self, cache: Cache) -> None:
        calls = Calls(error=RuntimeError("source"))
        errors: list[str] = []

        async def ask() -> None:
            try:
                await cache.get_or_set("k", calls.held)
            except RuntimeError as error:
                errors.append(str(error))

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
            await calls.reached.wait()
            calls.go_on.set()
        assert errors == ["source"] * 10
        assert calls.count == 1
        assert await cache.get_or_set("k", Calls("better")) == "better"

    async def test_a_stale_value_answers_when_the_loader_fails(
        self, cache: Cache, pass_time: PassTime
    ) -> None:
        await cache.get_or_set("k", lambda: "old", ttl=0.05, stale_for=60)
        await pass_time(0.06)
        assert await cache.get("k") is None
        entry = await cache.entry("k")
        assert entry is not None
        assert entry.stale
        broken = Calls(error=RuntimeError("source"))
        assert await cache.get_or_set("k", broken, stale_for=60) == "old"
        assert cache.stats().stale == 1
        assert await cache.get_or_set("k", broken, stale_for=60) == "old"
        assert broken.count == 1  # the source is left alone for a while

    # Invalidation

    @pytest.mark.parametrize("how", [*INVALIDATIONS, "set"])
    async def test_an_invalidation_wins_over_a_load_in_flight(self, cache: Cache, how: str) -> None:
        calls = Calls("old")
        found: list[Any] = []

        async def ask() -> None:
            found.append(await cache.get_or_set("user:1", calls.held, tags=["users"]))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await calls.reached.wait()
            await invalidate(cache, how)
            calls.go_on.set()
        assert found == ["old"]  # its own caller may have it
        assert await cache.get("user:1") == ("new" if how == "set" else None)
        assert await cache.get_or_set("user:1", Calls("new"), tags=["users"]) == "new"

    @pytest.mark.parametrize("how", INVALIDATIONS)
    async def test_who_asks_after_an_invalidation_does_not_join_the_old_load(
        self, cache: Cache, how: str
    ) -> None:
        old = Calls("old")
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: cache.get_or_set("user:1", old.held, tags=["users"]))
            await old.reached.wait()
            await invalidate(cache, how)
            with anyio.fail_after(20):
                assert await cache.get_or_set("user:1", Calls("new"), tags=["users"]) == "new"
            old.go_on.set()
        assert await cache.get("user:1") == "new"

    @pytest.mark.parametrize("how", INVALIDATIONS)
    async def test_an_invalidation_removes_what_is_stored(self, cache: Cache, how: str) -> None:
        await cache.set("user:1", "old", tags=["users", "people"])
        assert await cache.get("user:1") == "old"
        await invalidate(cache, how)
        assert await cache.get("user:1") is None
        assert not await cache.exists("user:1")
        assert await cache.get_many(["user:1"]) == {}

    async def test_a_tag_reaches_its_entries_and_no_others(self, cache: Cache) -> None:
        await cache.set("a", 1, tags=["x"])
        await cache.set("b", 2, tags=["x", "y"])
        await cache.set("c", 3, tags=["y"])
        await cache.set("d", 4)
        await cache.invalidate_tag("x")
        assert await cache.get_many(["a", "b", "c", "d"]) == {"c": 3, "d": 4}

    async def test_several_tags_are_invalidated_together(self, cache: Cache) -> None:
        await cache.set_many({"a": 1, "b": 2}, tags=["x"])
        await cache.set("c", 3, tags=["y"])
        await cache.invalidate_tag("x", "y")
        assert await cache.get_many(["a", "b", "c"]) == {}

    async def test_what_is_stored_after_an_invalidation_stays(self, cache: Cache) -> None:
        await cache.invalidate_tag("x")
        await cache.set("a", 1, tags=["x"])
        await cache.get_or_set("b", lambda: 2, tags=["x"])
        assert await cache.get_many(["a", "b"]) == {"a": 1, "b": 2}

    async def test_more_tags_than_an_entry_can_name_are_refused_before_anything_is_stored(
        self, cache: Cache
    ) -> None:
        with pytest.raises(ValueError, match="65535 tags"):
            await cache.set("a", 1, tags=(f"t{number}" for number in range(65_536)))
        assert await cache.get("a") is None

    async def test_tags_are_several_strings(self, cache: Cache) -> None:
        with pytest.raises(TypeError):
            await cache.set("a", 1, tags="users")
        with pytest.raises(TypeError):
            await cache.set("a", 1, tags=[1])  # type: ignore[list-item]

    async def test_keys_are_several_strings(self, cache: Cache) -> None:
        """One key would be taken for its letters, and nothing found."""
        await cache.set_many({"a": 1, "b": 2})
        for call in (
            cache.get_many("ab"),
            cache.delete_many("ab"),
            cache.get_or_set_many("ab", lambda _: {}),
        ):
            with pytest.raises(TypeError, match=r"keys=\['?"):
                await call
        assert await cache.get_many(["a", "b"]) == {"a": 1, "b": 2}

    @pytest.mark.parametrize("pattern", ["", "(", "[", "*"])
    async def test_a_broken_regular_expression_is_refused(self, cache: Cache, pattern: str) -> None:
        with pytest.raises(ValueError):
            await cache.invalidate_regex(pattern)

    # Writing through

    async def test_write_through_writes_first_and_stores_then(self, cache: Cache) -> None:
        home: dict[str, Any] = {}

        async def write(value: Any) -> None:
            assert await cache.get("k") is None
            home["k"] = value

        await cache.set("k", "old")
        assert await cache.write_through("k", "new", write)
        assert home == {"k": "new"}
        assert await cache.get("k") == "new"

    async def test_a_failed_write_leaves_nothing_cached(self, cache: Cache) -> None:
        def write(value: Any) -> None:
            raise RuntimeError("disk")

        await cache.set("k", "old")
        with pytest.raises(RuntimeError, match="disk"):
            await cache.write_through("k", "new", write)
        assert await cache.get("k") is None

    # Counters and sets

    async def test_a_counter_counts(self, cache: Cache) -> None:
        assert await cache.increment("n") == 1
        assert await cache.increment("n", by=5) == 6
        assert await cache.increment("n", by=-10) == -4
        assert await cache.get("n") == -4
        await cache.set("m", 40)
        assert await cache.increment("m", 2) == 42
        assert type(await cache.get("m")) is int

    async def test_concurrent_increments_all_count(self, cache: Cache) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(cache.increment, "n")
        assert await cache.get("n") == 50

    async def test_a_counter_keeps_its_time_and_tags(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.set("n", 1, ttl=60, tags=["t"])
        await cache.increment("n", ttl=0.01)
        await pass_time(0.05)
        assert await cache.get("n") == 2
        await cache.invalidate_tag("t")
        assert await cache.get("n") is None
        await cache.increment("n", ttl=0.05)
        await pass_time(0.06)
        assert await cache.get("n") is None

    @pytest.mark.parametrize("value", ["1", 1.5, None, True, [1], "x" * 10_000])
    async def test_only_integers_count(self, cache: Cache, value: Any) -> None:
        await cache.set("k", value)
        with pytest.raises(CacheValueError):
            await cache.increment("k")
        assert await cache.get("k") == value

    async def test_a_counter_that_would_lose_precision_is_refused(self, cache: Cache) -> None:
        await cache.set("n", 2**53)
        with pytest.raises(CacheValueError):
            await cache.increment("n")

    async def test_a_set_has_members(self, cache: Cache) -> None:
        assert await cache.set_add("s", "a", "b") == 2
        assert await cache.set_add("s", "b", "c", 1) == 2
        assert await cache.set_members("s") == {"a", "b", "c", 1}
        assert await cache.set_remove("s", "a", "x") == 1
        assert await cache.set_members("s") == {"b", "c", 1}
        assert await cache.set_members("none") == frozenset()

    async def test_concurrent_additions_all_arrive(self, cache: Cache) -> None:
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(cache.set_add, "s", number)
        assert await cache.set_members("s") == set(range(10))

    async def test_only_sets_have_members(self, cache: Cache) -> None:
        await cache.set("k", "text")
        with pytest.raises(CacheValueError):
            await cache.set_add("k", 1)
        with pytest.raises(CacheValueError):
            await cache.set_members("k")

    # Warm, look, clean

    async def test_warming_replaces_what_is_there(self, cache: Cache) -> None:
        await cache.set("k", "old")
        assert await cache.warm("k", lambda: "new") == "new"
        assert await cache.get("k") == "new"

    async def test_expected_keys_are_reported(self, cache: Cache) -> None:
        cache.expect("a", "b")
        await cache.set("a", 1)
        assert [(key.key, key.present) for key in await cache.expected()] == [("a", True), ("b", False)]

    async def test_statistics_count_what_happened(self, cache: Cache) -> None:
        await cache.set("a", 1)
        await cache.get("a")
        await cache.get("b")
        await cache.get_or_set("c", lambda: 1)
        await cache.delete("a")
        stats = cache.stats()
        assert (stats.hits, stats.misses, stats.sets, stats.deletes, stats.loads) == (1, 2, 1, 1, 1)
        assert stats.hit_rate == pytest.approx(1 / 3)
        cache.reset_stats()
        assert cache.stats().hits == 0

    async def test_events_are_told(self, cache: Cache) -> None:
        told: list[tuple[str, str]] = []
        for kind in ("set", "hit", "miss", "deleted", "invalidated", "cleared"):
            cache.on(kind, lambda event: told.append((event.kind, event.key)))
        await cache.get("a")
        await cache.set("a", 1)
        await cache.get("a")
        await cache.delete("a")
        await cache.invalidate_tag("t")
        await cache.clear()
        assert told == [
            ("miss", "a"), ("set", "a"), ("hit", "a"), ("deleted", "a"), ("invalidated", "t"), ("cleared", ""),
        ]  # fmt: skip

    async def test_a_listener_that_fails_harms_nobody(self, cache: Cache) -> None:
        def fail(event: Any) -> None:
            raise RuntimeError("listener")

        stop = cache.on("set", fail)
        assert await cache.set("a", 1)
        stop()
        with pytest.raises(ValueError):
            cache.on("nonsense", fail)  # type: ignore[arg-type]


class CacheBackendSuite(CacheValuesSuite):
    """All promises of ``plughost.contracts.Cache``: keys can be looked at, and patterns reach what matches alone."""

    @pytest.mark.parametrize("key", ["ü 🙂", "a b\nc\x00", "{slot}", "*", "a:b[c]?"])
    async def test_any_string_is_listed_as_it_is(self, cache: Cache, key: str) -> None:
        await cache.set(key, 1)
        assert await cache.keys() == [key]

    @pytest.mark.parametrize(
        ("pattern", "left"),
        [
            ("user:*", {"a.b:1", "aXb:1", "other"}),
            ("a.b:*", {"user:1", "user:12", "aXb:1", "other"}),
            ("user:?", {"user:12", "a.b:1", "aXb:1", "other"}),
            ("a[!.]b:1", {"user:1", "user:12", "a.b:1", "other"}),
            ("*:1", {"user:12", "other"}),
            ("nothing*", {"user:1", "user:12", "a.b:1", "aXb:1", "other"}),
        ],
    )
    async def test_a_glob_means_the_same_everywhere(self, cache: Cache, pattern: str, left: set[str]) -> None:
        keys = ["user:1", "user:12", "a.b:1", "aXb:1", "other"]
        await cache.set_many(dict.fromkeys(keys, 1))
        await cache.invalidate_glob(pattern)
        assert set(await cache.get_many(keys)) == left

    async def test_a_regular_expression_is_matched_from_the_beginning(self, cache: Cache) -> None:
        keys = ["user:1", "user:x", "superuser:1", "shop:1"]
        await cache.set_many(dict.fromkeys(keys, 1))
        await cache.invalidate_regex(r"user:\d")
        assert set(await cache.get_many(keys)) == {"user:x", "superuser:1", "shop:1"}
        await cache.invalidate_regex("user|shop")
        assert set(await cache.get_many(keys)) == {"superuser:1"}

    async def test_keys_can_be_looked_at(self, cache: Cache) -> None:
        await cache.set_many({"a": 1, "b": 2, "c": 3})
        assert sorted(await cache.keys()) == ["a", "b", "c"]
        assert len(await cache.keys(limit=2)) == 2
        await cache.clear()
        assert await cache.keys() == []

    async def test_cleaning_up_removes_what_is_over(self, cache: Cache, pass_time: PassTime) -> None:
        await cache.set_many({"a": 1, "b": 2}, ttl=0.05)
        await cache.set("c", 3, ttl=60)
        await pass_time(0.06)
        await cache.cleanup()
        assert await cache.keys() == ["c"]
        assert await cache.get("c") == 3
