"""The object that pluggy is given for a plugin in another process: its hooks have the same names, arguments and marks.

So planner, time limits, modes, metrics and reloads treat them like any other plugin's.
"""

from __future__ import annotations

import keyword
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import pluggy

from plughost.core.wire.protocol import HookManifest
from plughost.exceptions import PluginInvalidError
from plughost.hookspecs import hookimpl

Ask = Callable[[int, tuple[Any, ...]], Awaitable[Any]]
"""Calls the implementation of that number."""

_GIVEN: Final = "_ask"


def hook_stand_ins(
    plugin: str, project: str, hooks: Iterable[HookManifest], ask: Ask, sync: dict[int, Callable[..., Any]]
) -> object:
    """Return an object with a marked function for each hook.

    Args:
        plugin: Name of the plugin, for messages.
        project: The name in the application's markers.
        hooks: The hooks, in the order of their numbers.
        ask: What the functions do.
        sync: The functions of hooks that are called without ``await``, by number.

    Raises:
        PluginInvalidError: A name in it is none that a function or an argument can have.
    """
    members: dict[str, Any] = {}
    for number, one in enumerate(hooks):
        names = (one.hook, *one.arguments, *one.keywords)
        if not all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
            raise PluginInvalidError(
                f"plugin {plugin!r} names its hook or arguments {names!r}", plugin=plugin
            )
        function = _answering(one, sync[number]) if number in sync else _asking(number, one, ask)
        options: dict[str, Any] = {"tryfirst": one.tryfirst, "trylast": one.trylast}
        options |= {"optionalhook": one.optionalhook, "specname": one.hook}
        own: dict[str, Any] = {"priority": one.priority, "timeout": one.timeout}
        mark = pluggy.HookimplMarker(project)(**options) if one.foreign else hookimpl(**options, **own)
        members[f"hook_{number}"] = staticmethod(mark(function))
    return type("StandIn", (), members)()


def _asking(number: int, one: HookManifest, ask: Ask) -> Any:
    """Write the function: pluggy reads the names of arguments from its code."""
    written = [*one.arguments, *(f"{name}=None" for name in one.keywords)]
    values = "".join(f"{name}, " for name in (*one.arguments, *one.keywords))
    given = _GIVEN
    while given in (*one.arguments, *one.keywords):
        given += "_"
    space: dict[str, Any] = {given: ask}
    code = f"async def {one.hook}({', '.join(written)}):\n    return await {given}({number}, ({values}))\n"
    exec(compile(code, f"<plughost {one.hook} of another process>", "exec"), space)  # noqa: S102  names were checked
    return space[one.hook]


def _answering(one: HookManifest, function: Callable[..., Any]) -> Any:
    if not one.arguments:
        return lambda: function()

    def answer(context: Any) -> Any:  # the one argument that such hooks have
        return function(context)

    return answer
