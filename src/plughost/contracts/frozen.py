"""Payloads that nobody can change, all the way down: what one plugin does to them, no other one sees.

A frozen dataclass keeps its fields, not what stands in them. So the changeable containers among the fields
are copied into ones that refuse to change, and go on being a dict, a list and a set for whoever reads, compares,
pickles or encodes them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, ClassVar, Final, Never

_DEEPEST: Final = 100  # containers within containers; one that holds itself ends here as well


class FrozenDict(dict[Any, Any]):
    """A dict that refuses to change. ``dict(it)`` is a changeable copy of it, ``copy.deepcopy(it)`` of all of it."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> Never:
        raise TypeError(_REFUSAL)

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[Any, Any]:
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenDict, (dict(self),)


class FrozenList(list[Any]):
    """A list that refuses to change. ``list(it)`` is a changeable copy of it, ``copy.deepcopy(it)`` of all of it."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> Never:
        raise TypeError(_REFUSAL)

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = _refuse
    insert = pop = remove = reverse = sort = _refuse

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        return [copy.deepcopy(value, memo) for value in self]

    def __reduce__(self) -> tuple[Any, ...]:
        return FrozenList, (list(self),)


_REFUSAL: Final = (
    "this belongs to everybody who is shown it, so it cannot be changed. Take a copy with copy.deepcopy(), change "
    "that, and where the hook asks for an answer return dataclasses.replace(...) with it"
)


_AS_IT_IS: Final = frozenset({str, int, float, bool, bytes, type(None), FrozenDict, FrozenList})


def frozen(value: Any) -> Any:
    """Return ``value`` with every changeable container in it copied into one that refuses to change.

    Mappings become ``FrozenDict``, lists ``FrozenList``, sets and bytearrays their unchangeable kin. Other
    objects stay what they are.

    Raises:
        ValueError: Containers are nested more than 100 deep, or one holds itself.
    """
    return value if type(value) in _AS_IT_IS else _frozen(value, 0)


def _frozen(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS or isinstance(value, _UNCHANGEABLE):
        return value
    if depth > _DEEPEST:
        raise ValueError(f"containers are nested more than {_DEEPEST} deep, or one holds itself")
    if kind is tuple:
        if _AS_IT_IS.issuperset(map(type, value)):
            return value
        members = [_frozen(member, depth + 1) for member in value]
        same = all(mine is theirs for mine, theirs in zip(members, value, strict=True))
        return value if same else tuple(members)
    if kind is MappingProxyType or isinstance(value, dict | Mapping):
        return FrozenDict({key: _frozen(each, depth + 1) for key, each in value.items()})
    if isinstance(value, list):
        return FrozenList([_frozen(each, depth + 1) for each in value])
    if isinstance(value, set):
        return frozenset(value)
    return bytes(value) if kind is bytearray else value


class Payload:
    """A frozen dataclass whose fields are frozen all the way down when it is made."""

    __slots__ = ()

    __dataclass_fields__: ClassVar[dict[str, Any]]  # who inherits is a dataclass

    def __post_init__(self) -> None:
        """Freeze what stands in the fields."""
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if type(value) not in _AS_IT_IS and (kept := _frozen(value, 0)) is not value:
                object.__setattr__(self, name, kept)


_UNCHANGEABLE: Final = (Enum, Payload)
