"""Anything a host tells, made into what JSON can hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

from plughost.contracts import spoken

Document = dict[str, Any]
"""What an endpoint returns and a page shows."""

_DEEPEST = 8


def for_json(value: Any, depth: int = 0) -> Any:
    """Return a value as JSON can hold it; what is no data becomes its text, what is too deep an ellipsis."""
    if value is None or isinstance(value, bool | str | int):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > _DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {spoken(key): for_json(item, depth + 1) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value))
        return {name: for_json(getattr(value, name), depth + 1) for name in fields}
    if isinstance(value, list | tuple | set | frozenset):
        return [for_json(item, depth + 1) for item in value]
    return spoken(value)[:500]
