"""How many of something end when: counted in slices of time, so that nobody has to look at each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

SLICE = 10.0  # seconds


class EndingCounts:
    """Numbers of endings per slice of time, with changes that a transaction may take back.

    Moments of a thread that writes are staged, then committed or discarded together with its transaction.
    """

    def __init__(self) -> None:
        self._slices: Counter[int] = Counter()
        self._staged: list[tuple[int, int]] = []

    def load(self, counts: Iterable[tuple[int, int]]) -> None:
        """Begin with these slices and numbers."""
        self._slices = Counter({which: number for which, number in counts if number})

    def stage(self, moment: float, number: int) -> None:
        """So many more (or fewer, when negative) end at that moment."""
        self._staged.append((slice_of(moment), number))

    def move(self, before: float, after: float) -> None:
        """One that ended at ``before`` ends at ``after``."""
        if slice_of(before) != slice_of(after):
            self.stage(before, -1)
            self.stage(after, 1)

    def commit(self) -> None:
        """Count what was staged."""
        for which, number in self._staged:
            self._slices[which] += number
            if not self._slices[which]:
                del self._slices[which]
        self._staged.clear()

    def discard(self) -> None:
        """Forget what was staged."""
        self._staged.clear()

    def after_slice_of(self, now: float) -> int:
        """How many end in the slices after the present one."""
        present = slice_of(now)
        return sum(number for which, number in self._slices.items() if which > present)

    def total(self) -> int:
        """How many there are."""
        return sum(self._slices.values())


def slice_of(moment: float) -> int:
    """Return the slice a moment is in."""
    return int(moment // SLICE)


def end_of_slice(moment: float) -> float:
    """Return when the slice a moment is in ends."""
    return (slice_of(moment) + 1) * SLICE
