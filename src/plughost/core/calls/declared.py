"""What hooks are declared, read without a host or out of a running one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

import pluggy

from plughost.core.calls.declaration import Declaration, read_declarations
from plughost.hookspecs import CATALOGUE, PROJECT


def declared_hooks(catalogue: Sequence[ModuleType] = CATALOGUE) -> list[Declaration]:
    """Return the declarations of the catalogue, family by family."""
    manager = pluggy.PluginManager(PROJECT)
    return [declaration for family in catalogue for declaration in read_declarations(manager, family)]


def declared_in(manager: pluggy.PluginManager) -> list[Declaration]:
    """Return everything that is declared in a running host, in alphabetical order."""
    specs = [caller.spec for caller in vars(manager.hook).values() if caller.spec is not None]
    found = {
        declaration.name: declaration
        for namespace in dict.fromkeys(spec.namespace for spec in specs)
        for declaration in read_declarations(manager, namespace)
    }
    return [found[name] for name in sorted(found)]


def deprecations(catalogue: Sequence[ModuleType] = CATALOGUE) -> Mapping[str, str]:
    """Return the hooks that warn whoever implements them -> the warning."""
    manager = pluggy.PluginManager(PROJECT)
    found: dict[str, str] = {}
    for family in catalogue:
        for name in dir(family):
            options = manager.parse_hookspec_opts(family, name)
            if options is not None and options["warn_on_impl"] is not None:
                found[name] = str(options["warn_on_impl"])
    return found
