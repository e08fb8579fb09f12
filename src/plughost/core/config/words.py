"""Values that were written as words, as in environment variables, made into what their type asks for."""

from __future__ import annotations

import collections.abc
import json
import types
import typing
from datetime import timedelta
from typing import Annotated, Any, Final

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})
_LISTS: Final = (
    list,
    tuple,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Collection,
    collections.abc.Iterable,
    collections.abc.Set,
    collections.abc.MutableSet,
)


def members(kind: Any) -> tuple[Any, ...]:
    """Return the types a value may have: those of a union without None, or the one; bare of ``Annotated``."""
    while typing.get_origin(kind) is Annotated or _is_alias(kind):
        kind = kind.__value__ if _is_alias(kind) else typing.get_args(kind)[0]
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        return tuple(one for part in typing.get_args(kind) if part is not type(None) for one in members(part))
    return (kind,)


def without_none(kind: Any) -> Any:
    """Return ``T`` for ``T | None``; other types as they are."""
    while _is_alias(kind):
        kind = kind.__value__
    if typing.get_origin(kind) not in (typing.Union, types.UnionType):
        return kind
    others = [part for part in typing.get_args(kind) if part is not type(None)]
    return others[0] if len(others) == 1 else kind


def _is_alias(kind: Any) -> bool:
    """Whether it was made by a ``type X = ...`` statement, which Python 3.11 does not know."""
    return type(kind).__name__ == "TypeAliasType"


def bool_of(word: str) -> bool | None:
    """Return what 1, true, yes, on, 0, false, no, off or nothing means, in any case; None for other words."""
    lowered = word.strip().lower()
    return True if lowered in _TRUE else False if lowered in _FALSE else None


def read_words(value: Any, kind: Any) -> Any:
    """Return what a string means where ``kind`` is expected, or the string itself.

    A list is JSON or separated by commas, an empty string is an empty list; a table is JSON.
    """
    if not isinstance(value, str):
        return value
    kinds = members(kind)
    if kinds == (bool,):
        read = bool_of(value)
        return value if read is None else read
    if any(one in (str, Any, object) for one in kinds):
        return value
    if value.lstrip().startswith(("[", "{")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    if any((typing.get_origin(one) or one) in _LISTS for one in kinds):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def read_time(value: Any, kind: Any) -> Any:
    """Return seconds for a ``timedelta`` and the other way round, as the type asks; else the value."""
    kinds = members(kind)
    if isinstance(value, timedelta) and float in kinds and timedelta not in kinds:
        return value.total_seconds()
    if type(value) in (int, float) and timedelta in kinds and not {int, float} & set(kinds):
        return timedelta(seconds=value)
    return value
