"""An annotation becomes the way its values cross, or the reason why they cannot."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime as dt
import decimal
import enum
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from plughost._dataclasses import dataclass
from plughost.contracts.secret import Secret
from plughost.contracts.value_text import class_name, value_text
from plughost.core.config.records import is_record
from plughost.core.wire.values import ENCODER, decoder_of, free_out

Change = Callable[[Any], Any]

_SCALARS: Final = (
    *(str, bytes, bytearray, int, float, bool, types.NoneType),
    *(dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID, decimal.Decimal),
)
_SEQUENCES: Final = (
    list,
    set,
    frozenset,
    collections.abc.Sequence,
    collections.abc.Collection,
    collections.abc.Set,
)
_MAPPINGS: Final = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_NATIVE_UNION: Final = (str, bytes, int, float, bool)


class CannotCrossError(TypeError):
    """Values of this type cannot leave their process; the text says which part of it."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How values of one type cross.

    Attributes:
        kind: The type they have on the wire.
        out: What is done to a value before it is written; None for nothing.
        back: What is done after it was read; None for nothing.
        free: Whether something in it may be anything, so that it depends on the value whether it crosses.
    """

    kind: Any
    out: Change | None = None
    back: Change | None = None
    free: bool = False


_FREE: Final = Shape(Any, free_out, free=True)
_NOTHING: Final = Shape(None, lambda _: None)  # whatever is answered where nobody looks at the answer


class WireCodec:
    """Writes and reads values of one type.

    Attributes:
        shape: How they cross.

    Raises:
        CannotCrossError: They cannot.
    """

    def __init__(self, annotation: Any) -> None:
        self.shape = _NOTHING if annotation in (None, types.NoneType) else shape_of(annotation)
        self._decode = _decoder(self.shape.kind, annotation)

    def put(self, value: Any, buffer: bytearray, at: int) -> None:
        """Write a value at the end of a buffer that is ``at`` bytes long."""
        out = self.shape.out
        ENCODER.encode_into(value if out is None else out(value), buffer, at)

    def read(self, body: memoryview) -> Any:
        """Return the value that was written."""
        value = self._decode(body)
        back = self.shape.back
        return value if back is None else back(value)


def arguments_codec(annotations: Sequence[Any]) -> WireCodec:
    """Return the codec of all arguments of a call, which cross as one tuple."""
    return WireCodec(tuple[tuple(annotations)] if annotations else tuple[()])  # type: ignore[misc]  # made of values


def shape_of(annotation: Any, above: tuple[Any, ...] = ()) -> Shape:
    """Return how values of a type cross.

    Raises:
        CannotCrossError: They cannot.
    """
    if annotation in (Any, object):
        return _FREE
    if annotation is None or annotation in _SCALARS or typing.get_origin(annotation) is typing.Literal:
        return Shape(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        if LIVE in arguments:
            raise CannotCrossError("it is a live object, of which no other process can have a copy")
        return shape_of(arguments[0], above)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments, above)
    if annotation is tuple or origin is tuple:
        return _tuple(arguments, above)
    if origin in _SEQUENCES or annotation in _SEQUENCES:
        return _sequence(origin or annotation, arguments, above)
    if origin in _MAPPINGS or annotation in _MAPPINGS:
        return _mapping(arguments, above)
    return _class(annotation, above)


LIVE: Final = "live object"
"""``Annotated[Any, LIVE]``: of no type that plughost knows, and nothing that could be written down."""


def _class(kind: Any, above: tuple[Any, ...]) -> Shape:
    if is_record(kind):
        return _record(kind, above)
    if isinstance(kind, type):
        if issubclass(kind, enum.Enum | pathlib.PurePath | Secret | BaseException):
            return Shape(kind)
        raise CannotCrossError(
            f"{class_name(kind)} is a live object, of which no other process can have a copy"
        )
    raise CannotCrossError(f"{value_text(kind)} is not data")


def _record(kind: Any, above: tuple[Any, ...]) -> Shape:
    if kind in above:
        return Shape(kind)
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except Exception as error:
        raise CannotCrossError(f"the annotations of {class_name(kind)} cannot be read: {error}") from error
    names: dict[str, str]  # of a field -> what is written for it
    if not issubclass(kind, msgspec.Struct):
        names = {field.name: field.name for field in dataclasses.fields(kind)}
    elif kind.__struct_config__.tag is not None or kind.__struct_config__.array_like:
        raise CannotCrossError(f"{class_name(kind)} is tagged or array-like")
    else:
        names = {field.name: field.encode_name for field in msgspec.structs.fields(kind)}
    changes: list[tuple[str, Change]] = []
    for name in names:
        try:
            shape = shape_of(hints[name], (*above, kind))
        except CannotCrossError as error:
            raise CannotCrossError(f"{class_name(kind)}.{name}: {error}") from None
        if shape.back is not None:
            raise CannotCrossError(f"{class_name(kind)}.{name} may be records of several classes")
        if shape.out is not None:
            changes.append((name, shape.out))
    return Shape(kind, partial(_with_free_fields, names, changes) if changes else None, free=bool(changes))


def _with_free_fields(names: dict[str, str], changes: list[tuple[str, Change]], record: Any) -> Any:
    """Return a record as it is or, where something in it has to be wrapped, as the table that is written for it."""
    changed: dict[str, Any] = {}
    for name, out in changes:
        value = getattr(record, name)
        if (wrapped := out(value)) is not value:
            changed[name] = wrapped
    if not changed:
        return record
    return {key: changed.get(name, getattr(record, name)) for name, key in names.items()}


def _union(members: tuple[Any, ...], above: tuple[Any, ...]) -> Shape:
    others = [one for one in members if one is not types.NoneType]
    optional = len(others) < len(members)
    if any(one in (Any, object) for one in others):
        return _FREE
    shapes = [shape_of(one, above) for one in others]
    if len(shapes) == 1:
        only = shapes[0]
        kind = only.kind | None if optional else only.kind
        return Shape(kind, _if_there(only.out), _if_there(only.back), only.free)
    if all(one in _NATIVE_UNION for one in others):
        return Shape(typing.Union[tuple(members)])  # noqa: UP007  made of values
    decoders = [_decoder(shape.kind, one) for shape, one in zip(shapes, others, strict=True)]
    classes = [typing.get_origin(one) or one for one in others]
    kind = tuple[int, msgspec.Raw] | None if optional else tuple[int, msgspec.Raw]

    def of_index(pair: tuple[int, msgspec.Raw]) -> Any:
        number, content = pair
        if not 0 <= number < len(decoders):
            raise ValueError(f"there is no member {number}")
        value, back = decoders[number](content), shapes[number].back
        return value if back is None else back(value)

    return Shape(
        kind,
        partial(_indexed, classes, shapes, optional),
        _if_there(of_index),
        any(shape.free for shape in shapes),
    )


def _indexed(classes: list[Any], shapes: list[Shape], optional: bool, value: Any) -> Any:
    if value is None and optional:
        return None
    for number, kind in enumerate(classes):
        if isinstance(value, kind):
            out = shapes[number].out
            return number, (value if out is None else out(value))
    wanted = ", ".join(class_name(kind).rpartition(".")[2] for kind in classes)
    raise TypeError(f"it is an object of {class_name(type(value))} and should be one of {wanted}")


def _if_there(change: Change | None) -> Change | None:
    return None if change is None else lambda value: None if value is None else change(value)


def _tuple(arguments: tuple[Any, ...], above: tuple[Any, ...]) -> Shape:
    if not arguments:
        return Shape(tuple[()])
    if arguments[-1] is Ellipsis:
        return _sequence(tuple, arguments[:1], above)
    shapes = [shape_of(one, above) for one in arguments]
    kind: Any = tuple[tuple(shape.kind for shape in shapes)]  # type: ignore[misc]  # made of values
    return Shape(
        kind,
        _each_in_place([shape.out for shape in shapes]),
        _each_in_place([shape.back for shape in shapes]),
        any(shape.free for shape in shapes),
    )


def _each_in_place(changes: list[Change | None]) -> Change | None:
    if not any(changes):
        return None
    return lambda values: tuple(
        each if change is None else change(each) for change, each in zip(changes, values, strict=True)
    )


def _sequence(origin: Any, arguments: tuple[Any, ...], above: tuple[Any, ...]) -> Shape:
    inner = shape_of(arguments[0], above) if arguments else _FREE
    members = (inner.kind, ...) if origin is tuple else inner.kind
    kind = origin[members]
    made = origin if origin in (tuple, set, frozenset) else list
    return Shape(kind, _each(inner.out, list), _each(inner.back, made), inner.free)


def _each(change: Change | None, made: Callable[[Any], Any]) -> Change | None:
    if change is None:
        return None

    def change_all(values: Any) -> Any:
        changed = [change(each) for each in values]
        same = all(mine is theirs for mine, theirs in zip(changed, values, strict=True))
        return values if same else made(changed)

    return change_all


def _mapping(arguments: tuple[Any, ...], above: tuple[Any, ...]) -> Shape:
    if not arguments:
        return _FREE
    keys, inner = shape_of(arguments[0], above), shape_of(arguments[1], above)
    if keys.back is not None:
        raise CannotCrossError("its keys may be records of several classes")
    return Shape(
        dict[keys.kind, inner.kind],  # type: ignore[name-defined]  # made of values
        _each_value(inner.out),
        _each_value(inner.back),
        keys.free or inner.free,
    )


def _each_value(change: Change | None) -> Change | None:
    if change is None:
        return None

    def change_all(values: Any) -> Any:
        changed = {key: change(each) for key, each in values.items()}
        return values if all(changed[key] is each for key, each in values.items()) else changed

    return change_all


def _decoder(kind: Any, annotation: Any) -> Change:
    try:
        return decoder_of(kind).decode
    except (TypeError, ValueError) as error:
        raise CannotCrossError(f"{value_text(annotation)}: {error}") from error
