"""Any value made into what JSON can hold: for the command line, the API and the pages alike."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

from plughost.contracts.value_text import spoken

_LONGEST = 4096


def for_json(value: Any, deepest: int = 8) -> Any:
    """Return a value as JSON can hold it.

    Args:
        value: Anything: mappings, sequences, sets, dataclasses and enumerations are looked into; a time span becomes
            its seconds, a number that is not finite None, and what is not data its text.
        deepest: How far it is looked into; what lies deeper, as in a list that holds itself, becomes an ellipsis.
    """
    if value is None or isinstance(value, bool | str | int):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if deepest < 0:
        return "…"
    if isinstance(value, Mapping):
        return {spoken(key): for_json(inner, deepest - 1) for key, inner in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: for_json(getattr(value, field.name), deepest - 1) for field in fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [for_json(inner, deepest - 1) for inner in value]
    return value.total_seconds() if isinstance(value, timedelta) else spoken(value)[:_LONGEST]
