"""Numbers before nouns: one of a thing is told as one, on every page and in every sentence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import plughost
from plughost.contracts import CacheStats, PluginRecord, PluginState, counted
from plughost.plugins.admin.advice import about_caches, about_plugins, about_sessions

PLUGINS = Path(plughost.__file__).parent / "plugins"
VERBS = {"has"}


@pytest.mark.parametrize(
    ("number", "noun", "many", "said"),
    [(1, "restart", "", "1 restart"), (2, "restart", "", "2 restarts"), (0, "restart", "", "0 restarts"),
     (1, "entry", "entries", "1 entry"), (0, "entry", "entries", "0 entries"), (2, "is", "are", "2 are")],
)  # fmt: skip
def test_a_noun_goes_with_its_number(number: int, noun: str, many: str, said: str) -> None:
    assert counted(number, noun, many) == said


@pytest.mark.parametrize("number", [1, 2])
def test_advice_about_one_thing_is_about_one_thing(number: int) -> None:
    lamp = PluginRecord(name="lamp", state=PluginState.DEGRADED, restarts=number)
    crowded = CacheStats(
        name="films", hits=1, misses=99, load_errors=number, refused=number, evicted={"size": number}
    )
    late = CacheStats(name="shows", hits=1, misses=99, expired=number)
    told = [*about_plugins([lamp]), *about_caches({"films": crowded, "shows": late}, {}),
            *about_sessions(1, 0, number, None)]  # fmt: skip
    text = " ".join(each.text for each in told)
    one, two = (
        [
            "restarted 1 time;",
            "1 load failed",
            "1 value was",
            "1 entry had",
            "1 entry was past its",
            "1 time:",
        ],
        [
            "restarted 2 times;",
            "2 loads failed",
            "2 values were",
            "2 entries had",
            "2 entries were past their",
        ],
    )
    assert [words for words in (one if number == 1 else two) if words not in text] == []


@pytest.mark.parametrize("page", sorted(PLUGINS.rglob("*.html")), ids=lambda page: page.name)
def test_no_page_puts_a_plural_behind_a_number_by_hand(page: Path) -> None:
    behind = re.findall(r'(?:\}\}(?:</\w+>)?|~ ") ([a-z]+s)\b', page.read_text("utf-8"))
    assert [word for word in behind if word not in VERBS] == []
