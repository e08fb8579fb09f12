"""What a hookspec declares, read once when it comes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pluggy

from plughost.hookspecs._markers import SPEC_ATTRIBUTE, SpecOptions

Namespace = ModuleType | type
"""Where hookspecs are declared: a module or a class."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One hook as its spec declares it.

    Attributes:
        name: Name of the hook.
        origin: Qualified name of the module or class that declares it.
        arguments: Names of the arguments, in the order of the spec.
        defaults: Values of the arguments a call may leave out.
        options: Mode, limit and policy; for a spec marked by plain pluggy, ``first`` when it is
            ``firstresult`` and ``collect`` otherwise.
        function: The spec itself.
    """

    name: str
    origin: str
    arguments: tuple[str, ...]
    defaults: Mapping[str, Any]
    options: SpecOptions
    function: Any

    @property
    def subject(self) -> str:
        """For ``waterfall``, the argument that is handed on."""
        asked = self.options.subject
        return asked if asked in self.arguments else self.arguments[0]

    @property
    def signature(self) -> inspect.Signature:
        """The signature of a call: the spec's, with keywords only."""
        given = inspect.signature(self.function)
        parameters = [given.parameters[name] for name in self.arguments]
        return given.replace(
            parameters=[each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
        )

    def agrees_with(self, other: Declaration) -> bool:
        """Whether both promise the same to callers and implementers."""
        mine = (self.arguments, self.defaults, self.options)
        return mine == (other.arguments, other.defaults, other.options)


def read_declarations(manager: pluggy.PluginManager, namespace: Namespace) -> tuple[Declaration, ...]:
    """Return what ``namespace`` declares, in alphabetical order as pluggy finds it.

    Raises:
        ValueError: It declares nothing, or a spec cannot be called by keywords.
    """
    found = tuple(
        _read(name, namespace, opts)
        for name in dir(namespace)
        if (opts := manager.parse_hookspec_opts(namespace, name)) is not None
    )
    if not found:
        raise ValueError(f"{namespace.__name__} declares no hooks: mark its functions with @hookspec")
    return found


def _read(name: str, namespace: Namespace, opts: pluggy.HookspecOpts) -> Declaration:
    function = getattr(namespace, name)
    if opts["historic"]:
        raise ValueError(f"hookspec {name!r} is historic, which never forgets a call: use an event instead")
    parameters = _parameters(function)
    for parameter in parameters:
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise ValueError(
                f"hookspec {name!r}: make {parameter.name!r} a plain argument, pluggy sees no other"
            )
        if parameter.name.startswith("_"):
            raise ValueError(f"hookspec {name!r}: argument {parameter.name!r} begins with an underscore")
    options = getattr(function, SPEC_ATTRIBUTE, None) or SpecOptions(
        mode="first" if opts["firstresult"] else "collect"
    )
    if options.mode == "waterfall" and not parameters:
        raise ValueError(f"hookspec {name!r}: a waterfall needs an argument to hand on")
    return Declaration(
        name=name,
        origin=namespace.__name__
        if isinstance(namespace, ModuleType)
        else f"{namespace.__module__}.{namespace.__qualname__}",
        arguments=tuple(parameter.name for parameter in parameters),
        defaults={each.name: each.default for each in parameters if each.default is not each.empty},
        options=options,
        function=function,
    )


def _parameters(function: Any) -> list[inspect.Parameter]:
    parameters = list(inspect.signature(function).parameters.values())
    if parameters and parameters[0].name in ("self", "cls") and not inspect.ismethod(function):
        return parameters[1:]  # a spec in a class that is never instantiated
    return parameters
