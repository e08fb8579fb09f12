"""How much work something is, in a measure that does not depend on what else the machine does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any


def steps_of(door: Callable[[], object], *refusals: type[Exception]) -> int:
    """Return how many lines of Python code and calls it takes; it may end with one of the refusals."""
    count = 0

    def line(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        count += 1
        return line

    def call(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += 1

    before = sys.gettrace(), sys.getprofile()
    sys.settrace(line)
    sys.setprofile(call)
    try:
        with suppress(*refusals):
            door()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
    return count
