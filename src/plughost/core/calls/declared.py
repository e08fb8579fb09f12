"""What a host declares: whose markers it reads, which families of the catalogue, which specs of the application."""

from __future__ import annotations

import importlib
from collections.abc import Container, Iterator, Mapping
from functools import reduce
from types import ModuleType
from typing import Any, NamedTuple

import msgspec
import pluggy
from msgspec.structs import replace

from plughost.contracts.config import HostSection
from plughost.contracts.error_text import error_line
from plughost.core.calls.catalogue import is_news
from plughost.core.calls.declaration import (
    AS_PLUGGY,
    Declaration,
    ForeignTerms,
    Namespace,
    read_declarations,
    specs_of,
)
from plughost.core.calls.manager import HookManager
from plughost.core.containment import Point, contained
from plughost.exceptions import ConfigError
from plughost.hookspecs import CATALOGUE, PROJECT


class Implementation(NamedTuple):
    """One hook implementation of a plugin.

    Attributes:
        hook: The name of the hook.
        function: The implementation, bound.
        opts: What pluggy's marker noted.
        declaration: The hook; None when nobody declares it.
    """

    hook: str
    function: Any
    opts: pluggy.HookimplOpts
    declaration: Declaration | None


class HookSetup(msgspec.Struct, frozen=True, kw_only=True):
    """The hooks a host begins with.

    Attributes:
        project: The name in the markers that are read beside plughost's own.
        families: Families of plughost's catalogue.
        hookspecs: What the application declares: modules, classes or instances.
        terms: What holds for specs that pluggy's own marker made.
    """

    project: str = PROJECT
    families: tuple[ModuleType, ...] = CATALOGUE
    hookspecs: tuple[Namespace, ...] = ()
    terms: ForeignTerms = AS_PLUGGY

    @classmethod
    def of(cls, host: HostSection, hookspecs: tuple[Namespace, ...] = ()) -> HookSetup:
        """Return what the table ``[host]`` says, and what code says beside it.

        Raises:
            ConfigError: What it names as hookspecs cannot be imported, or declares nothing.
        """
        families = (one for one in CATALOGUE if host.catalogue is None or family_of(one) in host.catalogue)
        terms = ForeignTerms(on_error=host.on_error, timeout=host.hook_timeout)
        setup = cls(project=host.project, families=tuple(families), terms=terms)
        named: list[Namespace] = []
        path = "host.hookspecs"
        for reference in host.hookspecs:
            module, _, attribute = reference.partition(":")
            try:
                found = contained(Point.IMPORT, importlib.import_module, module)
                found = reduce(getattr, attribute.split(".") if attribute else (), found)
            except Exception as error:
                raise ConfigError(
                    f"{path} names {reference!r}, but importing it raised {error_line(error)}. Install the application "
                    "where plughost is, or correct the name",
                    path=path,
                ) from error
            try:
                read_declarations(setup.manager(), found, setup.terms)
            except ValueError as error:
                raise ConfigError(f"{path}: {error}", path=path) from error
            named.append(found)
        return replace(setup, hookspecs=(*named, *hookspecs))

    @property
    def absent(self) -> HookSetup:
        """The families that are left out, by themselves."""
        return HookSetup(families=tuple(one for one in CATALOGUE if one not in self.families))

    @property
    def namespaces(self) -> tuple[Namespace, ...]:
        """All that is declared at the start."""
        return (*self.families, *self.hookspecs)

    def manager(self) -> HookManager:
        """Return a plugin manager that reads the same markers."""
        return HookManager(self.project)

    def declarations(self) -> list[Declaration]:
        """Return what is declared, namespace by namespace.

        Raises:
            ValueError: As from ``HookDispatcher.add_hookspecs``.
        """
        manager, found = self.manager(), dict[str, Declaration]()
        for namespace in self.namespaces:
            for each in read_declarations(manager, namespace, self.terms):
                if is_news(each, found.get(each.name)):
                    found[each.name] = each
        return list(found.values())

    def implementations(self, plugin: object) -> Iterator[Implementation]:
        """Yield what ``plugin`` implements: hooks that are declared, then plughost's own that are left out."""
        here = {one.name: one for one in self.declarations()}
        beside = {one.name: one for one in self.absent.declarations()}

        def is_own(hook: str) -> bool:
            return means_own(hook, beside, here)

        for project, declared in ((self.project, here), (PROJECT, beside)):
            manager = HookManager(project)
            manager.means = is_own if declared is beside else lambda hook: not is_own(hook)
            for hook, function, opts in manager.implementations(plugin):
                yield Implementation(hook, function, opts, declared.get(hook))

    def deprecations(self) -> Mapping[str, str]:
        """Return the hooks that warn whoever implements them -> the warning."""
        manager = self.manager()
        found: dict[str, str] = {}
        for namespace in self.namespaces:
            for name, options in specs_of(manager, namespace):
                if options["warn_on_impl"] is not None:
                    found[name] = str(options["warn_on_impl"])
        return found


def means_own(hook: str, own: Container[str], declared: Mapping[str, Declaration]) -> bool:
    """Whether plughost's marker on an implementation means plughost's own hook, and not one of that name here.

    Args:
        hook: The name of the hook.
        own: Hooks of plughost's own that the host leaves out.
        declared: What the host declares; what it declared by plughost's own marker is meant first.
    """
    return hook in own and (hook not in declared or declared[hook].foreign)


def family_of(module: ModuleType) -> str:
    """Return the name of a family of the catalogue."""
    return module.__name__.rpartition(".")[2]


def declared_in(manager: pluggy.PluginManager, terms: ForeignTerms = AS_PLUGGY) -> list[Declaration]:
    """Return everything that is declared in a running host, in alphabetical order."""
    callers = manager.callers if isinstance(manager, HookManager) else vars(manager.hook)
    specs = [caller.spec for caller in callers.values() if caller.spec is not None]
    found = {
        declaration.name: declaration
        for namespace in {id(spec.namespace): spec.namespace for spec in specs}.values()
        for declaration in read_declarations(manager, namespace, terms)
    }
    return [found[name] for name in sorted(found)]
