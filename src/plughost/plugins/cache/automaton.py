"""Patterns as automata: every sign of a key is looked at once, whatever the pattern is.

Python's ``re`` tries one way after the other, and a pattern of thirty signs can keep it busy for years. Here all ways
are followed side by side, so that a pattern from a stranger costs no more than its length for each sign of a key.
What has been worked out is remembered, which makes the usual step one look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

MOST_STEPS: Final = 500
"""Steps a pattern may have; with it the work for each sign of a key is bounded."""

_MOST_REMEMBERED: Final = 20_000
"""Places that are remembered in all."""

_FIRST, _LAST, _BEFORE_NEWLINE = 1, 2, 4
_HOLDS: Final[Mapping[Where, int]] = {"start": _FIRST, "end": _LAST, "line end": _LAST | _BEFORE_NEWLINE}

Test = Callable[[str], object]
Where = Literal["start", "end", "line end"]


class Move(msgspec.Struct):
    """One step of a program: where to go on, and on what condition.

    Attributes:
        then: Steps to go on with.
        test: The next sign has to pass it, and is taken; None takes none.
        where: The place has to be this one: the key's start, its end, or its end or the newline before it.
        accepts: Whether the key matches when this step is reached.
    """

    then: tuple[int, ...] = ()
    test: Test | None = None
    where: Where | None = None
    accepts: bool = False


class PatternProgram:
    """Steps, as they are put together by a reader of patterns; the first one is number 0."""

    def __init__(self) -> None:
        self.steps: list[Move] = []

    def add(self, step: Move) -> int:
        """Add a step; returns its number.

        Raises:
            ValueError: The pattern has too many.
        """
        if len(self.steps) >= 2 * MOST_STEPS:
            raise ValueError(f"it is longer than {MOST_STEPS} steps")
        self.steps.append(step)
        return len(self.steps) - 1


Places = frozenset[int]


class Automaton:
    """Runs a program over keys.

    Args:
        steps: The program; ``start`` is the step it begins with.
    """

    def __init__(self, steps: list[Move], start: int) -> None:
        self._steps = steps
        self._start = start
        self._closed: dict[tuple[Places, int], Places | None] = {}
        self._next: dict[tuple[Places, str], Places] = {}
        self._remembered = 0

    def matches(self, text: str) -> bool:
        """Whether the program accepts the text or a beginning of it, as ``re.match`` does."""
        places: Places = frozenset((self._start,))
        newline = len(text) - 1 if text.endswith("\n") else -1
        last = len(text)
        for at, sign in enumerate(text):
            context = (_FIRST if at == 0 else 0) | (_BEFORE_NEWLINE if at == newline else 0)
            reached = self._reached(places, context)
            if not reached:
                return reached is None
            places = self._after(reached, sign)
        return self._reached(places, _LAST | (_FIRST if last == 0 else 0)) is None

    def _reached(self, places: Places, context: int) -> Places | None:
        """Return the places without taking a sign, None when the program accepts."""
        known = self._closed.get((places, context), _UNKNOWN)
        if known is not _UNKNOWN:
            return known
        found: set[int] = set()
        todo = list(places)
        accepted = False
        while todo:
            place = todo.pop()
            if place in found:
                continue
            found.add(place)
            step = self._steps[place]
            accepted = accepted or step.accepts
            if step.test is None and (step.where is None or context & _HOLDS[step.where]):
                todo.extend(step.then)
        reached = frozenset(place for place in found if self._steps[place].test is not None)
        self._make_room(len(places) + len(reached))
        self._closed[places, context] = None if accepted else reached
        return None if accepted else reached

    def _after(self, places: Places, sign: str) -> Places:
        known = self._next.get((places, sign))
        if known is not None:
            return known
        steps = [self._steps[place] for place in places]
        passed = [step for step in steps if step.test is not None and step.test(sign)]
        after = frozenset(then for step in passed for then in step.then)
        self._make_room(len(places) + len(after))
        self._next[places, sign] = after
        return after

    def _make_room(self, size: int) -> None:
        self._remembered += size + 1
        if self._remembered > _MOST_REMEMBERED:
            self._closed.clear()
            self._next.clear()
            self._remembered = size + 1


_UNKNOWN: Final[Places] = frozenset((-1,))
