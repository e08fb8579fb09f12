"""One question has one key, and two have two."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plughost_tmdb.questions import KINDS, QuestionError, question

GOOD = {
    "language": ["de-DE", "fr", "en-US"], "page": ["1", "2", "500"],
    "sort_by": ["vote_average.desc", "popularity.desc"],
    "with_genres": ["18", "18,35", "18|35"], "vote_average.gte": ["7", "7.5"], "region": ["DE"], "year": ["1999"],
    "include_adult": ["true", "false"], "release_date.lte": ["2026-11-28"],
}  # fmt: skip
PARAMS = st.fixed_dictionaries({}, optional={name: st.sampled_from(values) for name, values in GOOD.items()})


@given(PARAMS, st.randoms())
def test_the_order_of_parameters_does_not_matter(params: dict[str, str], chance: random.Random) -> None:
    shuffled = list(params.items())
    chance.shuffle(shuffled)
    assert question("discover/movie", params).key == question("discover/movie", dict(shuffled)).key


@given(PARAMS, PARAMS)
def test_other_parameters_are_another_question(one: dict[str, str], other: dict[str, str]) -> None:
    defaults = {"language": "en-US", "page": "1", "include_adult": "false", "sort_by": "popularity.desc"}
    same = defaults | one == defaults | other
    assert (question("discover/movie", one).key == question("discover/movie", other).key) == same


@given(PARAMS)
def test_what_is_written_canonically_is_written_so_again(params: dict[str, str]) -> None:
    once = question("discover/movie", params)
    assert question("discover/movie", once.params) == once


@settings(max_examples=40)
@given(st.text(max_size=20), st.text(max_size=20))
def test_two_searches_have_one_key_only_if_their_words_are_the_same(one: str, other: str) -> None:
    try:
        first, second = question("search/movie", {"query": one}), question("search/movie", {"query": other})
    except QuestionError:
        return
    assert (first.key == second.key) == (first.params["query"] == second.params["query"])
    assert "&" not in first.key.partition("?")[2]


@given(st.text(max_size=40), st.dictionaries(st.text(max_size=20), st.text(max_size=20), max_size=3))
def test_whatever_is_asked_is_a_question_or_refused(path: str, params: dict[str, str]) -> None:
    try:
        found = question(path, params)
    except QuestionError:
        return
    assert found.key.isascii()


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("search/movie", {"query": "  a   b "}, {"query": "a b"}),
        ("search/movie", {"query": "a", "page": "01"}, {"query": "a"}),
        ("search/tv", {"query": "e\u0301"}, {"query": "\u00e9"}),
        ("discover/tv", {"with_genres": "35,18,18"}, {"with_genres": "18,35"}),
        ("discover/tv", {"with_genres": "35|18"}, {"with_genres": "18|35"}),
        ("movie/550", {"append_to_response": "videos,credits"}, {"append_to_response": "credits,videos"}),
        ("trending/all/day", {"language": "en-US"}, {}),
        ("discover/movie", {"include_adult": "False", "sort_by": "popularity.desc"}, {}),
    ],
)
def test_what_means_the_same_has_one_key(path: str, one: dict[str, str], other: dict[str, str]) -> None:
    assert question(path, one).key == question(path, other).key


def test_and_is_not_or() -> None:
    both, either = ({"with_genres": text} for text in ("18,35", "18|35"))
    assert question("discover/tv", both).key != question("discover/tv", either).key


@pytest.mark.parametrize(
    ("path", "params", "parameter"),
    [
        ("movie/550", {"api_key": "x"}, "api_key"), ("movie/550", {"page": "1"}, "page"), ("search/movie", {}, "query"),
        ("search/movie", {"query": " "}, "query"), ("search/movie", {"query": "x" * 201}, "query"),
        ("trending/all/day", {"page": "0"}, "page"), ("trending/all/day", {"page": "501"}, "page"),
        ("trending/all/day", {"page": "\u0661"}, "page"), ("trending/all/day", {"language": "deutsch"}, "language"),
        ("movie/550", {"append_to_response": ",".join(map("x".__mul__, range(1, 23)))}, "append_to_response"),
        ("discover/movie", {"with_genres": "18,35|7"}, "with_genres"), ("configuration", {"page": "1"}, "page"),
        ("discover/tv", {"with_cast": "1"}, "with_cast"), ("trending/all/year", {}, ""), ("movie/0", {}, ""),
        ("movie/550/credits", {}, ""), ("../admin", {}, ""), ("account", {}, ""),
    ],
)  # fmt: skip
def test_what_is_not_served_is_refused_by_its_name(path: str, params: dict[str, str], parameter: str) -> None:
    with pytest.raises(QuestionError) as caught:
        question(path, params)
    assert caught.value.parameter == parameter


def test_nothing_is_kept_longer_than_the_terms_allow() -> None:
    half_a_year = 180 * 86_400
    assert all(4 * kind.ttl + kind.stale_for <= half_a_year for kind in KINDS)
