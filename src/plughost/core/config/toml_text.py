"""TOML from files: whatever is wrong with the text is one kind of error, and no text takes more than a pass or two.

``tomllib`` works with the square of the parts of a dotted key, calls itself for each level of brackets, and lets
other errors through than its own.
"""

from __future__ import annotations

import re
from typing import Any, Final

MOST_PARTS: Final = 64
"""Parts of one key, and levels of brackets."""

# What brackets and dots mean nothing in. Each way of it matches where it has begun, closed or not: none is tried twice.
# No group repeats possessively, which CPython gets wrong in its early 3.11.
_STRINGS_AND_COMMENTS: Final = (
    r'(?s)"""(?:[^"\\]++|\\.|"(?!""))*(?:"""|\\?\Z)'
    r"|'''(?:[^']++|'(?!''))*(?:'''|\Z)"
    r'|"(?:[^"\\\n]++|\\.)*"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
)
_LONG_KEY: Final = rf"(?:\.[^.\n=\[\]{{}},]*+){{{MOST_PARTS}}}"
_BRACKETS: Final = r"[\[\]{}]"


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a text.

    Raises:
        ValueError: It is not TOML, or a key or a value of it is nested deeper than anybody needs.
    """
    import tomllib  # late, as the patterns are compiled late: without a file there is nothing to read

    bare = re.sub(_STRINGS_AND_COMMENTS, "_", text)
    if re.search(_LONG_KEY, bare):
        raise ValueError(f"a key has more than {MOST_PARTS} parts")
    depth = 0
    for bracket in re.findall(_BRACKETS, bare):
        depth += 1 if bracket in "[{" else -1
        if depth > MOST_PARTS:
            raise ValueError(f"a value nests more than {MOST_PARTS} levels")
    return tomllib.loads(text)
