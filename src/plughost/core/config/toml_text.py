"""TOML from files: whatever is wrong with the text is one kind of error, and no text takes more than a pass or two.

``tomllib`` works with the square of the parts of a dotted key, calls itself for each level of brackets, and lets
other errors through than its own.
"""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

MOST_PARTS: Final = 64
"""Parts of one key, and levels of brackets."""

# What brackets and dots mean nothing in. Each way of it matches where it has begun, closed or not: none is tried twice.
_STRINGS_AND_COMMENTS = re.compile(
    r'"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\\?\Z)'
    r"|'''(?:[^']|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.)*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+",
    re.DOTALL,
)
_LONG_KEY = re.compile(rf"(?:\.[^.\n=\[\]{{}},]*+){{{MOST_PARTS}}}")
_BRACKETS = re.compile(r"[\[\]{}]")


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a text.

    Raises:
        ValueError: It is not TOML, or a key or a value of it is nested deeper than anybody needs.
    """
    bare = _STRINGS_AND_COMMENTS.sub("_", text)
    if _LONG_KEY.search(bare):
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    depth = 0
    for bracket in _BRACKETS.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_PARTS:
            raise ValueError(f"a value nests more than {MOST_PARTS} levels")
    return tomllib.loads(text)
