"""Values that cross without anybody having declared their type: what of them is written."""

from __future__ import annotations

from typing import Any, Final

from plughost.contracts.visible import writable

_LEAST: Final = -(1 << 63)
_MOST: Final = (1 << 64) - 1


def as_plain(value: Any) -> str | float | int | None:
    """Return the same as text, a number or None of no type of its own: MessagePack refuses those of numpy, say.

    Raises:
        OverflowError: It is a whole number that is too large to be written.
        TypeError: It is something else.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return writable(str.__str__(value))
    if isinstance(value, float):
        return float.__float__(value)
    if not isinstance(value, int):
        raise TypeError("it is neither text nor a number")
    number = int.__int__(value)
    if not _LEAST <= number <= _MOST:
        raise OverflowError("it is too large")
    return number
