"""Text of values that somebody else made, and lists of them: the one place that reads them, and it cannot be harmed.

``f"{value!r}"`` runs the value's own ``__repr__``, which may raise, end the program, or write a novel. Whatever shows
a stranger's value to people asks here, as it asks ``error_text`` for errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from reprlib import Repr
from typing import Any, Final, TypeVar, cast

from plughost.contracts.error_text import error_line, error_type_name
from plughost.contracts.masking import masked_text
from plughost.contracts.visible import writable

T = TypeVar("T")

_LONGEST: Final = 200  # characters of one value

_brief = Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = _LONGEST // 2


def value_text(value: object) -> str:
    """Return the ``repr`` of a value, shortened and masked; its class when that raises. Never raises."""
    try:
        return writable(masked_text(str.__str__(_brief.repr(value))[:_LONGEST]))
    except BaseException as failure:
        return f"a {class_name(type(value))}, whose repr raises {error_type_name(failure)}"


def spoken(value: object) -> str:
    """Return the ``str`` of a value, whole; what ``value_text`` says of it when that raises. Never raises."""
    try:
        return writable(str.__str__(str(value)))
    except BaseException:
        return value_text(value)


def class_name(kind: Any) -> str:
    """Return the module and name of a class, such as ``acme_lamp.Lamp``. Never raises."""
    name = type.__dict__["__qualname__"].__get__(kind)  # its metaclass may say something else, or raise
    module = type.__dict__["__module__"].__get__(kind)
    return f"{module}.{name}" if type(module) is str else str(name)


def plain_text(value: object) -> str:
    """Return a text as a plain ``str``, whatever its own class makes of it; empty when it is none. Never raises."""
    return str.__str__(value) if issubclass(type(value), str) else ""


def items_of(answer: object, kind: type[T]) -> list[T]:
    """Return what a plugin lists in its answer to a hook; nothing when the answer is None.

    Args:
        answer: The answer.
        kind: Of what it is to be a list.

    Raises:
        TypeError: It is none; the message says what is wrong.
    """
    if answer is None:
        return []
    if issubclass(type(answer), str | bytes):
        raise TypeError(f"{value_text(answer)} is not a list")
    try:
        items = [*cast("Iterable[Any]", answer)]
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise TypeError(f"{value_text(answer)} cannot be read as a list: {error_line(error)}") from error
    for item in items:
        if not issubclass(type(item), kind):
            raise TypeError(f"{value_text(item)} is not a {kind.__name__}")
    return items
