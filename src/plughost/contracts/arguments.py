"""What an argument lists: a text where several are meant would be taken for a list of its letters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def several(argument: str, given: Iterable[T]) -> tuple[T, ...]:
    """Return what an argument lists.

    Args:
        argument: Its name, for the message.
        given: What was given.

    Raises:
        TypeError: It is one text, or nothing that can be gone through.
    """
    is_text = isinstance(given, str | bytes)
    if is_text or not isinstance(given, Iterable):
        right = f"[{given!r}]" if is_text else "[...]"
        raise TypeError(f"{argument}={given!r} is one, and may be several: write {argument}={right}")
    return tuple(given)
