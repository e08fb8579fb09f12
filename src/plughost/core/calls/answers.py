"""An answer to one of plughost's own hooks is of the kind that the hook's spec names, or its implementation failed."""

from __future__ import annotations

import collections.abc
import typing
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

from plughost.contracts.value_text import class_name, items_of
from plughost.core.calls.annotations import UNIONS, hints_of
from plughost.core.calls.declaration import Declaration
from plughost.hookspecs import CATALOGUE, contributions

Fit = Callable[[Any], Any]
"""Returns an answer as whoever asked goes on with it; raises TypeError for one of another kind."""


class AnswerKind(NamedTuple):
    """One kind of value that a spec names: a class, or a sequence of instances of a class."""

    name: type
    listed: bool = False

    def __str__(self) -> str:
        return f"a sequence of {self.name.__name__}" if self.listed else self.name.__name__


def fit_for(declaration: Declaration) -> Fit | None:
    """Return what fits each answer that is not None; None for a hook whose answers are taken as they are.

    Fitted are answers to the hooks of plughost's catalogue with which somebody else goes on. Votes are looked at where
    they are counted, and contributions (routes, jobs, figures, ...) plugin by plugin where they are put to use. An
    application's specs bind their implementers by annotations alone.
    """
    if declaration.options.mode in ("broadcast", "decide") or declaration.origin not in _FITTED:
        return None
    return _fit_for(declaration.function)


_FITTED = frozenset(family.__name__ for family in CATALOGUE if family is not contributions)


@cache
def _fit_for(spec: Any) -> Fit:
    """Look at the annotation of a spec when its first answer comes: most hooks get none before a host is up."""
    kinds: tuple[AnswerKind, ...] | None = None

    def fit(value: Any) -> Any:
        nonlocal kinds
        if kinds is None:
            kinds = tuple(_kinds_of(hints_of(spec).get("return", object)))
        for kind in kinds:
            if kind.listed:
                return items_of(value, kind.name)
            if issubclass(type(value), kind.name):  # a value that is asked for its class may raise
                return value
        asked = " or ".join(map(str, kinds))
        raise TypeError(f"returned {class_name(type(value)).rpartition('.')[2]} instead of {asked}")

    return fit


def _kinds_of(annotation: Any) -> Iterator[AnswerKind]:
    """Yield the kinds of an annotation, without None; what only a type checker can tell is any object."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in UNIONS:
        for member in arguments:
            yield from _kinds_of(member) if member is not type(None) else ()
    elif origin is collections.abc.Sequence:
        yield AnswerKind(arguments[0] if isinstance(arguments[0], type) else object, listed=True)
    else:
        whole = origin or annotation
        yield AnswerKind(object if whole is Any or not isinstance(whole, type) else whole)
