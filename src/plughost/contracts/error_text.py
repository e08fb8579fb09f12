"""Text of errors that somebody else raised: the one place that makes it, and it cannot fail.

``f"{error}"`` runs the error's own ``__str__``, which may raise itself, return a novel, or say "(1 sub-exception)"
of what really went wrong. It may also quote a password. Whatever shows a stranger's error to people asks here.
"""

from __future__ import annotations

import traceback
from typing import Final

from plughost.contracts.counting import counted
from plughost.contracts.masking import masked_text
from plughost.contracts.visible import writable
from plughost.exceptions import RemoteError, StrayError

_LONGEST: Final = 2_000  # characters of one error; an answer of a server, say, may be a whole page
_MEMBERS: Final = 5  # errors of a group that are told one by one
_DEEPEST: Final = 4  # groups within groups


def error_text(error: BaseException) -> str:
    """Return what an error says, without its type; empty when it says nothing. Never raises."""
    return _shortened(_said(error, 0))


def error_line(error: BaseException) -> str:
    """Return the type of an error and what it says, ``"KeyError: 'lamp'"``. Never raises."""
    return _shortened(_line(error, 0))


def _line(error: BaseException, depth: int) -> str:
    said = _said(error, depth)
    if isinstance(error, StrayError | RemoteError):
        return said  # it names the type of what it stands for
    name = error_type_name(error)
    return f"{name}: {said}" if said else name


def _said(error: BaseException, depth: int) -> str:
    if isinstance(error, BaseExceptionGroup):
        # The causes of a group; its own text only counts them.
        if depth >= _DEEPEST:
            return counted(len(error.exceptions), "more error")
        told = [_line(member, depth + 1) for member in error.exceptions[:_MEMBERS]]
        if len(error.exceptions) > _MEMBERS:
            told.append(f"and {len(error.exceptions) - _MEMBERS} more")
        return "; ".join(told)
    try:
        return str.__str__(str(error))
    except BaseException as failure:
        return f"(its text cannot be shown, because making it raises {error_type_name(failure)})"


def error_type_name(error: BaseException) -> str:
    """Return the name of an error's type. Never raises."""
    try:
        return str.__str__(type.__dict__["__name__"].__get__(type(error)))
    except BaseException:  # a metaclass may do anything
        return "an error"


def _shortened(text: str) -> str:
    shown = masked_text(text[: 2 * _LONGEST])  # cut first, and again afterwards: no cut goes through a secret
    whole = len(text) <= _LONGEST
    return writable(shown if whole else f"{shown[:_LONGEST]}... ({len(text)} characters)")


def error_lines(error: BaseException) -> list[str]:
    """Return an error with its traceback as Python prints it, secrets hidden. Never raises.

    No values of local variables are in it, whatever is installed.
    """
    try:
        lines = [
            line if len(line) <= 2 * _LONGEST else f"{_shortened(line)}\n"
            for line in traceback.format_exception(error)
        ]
    except BaseException:  # its __str__, its notes, its cause: all of it is a stranger's
        lines = [error_line(error)]
    return writable(masked_text("".join(lines))).splitlines(keepends=True)
