"""Dataclasses whose methods are written when they are first used.

``dataclasses`` writes six methods of a frozen class as text and compiles them, which takes longer than all else when a
module is imported; and of most classes a program uses none. So each is written when somebody asks for it: whoever makes
an object, compares it, shows it or reads a signature finds what he would have found.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:
        """Do as ``dataclasses.dataclass`` does, with its methods written late.

        A class that derives from a dataclass, or has some of these methods itself, is made at once.
        """
        if cls is None:
            return lambda cls: dataclass(cls, **options)
        # Without words its docstring would be the signature.
        has_own = not _BY_HAND.isdisjoint(vars(cls)) or not cls.__doc__
        if has_own or not _LATE_OPTIONS.issuperset(options) or dataclasses.is_dataclass(cls):
            return dataclasses.dataclass(cls, **options)
        return _late(cls, **options)


_LATE_OPTIONS = frozenset({"frozen", "slots", "kw_only"})
_BY_HAND = frozenset(
    {"__init__", "__eq__", "__hash__", "__setattr__", "__delattr__", "__getstate__", "__setstate__"}
)

_OF_THE_CLASS = frozenset(
    {"__dict__", "__weakref__", "__annotate__", "__annotate_func__", "__annotations_cache__"}
)
"""What a class has and its body has not."""

_NONE_OF_THEM = {"init": False, "repr": False, "eq": False}
_ONE_OF_THEM = {
    "__init__": {"init": True},
    "__repr__": {"repr": True, "frozen": False},
    "__eq__": {"eq": True, "frozen": False},
    "__hash__": {"eq": True, "unsafe_hash": True, "frozen": False},
    "__getstate__": {},
    "__setstate__": {},
}
"""With which options the standard one writes a method, and as little else as may be."""


def _late(cls: type, *, frozen: bool = False, slots: bool = False, kw_only: bool = False) -> type:
    options = {"frozen": frozen, "slots": slots, "kw_only": kw_only}
    body = {name: value for name, value in vars(cls).items() if name not in _OF_THE_CLASS}
    body["__annotations__"] = inspect.get_annotations(cls)

    def written(name: str) -> Any:
        if name == "__init__" and (init := _init_of(made, frozen=frozen)) is not None:
            return init
        twin = type(cls)(cls.__name__, cls.__bases__, {**body, "__qualname__": cls.__qualname__})
        return vars(dataclasses.dataclass(twin, **{**options, **_NONE_OF_THEM, **_ONE_OF_THEM[name]}))[name]

    made: Any = dataclasses.dataclass(cls, **{**options, **_NONE_OF_THEM, "frozen": False})
    params = made.__dataclass_params__
    params.init = params.repr = params.eq = True
    params.frozen = frozen
    names = ["__init__", "__repr__", "__eq__"]
    if frozen:
        made.__setattr__, made.__delattr__ = _refusing(made, "assign to"), _refusing(made, "delete")
        names += ["__hash__", *(["__getstate__", "__setstate__"] if slots else [])]
    else:
        made.__hash__ = None  # as of all that is compared and can be changed
    for name in names:
        if name not in body:
            setattr(made, name, _Unwritten(name, made, written))
    return made  # type: ignore[no-any-return]


def _init_of(made: Any, *, frozen: bool) -> Any:
    """Write the method that makes an object, which nearly every class that is used needs.

    ``dataclasses`` writes it with a class around it, which takes six times as long; None where only it knows how.
    """
    fields = sorted(dataclasses.fields(made), key=lambda each: bool(each.kw_only))
    if len(fields) < len(made.__dataclass_fields__) or any(
        each.name.startswith("_") or each.name == "self" or not each.init for each in fields
    ):
        return None
    known = {"_set": object.__setattr__, "_absent": dataclasses._HAS_DEFAULT_FACTORY}  # type: ignore[attr-defined]
    given, body = ["self"], []
    for each in fields:
        default, value = "", each.name
        if each.default is not dataclasses.MISSING:
            default = f"_default_{each.name}"
            known[default] = each.default
        elif each.default_factory is not dataclasses.MISSING:
            default, value = "_absent", f"_makes_{each.name}() if {each.name} is _absent else {each.name}"
            known[f"_makes_{each.name}"] = each.default_factory
        given += ["*"] if each.kw_only and "*" not in given else []
        given.append(f"{each.name}={default}" if default else each.name)
        body.append(f"_set(self, {each.name!r}, {value})" if frozen else f"self.{each.name} = {value}")
    body += ["self.__post_init__()"] if hasattr(made, "__post_init__") else []
    method = f"def __init__({', '.join(given)}): {'; '.join(body) or 'pass'}"
    text = f"def write({', '.join(known)}):\n {method}\n return __init__"
    scope: dict[str, Any] = {}
    module = sys.modules.get(made.__module__)  # a stranger in this process may have emptied it
    exec(text, {} if module is None else vars(module), scope)  # noqa: S102
    init = scope["write"](**known)
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__annotations__ = {each.name: each.type for each in fields} | {"return": None}
    return init


class _Unwritten:
    """Stands for a method of a dataclass until somebody asks for it."""

    def __init__(self, name: str, owner: Any, written: Callable[[str], Any]) -> None:
        self._name = name
        self._owner = owner
        self._written = written

    def __get__(self, thing: object, kind: type | None = None) -> Any:
        if vars(self._owner)[self._name] is self:
            setattr(self._owner, self._name, self._written(self._name))
        return vars(self._owner)[self._name].__get__(thing, kind)


def _refusing(owner: Any, what: str) -> Callable[..., None]:
    """Return what keeps the fields of a frozen class as they are."""
    name = "__delattr__" if what == "delete" else "__setattr__"

    def refuse(self: object, field: str, *value: object) -> None:
        if type(self) is owner or field in owner.__dataclass_fields__:
            raise dataclasses.FrozenInstanceError(f"cannot {what} field {field!r}")
        getattr(super(owner, self), name)(field, *value)

    refuse.__name__, refuse.__qualname__ = name, f"{owner.__qualname__}.{name}"
    return refuse
