"""A string that does not show itself."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn

MASK: Final = "***"
"""What is shown in place of a secret."""


class Secret:
    """A string that shows as ``***`` wherever it is printed, logged, formatted or put into a report.

    Declare it in a plugin's ``Config`` (``api_key: Secret``) and take the string out where it is used:
    ``config.api_key.reveal()``. Two secrets compare in constant time; a secret never equals a ``str``, so
    wrap what you compare with: ``config.api_key == Secret(given)``. It does not pickle, and no JSON encoder
    takes it.

    Args:
        value: The string to hide.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not isinstance(value, str):
            raise TypeError(f"a secret is a str, not {type(value).__name__}")
        self._value = value

    def reveal(self) -> str:
        """Return the string itself. Do not log it, and do not keep it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret('{MASK}')"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled: what is stored would show it")
