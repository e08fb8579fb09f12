"""The classes whose instances a table can become, seen alike: Structs, dataclasses, TypedDicts."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from plughost.core.config.words import members, without_none

NO_DEFAULT: Final = object()


class RecordField(msgspec.Struct, frozen=True):
    """One key of a record.

    Attributes:
        attribute: Name of the argument it becomes.
        type: Its annotation.
        required: Whether it must be given.
        default: Its default, if that is one value; else ``NO_DEFAULT``.
    """

    attribute: str
    type: Any
    required: bool
    default: Any = NO_DEFAULT


class Record(msgspec.Struct, frozen=True):
    """What a table must look like to become a record.

    Attributes:
        fields: By the key that is written in the file.
        build: Makes the record of keyword arguments; raises what its own checks raise.
    """

    fields: Mapping[str, RecordField]
    build: Callable[..., Any]


def record_of(kind: Any) -> Record | None:
    """Return the shape of a record class, or None when it is something else.

    Tagged and array-like Structs are something else: msgspec alone decodes them.

    Raises:
        NameError: An annotation names something that cannot be found.
    """
    if not isinstance(kind, type):
        return None
    if issubclass(kind, msgspec.Struct):
        if kind.__struct_config__.tag is not None or kind.__struct_config__.array_like:
            return None
        fields = {
            one.encode_name: RecordField(
                one.name,
                one.type,
                one.required,
                NO_DEFAULT if one.default is msgspec.NODEFAULT else one.default,
            )
            for one in msgspec.structs.fields(kind)
        }
        return Record(fields, kind)
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind, include_extras=True)
        missing = dataclasses.MISSING
        fields = {
            one.name: RecordField(
                one.name,
                hints[one.name],
                one.default is missing and one.default_factory is missing,
                NO_DEFAULT if one.default is missing else one.default,
            )
            for one in dataclasses.fields(kind)
            if one.init
        }
        return Record(fields, kind)
    if typing.is_typeddict(kind):
        return _of_typed_dict(kind)
    return None


def is_record(kind: Any) -> bool:
    """Whether instances of the class are records: Structs or dataclasses; a TypedDict has no instances."""
    return isinstance(kind, type) and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind))


def is_model(kind: Any) -> bool:
    """Whether it is a class with pydantic's interface, which plughost itself never imports."""
    return isinstance(kind, type) and hasattr(kind, "model_validate") and hasattr(kind, "model_fields")


def keys_of(name: str, field: Any) -> list[str]:
    """Return the keys that a field of a pydantic model may be written under: its name and its aliases."""
    alias = field.validation_alias or field.alias
    choices = getattr(alias, "choices", [alias])  # AliasChoices; a path into the data has no key of its own
    return [key for key in (name, *choices) if isinstance(key, str)]


def record_among(kind: Any) -> Record | None:
    """Return the one record class that a type allows, beside other things; None for none or several."""
    found = [record for one in members(kind) if (record := record_of(one))]
    return found[0] if len(found) == 1 else None


class KnownType:
    """What a type allows, each read when it is first asked for: that takes longer than to decode a value.

    Attributes:
        kind: The type.
    """

    def __init__(self, kind: Any) -> None:
        self.kind = kind

    @cached_property
    def classes(self) -> tuple[type, ...]:
        """The classes of which code may give an instance."""
        return tuple(one for one in members(self.kind) if is_record(one))

    @cached_property
    def record(self) -> Record | None:
        """The one record class; see ``record_among``."""
        return record_among(self.kind)

    @cached_property
    def table(self) -> tuple[Any, Any] | None:
        """The types of keys and values; see ``types_of_table``."""
        return types_of_table(self.kind)

    @cached_property
    def items(self) -> Any:
        """The type of a list's items; see ``records_of_list``."""
        return records_of_list(self.kind)


def values_of_table(kind: Any) -> Any:
    """Return the type of the values of ``dict[str, T]``; None for other types."""
    found = types_of_table(kind)
    return None if found is None else found[1]


def types_of_table(kind: Any) -> tuple[Any, Any] | None:
    """Return the types of keys and values of a table whose keys are text; None for other types."""
    kind = without_none(kind)
    if typing.get_origin(kind) in (dict, Mapping) and members(typing.get_args(kind)[0]) == (str,):
        keys, values = typing.get_args(kind)
        return keys, values
    return None


def records_of_list(kind: Any) -> Any:
    """Return the type of a list's items if they are records, or hold records; None for other types."""
    kind = without_none(kind)
    if typing.get_origin(kind) not in (list, Sequence) and not is_tuple(kind):
        return None
    inner = typing.get_args(kind)[0]
    return inner if _holds_record(inner) else None


def is_tuple(kind: Any) -> bool:
    """Whether it is a tuple of any length."""
    kind = without_none(kind)
    return typing.get_origin(kind) is tuple and typing.get_args(kind)[1:] == (...,)


def _holds_record(kind: Any) -> bool:
    inner = (values_of_table(kind), records_of_list(kind))
    return record_among(kind) is not None or any(_holds_record(one) for one in inner if one is not None)


def _of_typed_dict(kind: Any) -> Record:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields: dict[str, RecordField] = {}
    for key, hint in hints.items():
        # Where annotations are strings, __required_keys__ has not seen what they say of a single key.
        marker = typing.get_origin(hint)
        required = marker is typing.Required or (marker not in _MARKERS and key in kind.__required_keys__)
        fields[key] = RecordField(key, typing.get_args(hint)[0] if marker in _MARKERS else hint, required)
    return Record(fields, dict)


_MARKERS: Final = (typing.Required, typing.NotRequired)
