"""Do the types that a hook implementation names fit those of the hook's spec?"""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from plughost.contracts.value_text import class_name, value_text
from plughost.core.calls.declaration import Declaration
from plughost.core.containment import Point, contained


class TypeMisfit(msgspec.Struct, frozen=True):
    """An annotation of an implementation that contradicts its spec.

    Attributes:
        message: What contradicts what.
        advice: What to write instead.
    """

    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


def type_misfits(declaration: Declaration, function: Any) -> Iterator[TypeMisfit]:
    """Yield where the annotations of an implementation contradict its spec; what is not annotated contradicts nothing.

    Specs of pluggy's own marker bind nobody by their types.
    """
    if declaration.foreign:
        return
    spec, mine = _SPECS.get(declaration.function), hints_of(function)
    if spec is None:  # evaluated once: it has many implementers
        spec = _SPECS[declaration.function] = hints_of(declaration.function)
    for name in declaration.arguments:
        if name in mine and name in spec and not _fits(spec[name], mine[name]):
            yield TypeMisfit(
                message=f"argument {name!r} is declared as {_words(mine[name])}, but may "
                f"be any {_words(spec[name])}",
                advice=f"annotate it as {_words(spec[name])}",
            )
    # Nobody looks at the answer of a broadcast.
    allowed = Any if declaration.options.mode == "broadcast" else spec.get("return", Any)
    answer = mine.get("return", Any)
    if typing.get_origin(answer) in (collections.abc.Awaitable, collections.abc.Coroutine):
        answer = typing.get_args(answer)[-1]  # what is there after awaiting
    if "return" in mine and not _fits(answer, allowed):
        yield TypeMisfit(
            message=f"it is declared to return {_words(mine['return'])}, but its spec says "
            f"{_words(spec.get('return'))}",
            advice="return what the spec names; `plughost hooks " + declaration.name + "` shows it",
        )


_SPECS: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def hints_of(function: Any) -> dict[str, Any]:
    """Return the annotations of a function; empty when they name what is imported for type checkers only.

    Evaluating them runs what their author wrote there, so whatever it raises means that they are not known.
    """

    def read() -> dict[str, Any]:
        written = function.__func__ if type(function) is types.MethodType else function
        if (
            type(written) is types.FunctionType
            and not written.__annotations__
            and not written.__dict__.get("__wrapped__")
        ):
            return {}
        return typing.get_type_hints(inspect.unwrap(function))

    try:
        return contained(Point.SHAPE, read)
    except Exception:
        return {}


def _fits(inner: Any, outer: Any) -> bool:
    """Whether one is within the other; what raises when it is compared contradicts nothing."""
    try:
        return contained(Point.SHAPE, is_within, inner, outer)
    except Exception:
        return True


def is_within(inner: Any, outer: Any) -> bool:
    """Whether every value of one annotation is one of the other, as far as that can be told; else True."""
    inner, outer = _normal(inner), _normal(outer)
    if outer in (Any, object) or inner is Any or inner == outer:
        return True
    if typing.get_origin(inner) in UNIONS:
        return all(is_within(member, outer) for member in typing.get_args(inner))
    if typing.get_origin(outer) in UNIONS:
        return any(is_within(inner, member) for member in typing.get_args(outer))
    inner_class, outer_class = typing.get_origin(inner) or inner, typing.get_origin(outer) or outer
    if not (isinstance(inner_class, type) and isinstance(outer_class, type)):
        return True  # literals, type variables: not ours to judge
    if getattr(outer_class, "_is_protocol", False) and not issubclass(
        type(outer_class), type(collections.abc.Sized)
    ):
        return True
    try:
        fits = (
            issubclass(inner_class, outer_class)
            or inner_class in _NUMBERS.get(outer_class, ())
            # One class of a plugin's source that was loaded twice: others hold on to that of the first load.
            or (outer_class.__module__, outer_class.__qualname__)
            in {(base.__module__, base.__qualname__) for base in inner_class.__mro__}
        )
    except TypeError:  # a Protocol that cannot be asked
        return True
    arguments = zip(typing.get_args(inner), typing.get_args(outer), strict=False)
    return fits and all(
        is_within(mine, theirs) for mine, theirs in arguments if Ellipsis not in (mine, theirs)
    )


UNIONS = (typing.Union, types.UnionType)
"""What ``typing.get_origin`` says of ``A | B``."""

_NUMBERS: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}


def _normal(annotation: Any) -> Any:
    if annotation is None:
        return type(None)
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _words(annotation: Any) -> str:
    if annotation is None or annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return class_name(annotation).rpartition(".")[2]
    return value_text(annotation)
