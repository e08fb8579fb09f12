"""Eviction policies: what they keep, alone and beside cachetools' own."""

from __future__ import annotations

import random
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plughost.plugins.cache.policies import LRUCache, S3FIFOCache

STEPS = st.lists(st.tuples(st.sampled_from("gsdp"), st.sampled_from("abcdefg")), max_size=60)


@given(steps=STEPS, size=st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_lru_is_cachetools_lru(steps: list[tuple[str, str]], size: int) -> None:
    ours: Any = LRUCache(size)
    theirs: Any = cachetools.LRUCache(size)
    for number, (step, key) in enumerate(steps):
        for cache in (ours, theirs):
            if step == "s":
                cache[key] = number
            elif step == "d":
                cache.pop(key, None)
            elif step == "p" and len(cache):
                cache.popitem()
        if step == "g":
            assert ours.get(key) == theirs.get(key)
        assert set(ours) == set(theirs)
        assert (len(ours), ours.currsize, ours.maxsize) == (len(theirs), theirs.currsize, theirs.maxsize)


@given(steps=STEPS, size=st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_s3fifo_never_holds_too_many_nor_what_was_removed(steps: list[tuple[str, str]], size: int) -> None:
    cache: Any = S3FIFOCache(size)
    model: dict[str, int] = {}
    cache.on_evict = lambda key, entry: model.pop(key)
    for number, (step, key) in enumerate(steps):
        if step == "s":
            cache[key] = number
            model[key] = number
        elif step == "g":
            assert cache.get(key) == model.get(key)
        elif step == "d":
            assert cache.pop(key, None) == model.pop(key, None)
        elif len(cache):
            gone, value = cache.popitem()
            assert model.pop(gone) == value
        assert {key: cache.peek(key).value for key in cache} == model
        assert len(cache) == len(model) <= size
        assert len(cache._small) + len(cache._main) <= 2 * size + 32


@pytest.mark.parametrize("policy", [LRUCache, S3FIFOCache])
def test_a_policy_is_a_mapping(policy: Any) -> None:
    cache = policy(2)
    cache["a"] = 1
    assert cache["a"] == 1
    assert "a" in cache
    assert "b" not in cache
    with pytest.raises(KeyError):
        cache["b"]
    with pytest.raises(KeyError):
        del cache["b"]
    with pytest.raises(KeyError):
        policy(1).popitem()
    for wrong in (0, -1):
        with pytest.raises(ValueError, match="maxsize"):
            policy(wrong)
    cache.clear()
    assert list(cache) == []
    assert "maxsize=2" in repr(cache)


def test_a_scan_washes_nothing_out_of_s3fifo() -> None:
    dice = random.Random(1)  # noqa: S311 # a trace, not a secret
    ratios = {}
    for policy in (LRUCache, S3FIFOCache):
        cache: Any = policy(100)
        hits = asked = 0
        for number in range(20_000):
            key = f"hot{dice.randrange(80)}" if dice.random() < 0.5 else f"scan{number}"
            if key.startswith("hot"):
                asked += 1
                hits += key in cache
            if cache.get(key) is None:
                cache[key] = 1
        ratios[policy] = hits / asked
    assert ratios[S3FIFOCache] > 0.95
    assert ratios[S3FIFOCache] > ratios[LRUCache] + 0.2


def test_what_is_used_often_survives_what_is_used_once() -> None:
    cache: Any = S3FIFOCache(10)
    for number in range(5):
        cache[f"hot{number}"] = 1
    for _ in range(3):
        for number in range(5):
            assert cache.get(f"hot{number}") == 1
    for number in range(200):
        cache[f"cold{number}"] = 1
    assert all(f"hot{number}" in cache for number in range(5))
