"""How the arguments and the answer of one hook cross; refused, with what to do, when they cannot."""

from __future__ import annotations

import typing
from typing import Any, Final, Literal

from plughost._dataclasses import dataclass
from plughost.core.calls.declaration import Declaration
from plughost.core.wire.codec import CannotCrossError, WireCodec, arguments_codec
from plughost.core.wire.protocol import HookManifest
from plughost.exceptions import NotCrossableError

REGISTERED: Final = frozenset({"register_jobs", "register_routes", "register_admin_panels"})
"""Hooks that are called without ``await`` and yet cross: they are asked when the plugin is started."""

_ANSWERLESS: Final = WireCodec(None)


@dataclass(frozen=True, slots=True)
class HookCrossing:
    """How one hook crosses.

    Attributes:
        arguments: What the implementation takes, in its order.
        answer: What it returns.
        each_argument: The arguments one by one, to find the one that does not cross.
    """

    arguments: WireCodec
    answer: WireCodec
    each_argument: tuple[WireCodec, ...] = ()


def crossing_of_hook(plugin: str, manifest: HookManifest, declaration: Declaration | None) -> HookCrossing:
    """Return how a hook crosses; what is not declared may be anything that is data.

    Raises:
        NotCrossableError: It cannot; named are hook, argument, type and what to do.
    """
    hints = hints_of_declaration(declaration)
    if declaration is not None and declaration.options.sync:
        return HookCrossing(arguments_codec(()), _ANSWERLESS)  # it is not called from the other process
    wanted = [(name, hints.get(name, Any)) for name in (*manifest.arguments, *manifest.keywords)]
    for name, annotation in wanted:
        if reason := _live(declaration, name) or why_not_crossing(annotation):
            raise _refused(plugin, manifest.hook, name, reason)
    arguments = arguments_codec([annotation for _, annotation in wanted])
    each = tuple(WireCodec(annotation) for _, annotation in wanted)
    if declaration is not None and declaration.options.mode == "broadcast":
        return HookCrossing(arguments, _ANSWERLESS, each)
    answer = hints.get("return", Any)
    if reason := why_not_crossing(answer):
        raise _refused(plugin, manifest.hook, "return", reason)
    return HookCrossing(arguments, WireCodec(answer), each)


def hints_of_declaration(declaration: Declaration | None) -> dict[str, Any]:
    """Return the annotations of a hook; empty when they are not known, or bind nobody."""
    if declaration is None or declaration.foreign:
        return {}
    try:
        return typing.get_type_hints(declaration.function, include_extras=True)
    except Exception:  # they name what is imported for type checkers only
        return {}


def why_not_crossing(annotation: Any) -> str:
    """Say why values of a type cannot leave their process; empty when they can."""
    try:
        WireCodec(annotation)
    except CannotCrossError as error:
        return str(error)
    return ""


def _live(declaration: Declaration | None, argument: str) -> str:
    """Say so when an argument that may be anything is known never to be data: the connection of an app."""
    is_app_hook = declaration is not None and declaration.origin.startswith("plughost.hookspecs.app_")
    return "it is an open connection, a live object" if is_app_hook and argument == "connection" else ""


@dataclass(frozen=True, slots=True)
class CrossingVerdict:
    """Whether plugins in other processes can implement a hook, for people.

    Attributes:
        kind: ``crosses``; ``by value``, when it depends on what is handed over; ``without``, when an implementation
            that leaves an argument out can; or ``refused``.
        reason: Which part, and why; empty when it crosses.
    """

    kind: Literal["crosses", "by value", "without", "refused"]
    reason: str = ""


def crossing_verdict(declaration: Declaration) -> CrossingVerdict:
    """Say whether plugins in processes of their own can implement a hook."""
    if declaration.options.sync:
        if declaration.name in REGISTERED:
            return CrossingVerdict("crosses")
        return CrossingVerdict("refused", "what it returns is called in the host")
    hints = hints_of_declaration(declaration)
    answer = None if declaration.options.mode == "broadcast" else hints.get("return", Any)
    if reason := why_not_crossing(answer):
        return CrossingVerdict("refused", f"its answer: {reason}")
    free = [] if answer is None or not WireCodec(answer).shape.free else ["its answer"]
    for name in declaration.arguments:
        if reason := _live(declaration, name) or why_not_crossing(hints.get(name, Any)):
            return CrossingVerdict("without", f"`{name}`: {reason}")
        free += [f"`{name}`"] if WireCodec(hints.get(name, Any)).shape.free else []
    if free:
        return CrossingVerdict(
            "by value", f"{', '.join(free)}: plain data and records of `plughost.contracts`"
        )
    return CrossingVerdict("crosses")


def _refused(plugin: str, hook: str, argument: str, reason: str) -> NotCrossableError:
    what = "the answer" if argument == "return" else f"the argument {argument!r}"
    cure = "" if argument == "return" else f"; or leave {argument!r} out of the implementation's arguments"
    return NotCrossableError(
        f"plugin {plugin!r} cannot implement the hook {hook!r} in a process of its own: {what} cannot leave its "
        f'process, because {reason}. Take isolation = "process" out of [plugins.{plugin}]{cure}',
        plugin=plugin,
        hook=hook,
        argument=argument,
    )
