"""A number with its noun, as people read it: the one place that knows that one restart is not "1 restarts"."""

from __future__ import annotations


def counted(number: int, noun: str, many: str = "") -> str:
    """Return how many there are: ``1 plugin``, ``2 plugins``, ``0 entries``.

    Args:
        number: How many.
        noun: What one of them is called.
        many: What others are called, where the noun does not take an s.
    """
    return f"{number} {noun if number == 1 else many or noun + 's'}"
