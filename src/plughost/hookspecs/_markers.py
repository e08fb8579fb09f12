"""The two markers: pluggy's own, with plughost's options laid beside them.

``hookspec`` and ``hookimpl`` call pluggy's markers and then note plughost's extra options in an attribute of
the function. pluggy never sees them, so a module marked with ours registers in a bare ``PluginManager`` too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Literal, TypeVar, get_args, overload

import pluggy

from plughost._dataclasses import dataclass

PROJECT: Final = "plughost"
"""The project name of our markers, which a ``pluggy.PluginManager`` for them must be given."""

Mode = Literal["broadcast", "collect", "first", "waterfall", "decide"]
"""How the outcomes of one call become its result; see ``docs/reference/hooks``."""

OnError = Literal["isolate", "abort", "deny"]
"""What a failing or late implementation does to the call."""

F = TypeVar("F", bound=Callable[..., Any])

_spec_marker = pluggy.HookspecMarker(PROJECT)
_impl_marker = pluggy.HookimplMarker(PROJECT)

SPEC_ATTRIBUTE: Final = "plughost_hookspec"
"""Where a marked declaration carries its ``SpecOptions``."""

IMPL_ATTRIBUTE: Final = "plughost_hookimpl"
"""Where a marked implementation carries its ``ImplOptions``."""


@dataclass(frozen=True, slots=True)
class SpecOptions:
    """What a hookspec promises about its calls.

    Attributes:
        mode: How outcomes become the result.
        timeout: Seconds each implementation may take; None means no limit.
        on_error: What a failing implementation does to the call.
        sync: A set-up time hook: called without ``await``, implementations must be plain functions.
        subject: For ``waterfall``, the argument that is handed on; the first one by default.
        concurrent: The implementations wait side by side instead of one after the other.
    """

    mode: Mode = "collect"
    timeout: float | None = 30.0
    on_error: OnError = "isolate"
    sync: bool = False
    subject: str | None = None
    concurrent: bool = False

    def __post_init__(self) -> None:
        """Refuse what is none of the words, and options that do not go together."""
        _one_of("mode", self.mode, Mode)
        _one_of("on_error", self.on_error, OnError)
        _seconds(self.timeout)
        _switches(sync=self.sync, concurrent=self.concurrent)
        if (self.mode == "decide") != (self.on_error == "deny"):
            raise ValueError(
                f"on_error={self.on_error!r} does not go with mode={self.mode!r}: decide hooks deny, no others do"
            )
        if self.concurrent and (self.sync or self.mode not in ("collect", "broadcast")):
            what = "sync=True" if self.sync else f"mode={self.mode!r}"
            raise ValueError(
                f"concurrent=True does not go with {what}: only collect and broadcast hooks wait side by side"
            )


@dataclass(frozen=True, slots=True)
class ImplOptions:
    """What an implementation asks for.

    Attributes:
        priority: Higher runs earlier; 0 by default. The deployer's order wins over it.
        timeout: Seconds this implementation may take; None takes the spec's limit.
        blocking: A plain function that waits (files, sockets): run it in a worker thread.
    """

    priority: int = 0
    timeout: float | None = None
    blocking: bool = False

    def __post_init__(self) -> None:
        """Refuse what is of another kind: it would be found out when the hook is called, if ever."""
        if not isinstance(self.priority, int):
            raise TypeError(
                f"priority={self.priority!r}: a priority is a whole number; the higher is called earlier"
            )
        _seconds(self.timeout)
        _switches(blocking=self.blocking)


def _one_of(option: str, value: object, words: Any) -> None:
    known: tuple[object, ...] = get_args(words)
    if value not in known:
        raise ValueError(f"{option}={value!r} is none of {', '.join(map(repr, known))}")


def _seconds(timeout: object) -> None:
    if timeout is None:
        return
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout={timeout!r}: a limit is a number of seconds, or None for none")
    if not timeout > 0:  # NaN is neither
        raise ValueError(f"timeout={timeout!r}: a limit is more than 0 seconds, or None for none")


def _switches(**given: object) -> None:
    for option, value in given.items():
        if not isinstance(value, bool):
            raise TypeError(f"{option}={value!r} is neither True nor False")


def _note(marker: str, marked: object, attribute: str, options: object) -> None:
    """Lay plughost's options beside a function, before pluggy marks it: pluggy marks what is none without a word."""
    try:
        setattr(marked, attribute, options)
    except AttributeError:
        raise TypeError(
            f"@{marker} marks functions, and {marked!r} is not one; its options are given by name, @{marker}(...)"
        ) from None


