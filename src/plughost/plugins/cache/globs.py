"""Shell patterns as programs of an automaton."""

from __future__ import annotations

import re
from typing import Final

from plughost.plugins.cache.automaton import Automaton, Move, PatternProgram, Test

_SPECIAL_IN_CLASS: Final = "\\[]^&~|"


def read_glob(source: str) -> tuple[str, Automaton | None]:
    """Return the text every matching key begins with, and what runs over the rest; None when anything may follow.

    ``*``, ``?``, ``[a-z]``, ``[!a]``; a backslash quotes the next sign.

    Raises:
        ValueError: It is none, or it is too long.
    """
    signs: list[str] = []  # those at the beginning that stand for themselves
    at = 0
    while at < len(source) and source[at] not in "*?":
        if source[at] == "\\" and at + 1 < len(source):
            signs.append(source[at + 1])
            at += 2
        elif source[at] == "[" and _class_end(source, at):
            break
        else:
            signs.append(source[at])
            at += 1
    prefix = "".join(signs)
    if source[at:] and not source[at:].strip("*"):
        return prefix, None
    program = PatternProgram()
    while at < len(source):
        if source[at] == "*":
            here = len(program.steps)
            if not here or program.steps[-1].then != (here - 2,):  # two stars say no more than one
                program.add(Move(then=(here + 1, here + 2)))
                program.add(Move(then=(here,), test=_any))
            at += 1
            continue
        test, at = _one(source, at)
        program.add(Move(then=(len(program.steps) + 1,), test=test))
    end = program.add(Move(where="end", then=(len(program.steps) + 1,)))
    program.add(Move(accepts=True))
    return prefix, Automaton(program.steps, 0 if program.steps else end)


def _one(source: str, at: int) -> tuple[Test, int]:
    """Return what one sign of the key has to be, and where the pattern goes on."""
    sign = source[at]
    if sign == "?":
        return _any, at + 1
    if sign == "\\" and at + 1 < len(source):
        return source[at + 1].__eq__, at + 2
    end = _class_end(source, at) if sign == "[" else 0
    if end:
        try:
            body = source[at + 1 : end]
            negated = body[0] in "!^"
            inside = "".join(f"\\{sign}" if sign in _SPECIAL_IN_CLASS else sign for sign in body[negated:])
            pattern = f"[{'^' if negated else ''}{inside.replace('--', '-' + chr(92) + '-')}]"
            return re.compile(pattern, re.DOTALL).match, end + 1
        except re.error as error:
            raise ValueError(f"{source[at : end + 1]!r} is not a class of signs: {error}") from None
    return sign.__eq__, at + 1


def _any(sign: str) -> bool:
    return True


def _class_end(source: str, at: int) -> int:
    """Where the class of signs that may begin at ``at`` ends; 0 when it is none."""
    negated = source[at + 1 : at + 2] in {"!", "^"}
    return max(0, source.find("]", at + (3 if negated else 2)))
