"""What a hookspec declares, read once when it comes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

import msgspec
import pluggy

from plughost.core.calls.marks import may_be_marked, projects_marking
from plughost.hookspecs import CATALOGUE, PROJECT
from plughost.hookspecs._markers import SPEC_ATTRIBUTE, Mode, OnError, SpecOptions

Namespace = Any
"""Where hookspecs are declared: a module, a class or an instance, as with pluggy."""


class ForeignTerms(msgspec.Struct, frozen=True):
    """What holds for specs that pluggy's own marker made, which says nothing of it.

    Attributes:
        on_error: ``abort``: as with pluggy, what an implementation raises comes out of the call as it is;
            ``isolate``: it is logged and counted, and the call goes on.
        timeout: Seconds each implementation may take; None means no limit.
    """

    on_error: OnError = "abort"
    timeout: float | None = None

    def options(self, *, firstresult: bool) -> SpecOptions:
        """Return the options of such a spec."""
        mode: Mode = "first" if firstresult else "collect"
        return SpecOptions(mode=mode, timeout=self.timeout, on_error=self.on_error)


AS_PLUGGY = ForeignTerms()
"""No limit and no isolation: what pluggy does."""


class Declaration(msgspec.Struct, frozen=True):
    """One hook as its spec declares it.

    Attributes:
        name: Name of the hook.
        origin: Qualified name of the module or class that declares it.
        arguments: Names of the arguments, in the order of the spec.
        defaults: Values of the arguments a call may leave out.
        options: Mode, limit and policy; for a spec marked by plain pluggy, ``first`` when it is
            ``firstresult`` and ``collect`` otherwise.
        function: The spec itself.
        foreign: Whether pluggy's own marker made it: its options then mean what pluggy says.
        historic: Whether every call is made again for plugins that come later; called by ``call_historic`` only.
    """

    name: str
    origin: str
    arguments: tuple[str, ...]
    defaults: Mapping[str, Any]
    options: SpecOptions
    function: Any
    foreign: bool = False
    historic: bool = False

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
        mine = (self.arguments, self.defaults, self.options, self.historic)
        return mine == (other.arguments, other.defaults, other.options, other.historic)


def read_declarations(
    manager: pluggy.PluginManager, namespace: Namespace, terms: ForeignTerms = AS_PLUGGY
) -> tuple[Declaration, ...]:
    """Return what ``namespace`` declares, in alphabetical order as pluggy finds it.

    Args:
        manager: Knows whose markers are meant.
        namespace: The module, class or instance.
        terms: What holds for specs that pluggy's own marker made.

    Raises:
        ValueError: It declares nothing, or a spec cannot be called by keywords.
    """
    if any(namespace is family for family in CATALOGUE):
        return _read_family(namespace)
    found = tuple(
        read_declaration(name, namespace, opts, terms) for name, opts in specs_of(manager, namespace)
    )
    if not found:
        project = manager.project_name
        others = sorted(projects_marking(namespace, "_spec") - {project})
        if others:
            raise ValueError(
                f"{origin_of(namespace)} declares no hooks of project {project!r}, but some of {', '.join(others)}: "
                f"give the host that name, Host(..., project={others[0]!r})"
            )
        if isinstance(namespace, str):
            raise ValueError(
                f"hookspecs are modules, classes or instances: import {namespace!r} and hand it over, or name it in the"
                " configuration, [host] hookspecs"
            )
        raise ValueError(f"{origin_of(namespace)} declares no hooks: mark its functions with @hookspec")
    return found


@cache
def _read_family(family: ModuleType) -> tuple[Declaration, ...]:
    """Read a family of plughost's own hooks once: every host of the process declares the same."""
    functions = ((name, each) for name, each in sorted(vars(family).items()) if type(each) is FunctionType)
    specs = ((name, getattr(function, f"{PROJECT}_spec", None)) for name, function in functions)
    return tuple(read_declaration(name, family, opts, AS_PLUGGY) for name, opts in specs if opts is not None)


def specs_of(
    manager: pluggy.PluginManager, namespace: Namespace
) -> Iterator[tuple[str, pluggy.HookspecOpts]]:
    """Yield name and pluggy's options of each hookspec in ``namespace``, in alphabetical order as pluggy finds it."""
    marked = may_be_marked(namespace, "_spec")
    for name in dir(namespace):
        if name in marked and (opts := manager.parse_hookspec_opts(namespace, name)) is not None:
            yield name, opts


def read_declaration(
    name: str, namespace: Namespace, opts: pluggy.HookspecOpts, terms: ForeignTerms
) -> Declaration:
    """Return what one spec declares.

    Raises:
        ValueError: It cannot be called by keywords.
    """
    function = getattr(namespace, name)
    arguments, defaults = arguments_of(name, function)
    own: SpecOptions | None = getattr(function, SPEC_ATTRIBUTE, None)
    options = own or terms.options(firstresult=bool(opts["firstresult"]))
    if options.mode == "waterfall" and not arguments:
        raise ValueError(f"hookspec {name!r}: a waterfall needs an argument to hand on")
    return Declaration(
        name=name,
        origin=origin_of(namespace),
        arguments=arguments,
        defaults=defaults,
        options=options,
        function=function,
        foreign=own is None,
        historic=bool(opts["historic"]),
    )


def arguments_of(name: str, function: Any) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the names of a spec's arguments, and the values of those that a call may leave out.

    Raises:
        ValueError: It cannot be called by keywords.
    """
    code = (
        function.__code__
        if type(function) is FunctionType and not _SAID_OTHERWISE & vars(function).keys()
        else None
    )
    if code is not None and not (
        code.co_flags & _STARRED or code.co_posonlyargcount or code.co_kwonlyargcount
    ):
        # What inspect would come to, in a tenth of its steps
        names, values = code.co_varnames[: code.co_argcount], function.__defaults__ or ()
        defaults = dict(zip(names[len(names) - len(values) :], values, strict=True))
    else:
        parameters = inspect.signature(function).parameters
        names = tuple(parameters)
        defaults = {each.name: each.default for each in parameters.values() if each.default is not each.empty}
        for each in parameters.values():
            if each.kind is not each.POSITIONAL_OR_KEYWORD:
                raise ValueError(
                    f"hookspec {name!r}: make {each.name!r} a plain argument, pluggy sees no other"
                )
    if names[:1] in (("self",), ("cls",)) and not inspect.ismethod(function):
        defaults.pop(names[0], None)
        names = names[1:]  # a spec in a class that is never instantiated
    for argument in names:
        if argument.startswith("_"):
            raise ValueError(f"hookspec {name!r}: argument {argument!r} begins with an underscore")
    return names, defaults


_SAID_OTHERWISE = frozenset({"__wrapped__", "__signature__"})
_STARRED = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def origin_of(namespace: Namespace) -> str:
    """Return the qualified name of a module or class, or of the class of an instance."""
    if isinstance(namespace, ModuleType):
        return namespace.__name__
    kind = namespace if isinstance(namespace, type) else type(namespace)
    return f"{kind.__module__}.{kind.__qualname__}"
