"""Globs and regular expressions over keys, with one meaning in every tier.

Redis' own globs differ from Python's in details, so a server is only ever asked for a literal prefix, and
what it lists is matched here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_REGEX_SIGNS = frozenset(".^$*+?{}[]\\|()")
_QUANTIFIERS = frozenset("*+?{")


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """A pattern that was understood.

    Attributes:
        kind: ``glob`` or ``regex``.
        source: What was given.
        prefix: Text every matching key begins with; may be empty.
        expression: Matches keys.
    """

    kind: str
    source: str
    prefix: str
    expression: re.Pattern[str]

    def __call__(self, key: str) -> bool:
        """Whether the key matches."""
        return self.expression.match(key) is not None


def pattern_of(kind: str, source: str) -> KeyPattern:
    """Return the pattern of a kind, ``glob`` or ``regex``; for what came over a wire.

    Raises:
        ValueError: There is no such kind, or the pattern cannot be read.
    """
    if kind == "glob":
        return glob(source)
    if kind == "regex":
        return regex(source)
    raise ValueError(f"{kind!r} is no kind of pattern: use 'glob' or 'regex'")


@lru_cache(maxsize=256)
def glob(source: str) -> KeyPattern:
    """Understand a shell pattern: ``*``, ``?``, ``[a-z]``, ``[!a]``; a backslash quotes the next sign."""
    if not isinstance(source, str) or not source:
        raise ValueError("a glob is a non-empty string; use clear() to invalidate everything")
    parts: list[str] = []
    prefix = ""
    literal_so_far = True
    rest = source
    while rest:
        text, width, literal = _next_of_glob(rest)
        literal_so_far = literal_so_far and literal is not None
        if literal_so_far and literal is not None:
            prefix += literal
        parts.append(text)
        rest = rest[width:]
    try:
        return KeyPattern("glob", source, prefix, re.compile("(?s:" + "".join(parts) + r")\Z"))
    except re.error as error:
        raise ValueError(f"{source!r} is no glob: {error}") from error


def _next_of_glob(rest: str) -> tuple[str, int, str | None]:
    """Return the expression, how many signs it took, and the sign itself if it stands for itself."""
    sign = rest[0]
    if sign == "*":
        return ".*", 1, None
    if sign == "?":
        return ".", 1, None
    if sign == "\\" and len(rest) > 1:
        return re.escape(rest[1]), 2, rest[1]
    if sign == "[" and (end := rest.find("]", 3 if rest[1:2] in {"!", "^"} else 2)) > 0:
        return _class_of(rest[1:end]), end + 1, None
    return re.escape(sign), 1, sign


def _class_of(body: str) -> str:
    negated = body[0] in "!^"
    inside = "".join(f"\\{sign}" if sign in "\\[]^&~|" else sign for sign in body[negated:])
    return f"[{'^' if negated else ''}{inside.replace('--', '-' + chr(92) + '-')}]"


@lru_cache(maxsize=256)
def regex(source: str) -> KeyPattern:
    """Understand a regular expression, matched from the beginning of the key.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(source, str) or not source:
        raise ValueError("a regular expression is a non-empty string; use clear() to invalidate everything")
    try:
        expression = re.compile(source)
    except re.error as error:
        raise ValueError(f"{source!r} is no regular expression: {error}") from error
    return KeyPattern("regex", source, _prefix_of_regex(source), expression)


def _prefix_of_regex(source: str) -> str:
    if "|" in source or "(?" in source:
        return ""  # an alternative or a flag may change what the beginning means
    body = source[1:] if source.startswith("^") else source
    prefix = ""
    for sign in body:
        if sign in _REGEX_SIGNS:
            return prefix[:-1] if sign in _QUANTIFIERS else prefix
        prefix += sign
    return prefix
