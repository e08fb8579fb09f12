"""Any value made into what JSON can hold: for the command line, the API and the pages alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

import msgspec

from plughost.contracts.value_text import spoken
from plughost.contracts.visible import writable

_LONGEST = 4096
_MOST_BITS = 14_000  # Python refuses to write an integer of more than 4,300 digits
_DEEPEST = 100


def for_json(value: Any, deepest: int = 8) -> Any:
    """Return a value as JSON can hold it.

    Args:
        value: Anything: mappings, sequences, sets, dataclasses, Structs and enumerations are looked into; a time
            span becomes its seconds, a number that is not finite None, and what is not data its text. So does an
            integer with more digits than Python writes, and half of a surrogate pair, as in the name of a file, its
            number.
        deepest: How far it is looked into; what lies deeper, as in a list that holds itself, becomes an ellipsis.
    """
    if value is None or isinstance(value, bool | str | int):
        value = value.value if isinstance(value, Enum) else value
        if isinstance(value, str):
            return writable(value)
        return spoken(value) if isinstance(value, int) and value.bit_length() > _MOST_BITS else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if deepest < 0:
        return "…"
    if isinstance(value, Mapping):
        return {spoken(key): for_json(inner, deepest - 1) for key, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: for_json(getattr(value, field.name), deepest - 1) for field in fields(value)}
    if isinstance(value, msgspec.Struct):
        # Under the names that msgspec itself writes, where ``rename`` says others.
        names = zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True)
        return {said: for_json(getattr(value, name), deepest - 1) for said, name in names}
    if isinstance(value, list | tuple | set | frozenset):
        return [for_json(inner, deepest - 1) for inner in value]
    return value.total_seconds() if isinstance(value, timedelta) else spoken(value)[:_LONGEST]


def json_bytes(document: Any) -> bytes:
    """Return a document of plain data as JSON; what JSON cannot hold in it as ``for_json`` tells it."""
    try:
        return msgspec.json.encode(document)
    except (ValueError, TypeError):
        return msgspec.json.encode(for_json(document, _DEEPEST))
