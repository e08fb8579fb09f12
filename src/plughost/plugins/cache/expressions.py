"""Regular expressions as programs of an automaton.

What a key has to look like can be said without looking back or ahead, so back references, look-arounds and other
things that no automaton can do are refused in words, and with them all patterns that could take for ever.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from typing import Final

from plughost.plugins.cache.automaton import MOST_STEPS, Automaton, Move, PatternProgram, Test, Where

_DEEPEST: Final = 50
_FLAGS: Final = re.compile(r"\(\?([aius]+)\)")
_CLASS: Final = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_ESCAPE: Final = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[^}]*\}|0[0-7]{0,2}|[1-3][0-7]{2}|.)", re.DOTALL
)
_REPEAT: Final = re.compile(r"(?:([*+?])|\{(?=[\d,])(\d*)(,?)(\d*)\})([?+]?)")
_GROUP: Final = re.compile(r"\((?:\?:|\?P<\w+>|(?!\?))")
_PLACES: Final[dict[str, Where]] = {"^": "start", "$": "line end", r"\A": "start", r"\Z": "end"}

Emit = Callable[[int], int]
"""Adds steps that go on with the step of that number; returns the number of their first."""


def _compiled(source: str, flags: int = 0) -> re.Pattern[str]:
    """Compile what a stranger wrote, without a word about what later versions of Python may read otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(source, flags)


def read_regex(source: str) -> Automaton:
    """Understand a regular expression.

    Raises:
        ValueError: It is none, it is too long, or it needs what no automaton can do.
    """
    try:
        _compiled(source)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{source!r} is not a regular expression: {error}") from None
    try:
        return _Reader(source).read()
    except ValueError as error:
        raise ValueError(f"{source!r} is not taken: {error}") from None


class _Reader:
    """Reads one expression that ``re`` has found to be one, from left to right."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0
        self._flags = 0
        self._program = PatternProgram()
        self._copies = 0

    def read(self) -> Automaton:
        """Return the automaton."""
        flags = _FLAGS.match(self._source)
        if flags is not None:
            self._at = flags.end()
            self._flags = sum(getattr(re, flag.upper()) for flag in set(flags[1]))
        emit = self._alternatives()
        start = emit(self._program.add(Move(accepts=True)))
        return Automaton(self._program.steps, start)

    def _alternatives(self) -> Emit:
        branches = [self._sequence()]
        while self._source[self._at : self._at + 1] == "|":
            self._at += 1
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        return lambda then: self._program.add(Move(then=tuple(branch(then) for branch in branches)))

    def _sequence(self) -> Emit:
        items: list[Emit] = []
        while self._at < len(self._source) and self._source[self._at] not in "|)":
            items.append(self._repeated(self._item()))

        def emit(then: int) -> int:
            for item in reversed(items):
                then = item(then)
            return then

        return emit

    def _item(self) -> Emit:
        sign = self._source[self._at]
        if sign == "(":
            opening = _GROUP.match(self._source, self._at)
            if opening is None:
                what = self._source[self._at : self._at + 4]
                raise ValueError(f"{what!r} cannot be done in one pass over a key; say it without")
            self._at = opening.end()
            self._depth += 1
            if self._depth > _DEEPEST:
                raise ValueError(f"its groups are nested deeper than {_DEEPEST}")
            inside = self._alternatives()
            self._depth -= 1
            self._at += 1  # the bracket that closes it
            return inside
        token = sign
        if sign == "\\":
            token = self._take(_ESCAPE)
        elif sign == "[":
            token = self._take(_CLASS)
        else:
            self._at += 1
        where = _PLACES.get(token)
        if where is not None:
            return lambda then: self._program.add(Move(then=(then,), where=where))
        if re.match(r"\\[bB1-9](?![0-7])", token):
            raise ValueError(f"{token} looks at more than one sign; say it without")
        test = self._test(token)
        return lambda then: self._program.add(Move(then=(then,), test=test))

    def _test(self, sign: str) -> Test:
        if len(sign) == 1 and sign != "." and not self._flags:
            return sign.__eq__
        return _compiled(sign if sign == "." or len(sign) > 1 else re.escape(sign), self._flags).match

    def _take(self, what: re.Pattern[str]) -> str:
        found = what.match(self._source, self._at)
        if found is None:
            raise ValueError(f"{self._source[self._at : self._at + 10]!r} is not understood")
        self._at = found.end()
        return found[0]

    def _repeated(self, item: Emit) -> Emit:
        found = _REPEAT.match(self._source, self._at)
        if found is None:
            return item
        self._at = found.end()
        sign, low, comma, high, manner = found.groups()
        if manner == "+":
            raise ValueError("what takes all it can and gives nothing back cannot be done in one pass")
        if sign:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        else:
            least = int(low or 0)
            most = int(high) if high else None if comma else least

        def emit(then: int) -> int:
            if most is None:
                loop = self._program.add(Move())
                self._program.steps[loop].then = (self._copy(item, loop), then)
                then = loop
            for _ in range((most or least) - least):
                then = self._program.add(Move(then=(self._copy(item, then), then)))
            for _ in range(least):
                then = self._copy(item, then)
            return then

        return emit

    def _copy(self, item: Emit, then: int) -> int:
        self._copies += 1
        if self._copies > 4 * MOST_STEPS:
            raise ValueError(f"it repeats more than {MOST_STEPS} steps")
        return item(then)
