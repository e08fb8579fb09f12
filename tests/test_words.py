"""What people read is plain English: turns that strangers stumble over stay out of messages, help and pages."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from plughost.contracts.counting import counted

ROOT = Path(__file__).parent.parent
TEXTS = [
    path
    for room in ("src", "docs", "example_plugins")
    for path in sorted((ROOT / room).rglob("*"))
    if path.suffix in {".py", ".md", ".toml", ".jinja", ".html", ".yml"}
    and not {"_build", "admin"} & {*path.parts}
]
STUMBLES = {
    "say 'is not a'": r"(?<![Tt]here )(?<!means )(?<!that )\b(is|was) no "
    r"(?!longer|more|matter|reason|such|way|answer|hit|trend|\w+ing\b)\w+",
    "say 'the state of'": r"\bbecame of every\b",
    "say 'in time' of what was done": r"\bto be had in time\b",
    "say 'like any other'": r"\blike anybody's\b",
    "say 'messages on stderr'": r"\btalk (goes )?(on|to) standard error\b",
    "count, then choose the plural": r"[a-z]\((s|es)\) [a-z]+\b(?! in)",
    "say 'repair'": r"\bmend(ed)? (what can|the plugins)\b",
    "say 'grant access'": r"\b[Ll]et somebody in\b",
    "say 'built on pluggy'": r"\bpluggy-centric\b",
    "say 'the state of each'": r"\bwhat became of (all|each)\b",
    "say what it is not": r"\b(url|URL|address|name|fields|bytes) (is|are) none\b",
}


@pytest.mark.parametrize("advice", STUMBLES)
def test_no_text_has_a_turn_that_strangers_stumble_over(advice: str) -> None:
    assert len(TEXTS) > 300
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in TEXTS
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if re.search(STUMBLES[advice], line)
    ]
    assert found == [], advice


@pytest.mark.parametrize(("number", "said"), [(0, "0 plugins"), (1, "1 plugin"), (2, "2 plugins")])
def test_a_number_and_its_noun_agree(number: int, said: str) -> None:
    assert counted(number, "plugin") == said


NAMES = ("Redis ", "SQLite ", "PostgreSQL ", "Expected ")
"""Words that begin with a capital wherever they stand; the last as msgspec writes it."""


@cache
def _said() -> tuple[tuple[str, str, str], ...]:
    """Place, function and text of every call that is handed a text first; what varies in the text is left as {}."""
    found = []
    for path in TEXTS:
        if path.suffix != ".py" or {"template", "tests"} & {*path.parts}:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                parts = getattr(node.args[0], "values", [node.args[0]])
                texts = [getattr(one, "value", None) for one in parts]
                if any(isinstance(one, str) for one in texts):
                    owner = getattr(node.func, "value", None)
                    called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    whose = getattr(owner, "attr", getattr(owner, "id", ""))
                    text = "".join(one if isinstance(one, str) else "{}" for one in texts)
                    found.append((f"{path.relative_to(ROOT)}:{node.lineno}", f"{whose}.{called}", text))
    return tuple(found)


def _begins_small(text: str) -> bool:
    return not text[0].isupper() or text.startswith(NAMES) or text.split()[0].isupper()


def test_a_line_of_the_log_is_a_sentence_that_begins_small_and_has_no_full_stop() -> None:
    levels = re.compile(r"\w*log\.(debug|info|warning|error|exception)")
    lines = [(place, text) for place, called, text in _said() if levels.fullmatch(called)]
    assert len(lines) > 100
    assert [
        line for line in lines if " " not in line[1] or not _begins_small(line[1]) or line[1].endswith(".")
    ] == []


def test_the_text_of_an_error_begins_small_and_has_no_full_stop() -> None:
    kinds = re.compile(r"\w*\.(?!Usage)[A-Z]\w*Error")
    errors = [(place, text) for place, called, text in _said() if kinds.fullmatch(called) and " " in text]
    assert len(errors) > 400
    assert [one for one in errors if not _begins_small(one[1]) or one[1].endswith(".")] == []
