"""Registration refuses what pluggy lets slip, and says everything at once."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

from plughost.core.calls.annotations import type_misfits
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.manager import HookManager
from plughost.exceptions import did_you_mean
from plughost.hookspecs._markers import IMPL_ATTRIBUTE, ImplOptions

NO_OPTIONS = ImplOptions()


def options_of(plugin: object, function: Any) -> ImplOptions:
    """Return plughost's options of an implementation; the defaults when plain pluggy marked it."""
    found = getattr(function, IMPL_ATTRIBUTE, None)
    if found is None:  # the marker may sit above @staticmethod or @classmethod, which binding takes off
        above = inspect.getattr_static(plugin, getattr(function, "__name__", ""), None)
        found = getattr(above, IMPL_ATTRIBUTE, None)
    return found if isinstance(found, ImplOptions) else NO_OPTIONS


def is_async(function: Any) -> bool:
    """Whether calling ``function`` gives something to await."""
    return inspect.iscoroutinefunction(function)


def has_unknown_hooks(manager: HookManager, declarations: Mapping[str, Declaration], plugin: object) -> bool:
    """Whether ``plugin`` implements hooks that are not optional and that nobody declares."""
    return any(
        hook not in declarations and not opts.get("optionalhook") and not _has_spec(manager, hook)
        for hook, _, opts in manager.implementations(plugin)
    )


def _has_spec(manager: HookManager, hook: str) -> bool:
    """Whether pluggy knows the spec of a hook, which it may be the only one to call."""
    caller = manager.callers.get(hook)
    return caller is not None and caller.has_spec()


def problems(manager: HookManager, declarations: Mapping[str, Declaration], plugin: object) -> list[str]:
    """Return everything that is wrong with the hook implementations of ``plugin``, one sentence each."""
    found: list[str] = []
    for hook, function, opts in manager.implementations(plugin):
        declaration = declarations.get(hook)
        if declaration is None:
            if not opts.get("optionalhook") and not _has_spec(manager, hook):
                found.append(
                    f"unknown hook {hook!r}: nobody declares it.{did_you_mean(hook, declarations)}"
                    " Mark the implementation optionalhook=True if the hook may be absent."
                )
            continue
        blocking = options_of(plugin, function).blocking
        found.extend(
            f"hook {hook!r}: {problem}" for problem in misfits(declaration, function, opts, blocking)
        )
    return found


def misfits(declaration: Declaration, function: Any, opts: Any, blocking: bool) -> Iterator[str]:
    """Yield what keeps one implementation from serving the hook it names: its shape, then its types."""
    yield from shape_misfits(declaration, function, opts, blocking)
    if not (opts.get("wrapper") or opts.get("hookwrapper")):
        yield from map(str, type_misfits(declaration, function))


def shape_misfits(declaration: Declaration, function: Any, opts: Any, blocking: bool) -> Iterator[str]:
    """Yield what keeps one implementation from being called as the hook calls it, whatever its types."""
    yield from _argument_misfits(declaration, function)
    if opts.get("wrapper") or opts.get("hookwrapper"):
        if inspect.isgeneratorfunction(function):
            if blocking:
                yield "a wrapper cannot be blocking=True; let the implementations it wraps do the waiting"
        elif inspect.isasyncgenfunction(function):
            yield "a wrapper must be a plain generator function: 'def', not 'async def'; it sees awaited results"
        else:
            yield "a wrapper must be a plain generator function that yields once"
    else:
        if blocking and is_async(function):
            yield "blocking=True is for plain functions; an async one waits without a thread"
        if declaration.options.sync and (blocking or is_async(function)):
            what = "blocking" if blocking else "async"
            yield f"the hook is called without await, so an implementation cannot be {what}; use a plain function"


def _argument_misfits(declaration: Declaration, function: Any) -> Iterator[str]:
    if _takes_only(declaration.arguments, function):
        return
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY:
            yield f"argument {parameter.name!r} is keyword-only, which pluggy never passes; remove the '*'"
        elif parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        elif parameter.name not in declaration.arguments and parameter.default is parameter.empty:
            known = ", ".join(declaration.arguments) or "none"
            hint = did_you_mean(parameter.name, declaration.arguments)
            yield f"unknown argument {parameter.name!r}; the hook's arguments are: {known}.{hint}"


def _takes_only(known: Iterable[str], function: Any) -> bool:
    """Whether a look at its code is enough to see that a function takes nothing but ``known``, by position."""
    plain, bound = (function.__func__, 1) if type(function) is MethodType else (function, 0)
    if type(plain) is not FunctionType or not {"__wrapped__", "__signature__"}.isdisjoint(plain.__dict__):
        return False
    code = plain.__code__
    return not code.co_kwonlyargcount and {*known}.issuperset(code.co_varnames[bound : code.co_argcount])
