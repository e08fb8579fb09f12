"""Globs and regular expressions over keys, with one meaning in every tier.

Redis' own globs differ from Python's in details, so a server is only ever asked for a literal prefix, and
what it lists is matched here, at a cost that is bounded for each sign of a key (see ``automaton``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from plughost.plugins.cache.automaton import Automaton
from plughost.plugins.cache.expressions import read_regex
from plughost.plugins.cache.globs import read_glob

_LONGEST: Final = 8192
"""Signs of the longest pattern: each sign of the longest key, quoted."""

_REGEX_SIGNS = frozenset(".^$*+?{}[]\\|()")
_QUANTIFIERS = frozenset("*+?{")


@dataclass(frozen=True, slots=True)
class KeyPattern:
    """A pattern that was understood.

    Attributes:
        kind: ``glob`` or ``regex``.
        source: What was given.
        prefix: Text every matching key begins with; may be empty.
        automaton: Decides on what begins with it; None when all of that matches.
        skips: Whether the automaton reads only what comes after the prefix.
    """

    kind: str
    source: str
    prefix: str = field(compare=False)
    automaton: Automaton | None = field(compare=False)
    skips: bool = field(compare=False)

    def __call__(self, key: str) -> bool:
        """Whether the key matches."""
        if not key.startswith(self.prefix):
            return False
        if self.automaton is None:
            return True
        return self.automaton.matches(key[len(self.prefix) :] if self.skips else key)


def pattern_of(kind: str, source: str) -> KeyPattern:
    """Return the pattern of a kind, ``glob`` or ``regex``; for what came over a wire.

    Raises:
        ValueError: There is no such kind, or the pattern cannot be read.
    """
    if kind == "glob":
        return glob(source)
    if kind == "regex":
        return regex(source)
    raise ValueError(f"{kind!r} is not a kind of pattern: use 'glob' or 'regex'")


def glob(source: str) -> KeyPattern:
    """Understand a shell pattern: ``*``, ``?``, ``[a-z]``, ``[!a]``; a backslash quotes the next sign.

    Raises:
        ValueError: It is none, or it is too long.
    """
    return _glob(_checked(source, "a glob"))


def regex(source: str) -> KeyPattern:
    """Understand a regular expression, matched from the beginning of the key.

    Raises:
        ValueError: It is none, it is too long, or it cannot be matched in one pass over the key.
    """
    return _regex(_checked(source, "a regular expression"))


def _checked(source: object, what: str) -> str:
    if not isinstance(source, str) or not source:
        raise ValueError(f"{what} is a non-empty string; use clear() to invalidate everything")
    if len(source) > _LONGEST:
        raise ValueError(f"{what} has at most {_LONGEST} signs, not {len(source)}")
    return source


@lru_cache(maxsize=64)
def _glob(source: str) -> KeyPattern:
    try:
        prefix, automaton = read_glob(source)
    except ValueError as error:
        raise ValueError(f"{source!r} is not a glob: {error}") from None
    return KeyPattern("glob", source, prefix, automaton, skips=True)


@lru_cache(maxsize=64)
def _regex(source: str) -> KeyPattern:
    prefix = ""
    if "|" not in source and "(?" not in source:  # these may change what the beginning means
        for sign in source.removeprefix("^"):
            if sign in _REGEX_SIGNS:
                prefix = prefix[:-1] if sign in _QUANTIFIERS else prefix
                break
            prefix += sign
    return KeyPattern("regex", source, prefix, read_regex(source), skips=False)
