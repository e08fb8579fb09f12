"""Exceptions become data and exceptions again: plughost's own as themselves, all others as ``RemoteError``."""

from __future__ import annotations

from contextlib import suppress
from inspect import signature
from typing import Any, Final

import msgspec

from plughost import exceptions
from plughost.contracts.error_text import error_lines, error_text, error_type_name
from plughost.contracts.visible import writable
from plughost.core.wire.plain import as_plain
from plughost.exceptions import ConfigProblem, PlughostError, RemoteError

_LONGEST: Final = 64_000  # characters of a traceback
_MOST_CAUSES: Final = 16  # one after the other; an exception may be its own cause


class Fault(msgspec.Struct, frozen=True):
    """One exception.

    Attributes:
        kind: Name of its class.
        message: Its text.
        traceback: Where it was raised, for people.
        own: Whether it is one of plughost's own, which is raised as itself again.
        attributes: What else it carries, as far as that is plain.
        problems: What is wrong with a configuration.
        cause: What it was raised from.
    """

    kind: str
    message: str
    traceback: str = ""
    own: bool = False
    attributes: dict[str, Any] = {}
    problems: list[ConfigProblem] = []
    cause: Fault | None = None

    def revived(self) -> Exception:
        """Return the exception it stands for."""
        kind = getattr(exceptions, self.kind, None) if self.own else None
        if not (isinstance(kind, type) and issubclass(kind, PlughostError)):
            said = f"{self.kind}: {self.message}" if self.message else self.kind
            return RemoteError(said, kind=self.kind, traceback=self.traceback)
        error: Exception = kind.__new__(kind)
        error.args = (self.message,)  # its own __init__ takes what cannot be known here
        error.__dict__.update(self.attributes)
        for name, one in signature(kind.__init__).parameters.items():
            if one.kind is one.KEYWORD_ONLY and not hasattr(error, name):  # it did not bring that along
                error.__dict__[name] = "" if one.default is one.empty else one.default
        if self.problems:
            error.__dict__["problems"] = tuple(self.problems)
        if self.cause is not None:
            error.__cause__ = self.cause.revived()
        return error


def as_fault(error: BaseException, most_causes: int = _MOST_CAUSES) -> Fault:
    """Return an exception as data. Never raises; secrets are hidden.

    What somebody derived from one of plughost's own is that one at the other end: a refusal stays a refusal.
    """
    own = (kind for kind in type(error).__mro__ if getattr(exceptions, kind.__name__, None) is kind)
    known = next(own, None)
    if known is None or (known is PlughostError and type(error) is not known):
        trace = "".join(error_lines(error))[-_LONGEST:]
        return Fault(writable(error_type_name(error)), writable(error_text(error)), writable(trace))
    attributes: dict[str, Any] = {}
    for key, value in vars(error).items():
        with suppress(TypeError, OverflowError):  # the rest stays behind
            attributes[writable(key)] = as_plain(value)
    problems, cause = vars(error).get("problems"), error.__cause__
    return Fault(
        kind=known.__name__,
        message=writable(error_text(error)),
        own=True,
        attributes=attributes,
        problems=[one for one in problems if isinstance(one, ConfigProblem)]
        if isinstance(problems, list | tuple)
        else [],
        cause=None if cause is None or not most_causes else as_fault(cause, most_causes - 1),
    )
