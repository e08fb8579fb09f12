"""The two ways of a call, for tests that must hold on both."""

from __future__ import annotations

import inspect
from typing import Any

from plughost.core.calls.dispatch import CallPolicy, HookDispatcher
from plughost.hookspecs import hookimpl

PLAIN, SHORT = "plain", "short"


def dispatcher(specs: type, *plugins: object, way: str = PLAIN, **policy: Any) -> HookDispatcher:
    """A dispatcher with these specs and plugins, which are called ``a``, ``b``, ``c`` and run in this order."""
    names = [chr(ord("a") + number) for number in range(len(plugins))]
    hooks = [name for name in dir(specs) if not name.startswith("_")]
    made = HookDispatcher(CallPolicy(order=dict.fromkeys(hooks, names), **policy))
    made.add_hookspecs(specs)
    for name, plugin in zip(names, plugins, strict=True):
        made.register(name, plugin)
    if way == SHORT:
        shorten(made)
    return made


def shorten(made: HookDispatcher) -> None:
    """Write the short ways now, as if all hooks had been called often."""
    for point in made._points.values():
        point._shorten(point.plan)


def plugin(hook: str, function: Any, **options: Any) -> object:
    """A plugin whose only implementation, of ``hook``, is ``function``."""
    if inspect.isbuiltin(function):  # such as list.append, which no marker sticks to

        def call(what: Any) -> Any:
            return builtin(what)

        builtin, function = function, call
    marked = hookimpl(specname=hook, **options)(function)
    return type("OnePlugin", (), {"implementation": staticmethod(marked)})()


def figures(made: HookDispatcher, name: str) -> tuple[int, int, int]:
    """Calls, errors and timeouts of the plugin of that name, all hooks together."""
    rows = [row for row in made.metrics.snapshot() if row.plugin == name]
    return (
        sum(row.calls for row in rows),
        sum(row.errors for row in rows),
        sum(row.timeouts for row in rows),
    )
