"""What pluggy's markers noted on the functions of a thing, seen without touching any of its attributes.

pluggy asks each of the hundred attributes that a plugin has or inherits, by a static look-up that walks its classes
anew for every name. One walk over their dictionaries leaves the few that are worth asking.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FunctionType, MemberDescriptorType, MethodType
from typing import Any, Literal

from plughost.contracts.plugin import Plugin

Ending = Literal["_spec", "_impl"]
"""How the attribute ends in which a marker leaves its options, such as ``plughost_impl``."""

_TOLD_BY = {"_spec": "firstresult", "_impl": "hookwrapper"}
"""By which option one knows what pluggy's marker noted on a function."""


def may_be_marked(thing: object, ending: Ending) -> dict[str, object]:
    """Return what can be a marked function of a module, class or instance, by name and as it stands there."""
    return {name: value for name, value in _attributes(thing).items() if _may_bear(value, ending)}


def projects_marking(namespace: object, ending: Ending) -> set[str]:
    """Return the projects whose pluggy markers marked something in ``namespace``; properties are not executed.

    Args:
        namespace: A module, class or instance.
        ending: Whether declarations or implementations are meant.
    """
    option = _TOLD_BY[ending]
    return {
        name.removesuffix(ending)
        for value in _attributes(namespace).values()
        if _may_bear(value, ending)
        for notes in _notes_on(value)
        for name, noted in notes.items()
        if name.endswith(ending) and isinstance(noted, dict) and option in noted
    }


def _attributes(thing: object) -> dict[str, object]:
    """Every attribute as it stands in the thing or its classes, the nearest one first; nothing is executed."""
    found: dict[str, object] = {}
    is_class = issubclass(type(thing), type)
    for base in reversed(_MRO(thing if is_class else type(thing))):
        if base not in _UNMARKED:
            found.update(_DICT(base))
    if not is_class:
        try:
            own = object.__getattribute__(thing, "__dict__")
        except AttributeError:
            own = None
        if type(own) is dict:
            found.update(own)
    return found


_UNMARKED = frozenset({object, Plugin})
"""Nobody marks what is in these, and for most plugins it is most of what there is."""

_MRO = type.__dict__["__mro__"].__get__
_DICT = type.__dict__["__dict__"].__get__


def _may_bear(value: object, ending: str) -> bool:
    kind = type(value)
    if kind is FunctionType:
        return bool(value.__dict__) and any(name.endswith(ending) for name in value.__dict__)
    # These bear the mark themselves or on what they hold, and what lies in a slot is seen only by asking.
    return issubclass(kind, _HOLDERS) or kind is MemberDescriptorType


_HOLDERS = (staticmethod, classmethod, MethodType)


def _notes_on(value: Any) -> Iterator[dict[str, Any]]:
    kind = type(value)
    if kind is FunctionType:
        yield value.__dict__.copy()
    elif issubclass(kind, _HOLDERS):
        if kind is not MethodType:
            yield value.__dict__.copy()
        yield from _notes_on(value.__func__)
