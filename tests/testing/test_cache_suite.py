"""The contract suite for cache backends passes a good cache, and finds each of the faults that are planted here."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from .planted_faults import GOOD, Faults, failures

PRELUDE = """
import inspect
import re

import anyio
import pytest

from plughost.plugins.cache.cache import NamedCache
from plughost.plugins.cache.manager import NamedCaches
from plughost.testing import CacheBackendSuite, FakeClock

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
def clock():
    return FakeClock()

async def loaded(loader):
    value = loader()
    return await value if inspect.isawaitable(value) else value

class Good(NamedCache):
    pass
"""

CASE = """
{source}

class Test{name}(CacheBackendSuite):
    @pytest.fixture
    async def cache(self, clock):
        async with NamedCaches(clock=clock) as caches:
            cache = caches.get("suite")
            cache.__class__ = {name}
            yield cache

    @pytest.fixture
    def pass_time(self, clock):
        return clock.advance
"""

FAULTS: Faults = {
    "ForgetsTheTtl": (
        "test_a_value_ends_with_its_ttl",
        """
    async def set(self, key, value, ttl=None, tags=()):
        return await super().set(key, value, None, tags)""",
    ),
    "SharesItsValues": (
        "test_what_the_caller_changes_later_is_not_changed_in_the_cache",
        """
    shared = {}
    async def set(self, key, value, ttl=None, tags=()):
        self.shared[key] = value
        return await super().set(key, value, ttl, tags)
    async def get(self, key, default=None):
        found = await super().get(key, default)
        return self.shared.get(key, found)""",
    ),
    "ForgetsTypes": (
        "test_nested_values_keep_their_types",
        """
    async def get(self, key, default=None):
        found = await super().get(key, default)
        return {name: list(one) if isinstance(one, tuple) else one for name, one in found.items()}""",
    ),
    "AlwaysDeletes": (
        "test_delete_says_whether_something_was_there",
        """
    async def delete(self, key):
        await super().delete(key)
        return True""",
    ),
    "TakesAnyKey": (
        "test_a_key_is_a_string",
        """
    async def get(self, key, default=None):
        return await super().get(str(key), default)""",
    ),
    "TakesNoneForMissing": (
        "test_none_is_a_value",
        """
    async def get_or_set(self, key, loader, **options):
        found = await super().get_or_set(key, loader, **options)
        return await loaded(loader) if found is None else found""",
    ),
    "LoadsForEachCaller": (
        "test_a_hundred_callers_wait_for_one_load",
        """
    async def get_or_set(self, key, loader, **options):
        if (found := await self.get(key)) is not None:
            return found
        value = await loaded(loader)
        await self.set(key, value)
        return value""",
    ),
    "StoresAfterAnInvalidation": (
        "test_an_invalidation_wins_over_a_load_in_flight",
        """
    async def get_or_set(self, key, loader, **options):
        value = await super().get_or_set(key, loader, **options)
        await self.set(key, value)
        return value""",
    ),
    "KnowsNoTags": (
        "test_a_tag_reaches_its_entries_and_no_others",
        """
    async def invalidate_tag(self, *tags):
        return 0""",
    ),
    "ClearsForATag": (
        "test_a_tag_reaches_its_entries_and_no_others",
        """
    async def invalidate_tag(self, *tags):
        await self.clear()
        return 1""",
    ),
    "TakesGlobsForPrefixes": (
        "test_a_glob_means_the_same_everywhere",
        """
    async def invalidate_glob(self, pattern):
        return await self.invalidate_regex(re.escape(pattern.partition("*")[0]) + ".*")""",
    ),
    "SearchesForExpressions": (
        "test_a_regular_expression_is_matched_from_the_beginning",
        """
    async def invalidate_regex(self, pattern):
        return await super().invalidate_regex(".*" + pattern)""",
    ),
    "CountsInTwoSteps": (
        "test_concurrent_increments_all_count",
        """
    async def increment(self, key, by=1, ttl=None):
        value = (await self.get(key, 0)) + by
        await anyio.sleep(0)
        await self.set(key, value)
        return value""",
    ),
    "WritesThroughTooEarly": (
        "test_a_failed_write_leaves_nothing_cached",
        """
    async def write_through(self, key, value, writer, **options):
        await self.set(key, value)
        await loaded(lambda: writer(value))
        return value""",
    ),
    "LosesMembers": (
        "test_a_set_has_members",
        """
    async def set_members(self, key):
        return frozenset(list(await super().set_members(key))[1:])""",
    ),
    "CountsNoMisses": (
        "test_statistics_count_what_happened",
        """
    def _miss(self, key):
        pass""",
    ),
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, set[str]]:
    """Name of each case -> the tests of the suite that failed for it."""
    cases = [CASE.format(source="", name=GOOD)]
    for name, (_, body) in FAULTS.items():
        cases.append(CASE.format(source=f"class {name}(Good):{body}\n", name=name))
    return failures(tmp_path_factory.mktemp("suite"), "\n".join([PRELUDE, *cases]), FAULTS)


def test_a_good_cache_passes(failed: Mapping[str, set[str]]) -> None:
    assert failed[GOOD] == set()


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(failed: Mapping[str, set[str]], name: str) -> None:
    assert failed[name] == {FAULTS[name][0]}
