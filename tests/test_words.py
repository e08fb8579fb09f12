"""What people read is plain English: turns that strangers stumble over stay out of messages, help and pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from plughost.cli.tables import counted

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
    "say 'messages on stderr'": r"\btalk on standard error\b",
    "count, then choose the plural": r"[a-z]\((s|es)\) [a-z]+\b(?! in)",
    "say 'repair'": r"\bmend(ed)? (what can|the plugins)\b",
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
