"""Patterns from strangers: they mean what Python's mean, and cost a bounded number of steps for each sign of a key."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from plughost.plugins.cache.patterns import KeyPattern, glob, regex

HOSTILE: list[tuple[Callable[[str], KeyPattern], str]] = [
    (regex, "(a+)+$"),
    (regex, "(a|aa)+b"),
    (regex, "(?:a*)*b"),
    (regex, "(.*a){20}b"),
    (regex, "a?" * 50 + "a" * 50 + "b"),
    (glob, "*a" * 30 + "*b"),
    (glob, "*?" * 100 + "b"),
    (glob, "*[a-c]" * 40 + "!"),
]


def lines_run(pattern: KeyPattern, text: str) -> int:
    """How many lines of Python deciding takes; a steadier measure than a clock."""
    count = 0

    def note(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal count
        count += event == "line"
        return note

    sys.settrace(note)
    try:
        pattern(text)
    finally:
        sys.settrace(None)
    return count


@pytest.mark.parametrize(("read", "source"), HOSTILE, ids=[source[:20] for _, source in HOSTILE])
def test_a_hostile_pattern_costs_the_same_for_each_sign_of_a_long_key(
    read: Callable[[str], KeyPattern], source: str
) -> None:
    pattern = read(source)
    short = lines_run(pattern, "a" * 1_000)
    long = lines_run(pattern, "a" * 100_000)
    assert long <= 100 * short


def test_a_megabyte_is_decided_in_a_few_steps_for_each_sign() -> None:
    assert lines_run(regex("(a+)+$"), "a" * 1_000_000 + "b") <= 20_000_000


@pytest.mark.parametrize("read", [glob, regex])
@pytest.mark.parametrize("source", ["a" * 1_000_000, "*" + "a?" * 3000])
def test_a_pattern_longer_than_any_key_is_refused_at_once(
    read: Callable[[str], KeyPattern], source: str
) -> None:
    with pytest.raises(ValueError, match=r"at most|longer|repeat"):
        read(source)


@pytest.mark.parametrize("source", ["((a{100}){100}){100}", "((){500}){500}", "(" * 60 + "a" + ")" * 60])
def test_a_pattern_that_unfolds_into_too_many_steps_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match="is not taken"):
        regex(source)


@pytest.mark.parametrize("source", [r"(a)\1", "a(?=b)", "a(?!b)", "(?<=a)b", r"\bword", "a*+b", "(?>a+)b"])
def test_what_cannot_be_done_in_one_pass_is_refused_in_words(source: str) -> None:
    with pytest.raises(ValueError, match=r"is not taken|not a regular expression"):
        regex(source)


@pytest.mark.parametrize(
    "source",
    [
        r"user:\d+",
        "^a(b|c)*d$",
        r"(?i)User:[a-f]{2,3}",
        "(?:ab){2,}",
        "[^]x]+$",
        r"a\.b\Z",
        "x{,2}y",
        "|a",
        "a??b",
    ],
)
def test_a_regular_expression_means_what_it_means_to_python(source: str) -> None:
    keys = [
        "user:12",
        "USER:ab",
        "abcbd",
        "abab",
        "ababab",
        "a.b",
        "a.b\n",
        "acd\n",
        "y",
        "xxy",
        "]",
        "",
        "q",
        "ab",
    ]
    assert [regex(source)(key) for key in keys] == [re.match(source, key) is not None for key in keys]


def test_a_glob_takes_the_whole_key() -> None:
    assert [glob("u?er:*:[a-c]")(key) for key in ("user:1:a", "user:1:d", "user::c", "xuser:1:a")] == [
        True, False, True, False,
    ]  # fmt: skip
    assert glob(r"a\*b")("a*b")
    assert not glob(r"a\*b")("axb")
    assert glob("user:*")("user:\n1")
