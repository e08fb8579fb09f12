"""Text of errors that somebody else raised: the one place that makes it, and it cannot fail.

``f"{error}"`` runs the error's own ``__str__``, which may raise itself, return a novel, or say "(1 sub-exception)"
of what really went wrong. Whatever shows a stranger's error to people asks here.
"""

from __future__ import annotations

from typing import Final

from plughost.exceptions import StrayError

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
    if isinstance(error, StrayError):
        return said  # it names the type of what it stands for
    name = _type_name(error)
    return f"{name}: {said}" if said else name


def _said(error: BaseException, depth: int) -> str:
    if isinstance(error, BaseExceptionGroup):
        return _group(error, depth)
    try:
        return str.__str__(str(error))
    except BaseException as failure:
        return f"(its text cannot be shown, because making it raises {_type_name(failure)})"


def _group(group: BaseExceptionGroup[BaseException], depth: int) -> str:
    """Return the causes of a group; its own text only counts them."""
    if depth >= _DEEPEST:
        return f"{len(group.exceptions)} more errors"
    told = [_line(error, depth + 1) for error in group.exceptions[:_MEMBERS]]
    if len(group.exceptions) > _MEMBERS:
        told.append(f"and {len(group.exceptions) - _MEMBERS} more")
    return "; ".join(told)


def _type_name(error: BaseException) -> str:
    try:
        return str.__str__(type.__dict__["__name__"].__get__(type(error)))
    except BaseException:  # a metaclass may do anything
        return "an error"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}... ({len(text)} characters)"