@overload
def hookspec(function: F, /) -> F: ...
@overload
def hookspec(
    *,
    mode: Mode = ...,
    timeout: float | None = ...,
    on_error: OnError | None = ...,
    sync: bool = ...,
    concurrent: bool = ...,
    warn_on_impl: Warning | None = ...,
    warn_on_impl_args: dict[str, Warning] | None = ...,
) -> Callable[[F], F]: ...
def hookspec(
    function: F | None = None,
    /,
    *,
    mode: Mode = "collect",
    timeout: float | None = 30.0,
    on_error: OnError | None = None,
    sync: bool = False,
    concurrent: bool = False,
    warn_on_impl: Warning | None = None,
    warn_on_impl_args: dict[str, Warning] | None = None,
) -> F | Callable[[F], F]:
    """Mark a function as the declaration of a hook.

    Args:
        function: The spec itself, when the marker is used without options.
        mode: ``broadcast``, ``collect``, ``first``, ``waterfall`` or ``decide``.
        timeout: Seconds each implementation may take; None means no limit.
        on_error: ``isolate`` (default) or ``abort``; a ``decide`` hook always denies.
        sync: For set-up time hooks, which are called without ``await``.
        concurrent: For ``collect`` and ``broadcast``: the implementations wait side by side, each within its
            own limit; results stay in call order.
        warn_on_impl: pluggy's: a warning for whoever still implements this hook.
        warn_on_impl_args: pluggy's: a warning for whoever still takes one of these arguments.

    Raises:
        TypeError: An option is of another kind, or what is marked is not a function.
        ValueError: A mode or policy that is none; ``decide`` with another policy than ``deny``, or ``deny`` in
            another mode; ``concurrent`` where one implementation must come after another; a limit that is no time.
    """
    policy: OnError = on_error or ("deny" if mode == "decide" else "isolate")
    options = SpecOptions(mode=mode, timeout=timeout, on_error=policy, sync=sync, concurrent=concurrent)

    def mark(spec: F) -> F:
        subject = next(iter(inspect.signature(spec).parameters), None) if mode == "waterfall" else None
        _note("hookspec", spec, SPEC_ATTRIBUTE, replace(options, subject=subject))
        return _spec_marker(
            spec,
            firstresult=mode == "first",
            warn_on_impl=warn_on_impl,
            warn_on_impl_args=warn_on_impl_args,
        )

    return mark if function is None else mark(function)


@overload
def hookimpl(function: F, /) -> F: ...
@overload
def hookimpl(
    *,
    priority: int = ...,
    timeout: float | None = ...,
    blocking: bool = ...,
    wrapper: bool = ...,
    optionalhook: bool = ...,
    tryfirst: bool = ...,
    trylast: bool = ...,
    specname: str | None = ...,
) -> Callable[[F], F]: ...
def hookimpl(
    function: F | None = None,
    /,
    *,
    priority: int = 0,
    timeout: float | None = None,
    blocking: bool = False,
    wrapper: bool = False,
    optionalhook: bool = False,
    tryfirst: bool = False,
    trylast: bool = False,
    specname: str | None = None,
) -> F | Callable[[F], F]:
    """Mark a function or method as an implementation of the hook of its name.

    Args:
        function: The implementation itself, when the marker is used without options.
        priority: Higher runs earlier; the deployer's order in configuration wins over it.
        timeout: Seconds this implementation may take; None takes the spec's limit.
        blocking: Run this plain function in a worker thread.
        wrapper: pluggy's: a generator function around the other implementations.
        optionalhook: pluggy's: do not complain when nobody declared the hook.
        tryfirst: pluggy's: before the others of the same priority.
        trylast: pluggy's: after the others of the same priority.
        specname: pluggy's: the hook's name when the function's differs.

    Raises:
        TypeError: An option is of another kind, or what is marked is not a function.
        ValueError: A limit that is no time.
    """
    options = ImplOptions(priority=priority, timeout=timeout, blocking=blocking)
    if not isinstance(specname, str | None):
        raise TypeError(f"specname={specname!r}: the name of a hook is text")

    def mark(impl: F) -> F:
        _note("hookimpl", impl, IMPL_ATTRIBUTE, options)
        return _impl_marker(
            impl,
            wrapper=wrapper,
            optionalhook=optionalhook,
            tryfirst=tryfirst,
            trylast=trylast,
            specname=specname,
        )

    return mark if function is None else mark(function)
