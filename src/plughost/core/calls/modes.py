"""How what the implementations returned becomes the result of the call, one class for each mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from plughost.contracts.auth import Abstain, Allow, Deny, Verdict
from plughost.contracts.value_text import items_of
from plughost.core.calls.answers import Fit
from plughost.core.calls.declaration import Declaration

UNDECIDED = Deny("Nobody could vouch for this.")
"""The verdict when there is no implementation or all abstain."""

UNANSWERED = Deny("This could not be decided. Try again later.")
"""The verdict when an implementation failed; what it raised is for the log alone."""


class Gathering(Protocol):
    """One call's results while they come in."""

    def take(self, value: Any) -> bool:
        """An implementation returned ``value``; return True when that settles the call.

        Raises:
            TypeError: The mode has no use for such a value; it counts as the implementation's error.
        """

    def lose(self) -> None:
        """An implementation failed or passed its limit."""

    def result(self) -> Any:
        """What the caller gets."""

    def rewrap(self, before: Any, value: Any) -> Any:
        """What the caller gets after a wrapper saw ``before`` and wants ``value`` to be the result.

        Raises:
            TypeError: The hook has no use for such a value; it counts as the wrapper's error.
        """

    def unwrap(self, before: Any) -> Any:
        """What the caller gets after a wrapper saw ``before`` and failed."""


class Broadcast:
    """Everybody is told; nothing comes back."""

    __slots__ = ()

    def take(self, value: Any) -> bool:
        """Ignore it."""
        return False

    def lose(self) -> None:
        """Nothing is missing."""

    def result(self) -> None:
        """Nothing."""

    def rewrap(self, before: Any, value: Any) -> Any:
        """As the wrapper wants."""
        return value

    def unwrap(self, before: Any) -> Any:
        """As if there were no such wrapper."""
        return before


class Collect(Broadcast):
    """All results that are not None, in call order."""

    __slots__ = ("_fit", "values")

    def __init__(self, fit: Fit | None) -> None:
        self._fit = fit
        self.values: list[Any] = []

    def take(self, value: Any) -> bool:
        """Keep it, unless it is None."""
        if value is not None:
            self.values.append(value)
        return False

    def result(self) -> Any:
        """The list."""
        return self.values

    def rewrap(self, before: Any, value: Any) -> Any:
        """As the wrapper wants, if each is an answer to the hook."""
        return value if self._fit is None else [self._fit(each) for each in items_of(value, object)]


class First(Broadcast):
    """The first result that is not None settles the call."""

    __slots__ = ("_fit", "value")

    def __init__(self, fit: Fit | None) -> None:
        self._fit = fit
        self.value: Any = None

    def take(self, value: Any) -> bool:
        """Settle, unless it is None."""
        self.value = value
        return value is not None

    def result(self) -> Any:
        """The first one, or None."""
        return self.value

    def rewrap(self, before: Any, value: Any) -> Any:
        """As the wrapper wants, if it is an answer to the hook."""
        return value if self._fit is None or value is None else self._fit(value)


class Waterfall(Broadcast):
    """Each implementation gets what the one before it returned."""

    __slots__ = ("_fit", "arguments", "subject")

    def __init__(self, fit: Fit | None, arguments: dict[str, Any], subject: str) -> None:
        self._fit = fit
        self.arguments = arguments
        self.subject = subject

    def take(self, value: Any) -> bool:
        """Hand it on, unless it is None."""
        if value is not None:
            self.arguments[self.subject] = value
        return False

    def result(self) -> Any:
        """The value after the last one."""
        return self.arguments[self.subject]

    def rewrap(self, before: Any, value: Any) -> Any:
        """As the wrapper wants, if it is an answer to the hook."""
        return value if self._fit is None else self._fit(value)


class Decide:
    """Any Deny beats any Allow; whatever is not a clear Allow is a Deny."""

    __slots__ = ("allowed", "denied", "failed")

    def __init__(self) -> None:
        self.allowed: Allow | None = None
        self.denied: Deny | None = None
        self.failed = False

    def take(self, value: Any) -> bool:
        """Count the vote. Everybody is asked: a later Deny counts as much as an earlier one."""
        if isinstance(value, Deny):
            self.denied = self.denied or value
        elif isinstance(value, Allow):
            self.allowed = self.allowed or value
        elif not isinstance(value, Abstain):
            raise TypeError(f"returned {type(value).__name__} instead of Allow, Deny or Abstain")
        return False

    def lose(self) -> None:
        """A vote that did not come is a Deny, even when it might have been an Allow."""
        self.failed = True

    def result(self) -> Verdict:
        """The verdict. A plugin's own reason goes before the general one."""
        if self.denied is not None:
            return self.denied
        if self.failed:
            return UNANSWERED
        return self.allowed or UNDECIDED

    def rewrap(self, before: Verdict, value: Any) -> Verdict:
        """A wrapper may turn Allow into Deny, never the other way round."""
        if isinstance(before, Deny):
            return before
        return value if isinstance(value, Allow | Deny) else UNANSWERED

    def unwrap(self, before: Verdict) -> Verdict:
        """A wrapper that failed might have denied."""
        return before if isinstance(before, Deny) else UNANSWERED


def gathering_for(declaration: Declaration, fit: Fit | None) -> Callable[[dict[str, Any]], Gathering]:
    """Return what makes the gathering of one call out of its arguments."""
    match declaration.options.mode:
        case "broadcast":
            shared = Broadcast()  # has no state, so all calls can share it
            return lambda _: shared
        case "collect":
            return lambda _: Collect(fit)
        case "first":
            return lambda _: First(fit)
        case "waterfall":
            subject = declaration.subject
            return lambda arguments: Waterfall(fit, arguments, subject)
        case "decide":
            return lambda _: Decide()
