"""Laying one set of values over another, and remembering where each came from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from plughost.core.config.paths import SettingPath, dotted
from plughost.core.config.references import is_reference


class Layers:
    """Values laid over one another; the last one wins. Tables are merged key by key, all else is replaced.

    Attributes:
        values: What came out so far.
        origins: Dotted name to origin, for each value that is not a table, and for empty tables.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.origins: dict[str, str] = {}

    def lay(self, values: Mapping[str, Any], origin: str) -> None:
        """Lay a copy of ``values`` over what is there."""
        self._lay(self.values, values, origin, ())

    def _lay(self, below: dict[str, Any], above: Mapping[str, Any], origin: str, path: SettingPath) -> None:
        for key, value in above.items():
            name = str(key)
            here = (*path, name)
            known = below.get(name)
            if name in below and not (is_table(value) and is_table(known)):  # where it came from is forgotten
                gone = dotted(here)
                for each in [each for each in self.origins if each == gone or each.startswith(f"{gone}.")]:
                    del self.origins[each]
            if not is_table(value):
                below[name] = copied(value)
                self.origins[dotted(here)] = origin
                continue
            if not is_table(known):
                below[name] = {}
                self.origins[dotted(here)] = origin
            if value:
                self._lay(below[name], value, origin, here)
                self.origins.pop(dotted(here), None)


def is_table(value: object) -> bool:
    """Whether it is merged key by key: a mapping that is not a reference."""
    return isinstance(value, Mapping) and not is_reference(value)


def copied(value: Any) -> Any:
    """Copy tables and lists all the way down, and nothing else: code may give paths and functions."""
    if isinstance(value, Mapping):
        return {str(key): copied(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return type(value)(copied(inner) for inner in value) if type(value) in _PLAIN else copy.copy(value)
    return value


_PLAIN = (list, tuple, set, frozenset)
