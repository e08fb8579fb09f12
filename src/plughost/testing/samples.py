"""Values of a type, to call hooks with: plain ones, empty ones, and odd ones that a program may meet."""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import enum
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from plughost.contracts.secret import Secret

_MOST = 4
"""So many values of each type at most; the combinations of arguments stay few."""

_SIMPLE: Mapping[Any, tuple[Any, ...]] = {
    bool: (False, True),
    int: (0, 7, 2**53),
    float: (0.0, 1.5),
    str: ("sample", "", "snö ☃ '\"<b>"),
    bytes: (b"sample", b""),
    type(None): (None,),
    object: ("sample", None),
    Path: (Path("sample"),),
    datetime: (datetime(2026, 1, 2, tzinfo=UTC),),
    timedelta: (timedelta(seconds=5),),
    Secret: (Secret("sample"),),
}


class NoSampleError(TypeError):
    """Nobody can say what a value of this type looks like; give one yourself."""


def samples_of(annotation: Any) -> list[Any]:
    """Return a few values of an annotated type, the most ordinary one first.

    Dataclasses and Structs are filled with samples of their fields: once with what they need, once with all.

    Raises:
        NoSampleError: The type says nothing of its values, as a Protocol does.
    """
    return list(islice(_samples(annotation), _MOST))


def argument_sets(function: Callable[..., Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return a few sets of arguments for the declaration of a hook; each argument takes each of its values once.

    Raises:
        NoSampleError: An argument's type says nothing of its values.
    """
    hints = typing.get_type_hints(function)
    values = {name: samples_of(hints.get(name, Any)) for name in names}
    longest = max(map(len, values.values()), default=1)
    return [{name: found[turn % len(found)] for name, found in values.items()} for turn in range(longest)]


def _samples(annotation: Any) -> Iterator[Any]:
    if annotation is Any:
        annotation = object
    if annotation is None:
        annotation = type(None)
    if isinstance(annotation, type) and annotation in _SIMPLE:
        yield from _SIMPLE[annotation]
    elif typing.get_origin(annotation) is not None:
        yield from _of_generic(typing.get_origin(annotation), typing.get_args(annotation))
    elif isinstance(annotation, type):
        yield from _of_class(annotation)
    else:
        raise NoSampleError(f"no sample of {annotation!r}")


def _of_generic(origin: Any, arguments: tuple[Any, ...]) -> Iterator[Any]:
    if origin is typing.Annotated:
        # Those that fit the pattern of an annotated text; other limits are not looked at
        patterns = [
            one.pattern for one in arguments[1:] if isinstance(one, msgspec.Meta) and one.pattern is not None
        ]
        for value in _samples(arguments[0]):
            if all(re.search(pattern, value) for pattern in patterns):
                yield value
    elif origin is typing.Literal:
        yield from arguments
    elif origin in (typing.Union, types.UnionType):
        yield from _of_union(arguments)
    elif origin is collections.abc.Callable:
        yield lambda *_, **__: None
    elif issubclass(origin, Mapping):
        yield types.MappingProxyType({})
        yield types.MappingProxyType({_first(arguments[0]): _first(arguments[1])})
    elif issubclass(origin, collections.abc.Collection):
        yield from _of_collection(origin, arguments)
    else:
        yield from _of_class(origin)


def _of_union(members: tuple[Any, ...]) -> Iterator[Any]:
    """First one of each member, None last: a union is written for those who have both."""
    ordered = sorted(members, key=lambda member: member is type(None))
    found = 0
    for member in ordered:
        try:
            yield _first(member)
        except NoSampleError:
            continue
        found += 1
    if not found:
        raise NoSampleError(f"no sample of any of {members!r}")


def _of_collection(origin: type, arguments: tuple[Any, ...]) -> Iterator[Any]:
    if issubclass(origin, tuple) and (not arguments or arguments[-1] is not Ellipsis):
        yield tuple(_first(argument) for argument in arguments)
        return
    kind = origin if origin in (tuple, list, set, frozenset) else tuple
    yield kind([_first(arguments[0])])
    yield kind([])


def _of_class(kind: type) -> Iterator[Any]:
    if issubclass(kind, enum.Enum):
        yield from kind
    elif issubclass(kind, BaseException):
        yield RuntimeError("sample") if issubclass(RuntimeError, kind) else kind("sample")
    elif dataclasses.is_dataclass(kind):
        needed = {
            one.name
            for one in dataclasses.fields(kind)
            if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING and one.init
        }
        yield from _filled(kind, needed, [one.name for one in dataclasses.fields(kind) if one.init])
    elif issubclass(kind, msgspec.Struct):
        fields = msgspec.structs.fields(kind)
        yield from _filled(kind, {one.name for one in fields if one.required}, [one.name for one in fields])
    elif getattr(kind, "_is_protocol", False) or kind.__init__ is not object.__init__:
        raise NoSampleError(f"no sample of {kind.__qualname__}")
    else:
        yield kind()


def _filled(kind: Any, needed: set[str], names: list[str]) -> Iterator[Any]:
    """One with what it needs, then one with everything of which there is a sample.

    Some want one of several fields, or cannot have two at the same time: those are given the first that will do.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    least = {name: _first(hints[name]) for name in needed}
    everything: dict[str, Any] = {}
    for name in names:
        with contextlib.suppress(NoSampleError):  # of those that it needs there is one, as was seen above
            everything[name] = _first(hints[name])
    more = [{name: value} for name, value in everything.items() if name not in needed]
    plain = _first_accepted(kind, [least, *({**least, **one} for one in more)])
    if plain is None:
        raise NoSampleError(f"no sample of {kind.__qualname__}: it accepts none that was tried")
    yield plain
    full = _first_accepted(kind, [everything]) if more else None
    if full is not None:
        yield full


def _first_accepted(kind: Any, choices: list[dict[str, Any]]) -> Any:
    for values in choices:
        try:
            return kind(**values)
        except (TypeError, ValueError):
            continue
    return None


def _first(annotation: Any) -> Any:
    return next(_samples(annotation))


def is_of(value: object, annotation: Any) -> bool:
    """Whether a value fits an annotation, as far as can be seen without looking into functions and iterators."""
    if annotation is Any or annotation is object:
        return True
    if annotation is None:
        return value is None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is None:
        return _is_instance(value, annotation)
    if origin is typing.Annotated:
        return is_of(value, arguments[0])
    if origin is typing.Literal:
        return value in arguments
    if origin in (typing.Union, types.UnionType):
        return any(is_of(value, member) for member in arguments)
    if origin is collections.abc.Callable:
        return callable(value)
    return isinstance(value, origin) and _fits_inside(value, origin, arguments)


def _fits_inside(value: Any, origin: type, arguments: tuple[Any, ...]) -> bool:
    if issubclass(origin, Mapping):
        return all(is_of(key, arguments[0]) and is_of(one, arguments[1]) for key, one in value.items())
    if isinstance(value, str | bytes):
        return False  # a sequence of texts that is one text is a mistake
    if issubclass(origin, collections.abc.Collection) and arguments:
        return all(is_of(one, arguments[0]) for one in value)
    return True


def _is_instance(value: object, kind: Any) -> bool:
    if not isinstance(kind, type):
        return True
    if getattr(kind, "_is_protocol", False):
        members = {name for name in vars(kind) if not name.startswith("_")}
        return all(hasattr(value, name) for name in members)
    if kind is float:
        return isinstance(value, int | float)
    return isinstance(value, kind)
