"""The hooks that are declared now, and who declared them."""

from __future__ import annotations

import warnings
from types import ModuleType

from plughost.core.calls.declaration import (
    AS_PLUGGY,
    Declaration,
    ForeignTerms,
    Namespace,
    origin_of,
    read_declaration,
    read_declarations,
)
from plughost.core.calls.manager import HookManager
from plughost.core.calls.verify import misfits, options_of
from plughost.exceptions import PluginInvalidError


class Catalogue:
    """Declarations come with a module and go with it; a hook declared twice alike goes with the last one.

    Attributes:
        declarations: What is declared, by name.
        unfit: Hooks that only pluggy itself can call -> why.
        changes: How often declarations came or went.

    Args:
        manager: Where pluggy keeps its specs.
        terms: What holds for specs that pluggy's own marker made.
    """

    def __init__(self, manager: HookManager, terms: ForeignTerms = AS_PLUGGY) -> None:
        self._manager = manager
        self._terms = terms
        self.unfit: dict[str, str] = {}
        self.changes = 0
        self._owners: dict[str, list[Namespace]] = {}
        self.declarations: dict[str, Declaration] = {}

    def add(self, namespace: Namespace) -> tuple[str, ...]:
        """Declare what ``namespace`` declares, all or nothing; return the names."""
        found = read_declarations(self._manager, namespace, self._terms)
        changed = [each for each in found if is_news(each, self.declarations.get(each.name))]
        for declaration in changed:
            caller = getattr(self._manager.hook, declaration.name, None)
            for impl in caller.get_hookimpls() if caller is not None else ():
                blocking = options_of(impl.plugin, impl.function).blocking
                wrong = [*misfits(declaration, impl.function, impl.opts, blocking)]
                if wrong:
                    raise PluginInvalidError(
                        f"plugin {impl.plugin_name!r} does not fit hook {declaration.name!r}, "
                        f"which {declaration.origin} declares: {'; '.join(wrong)}",
                        plugin=impl.plugin_name,
                    )
        self.changes += 1
        self._forget([each.name for each in changed if each.name in self.declarations])
        # the new specs alone: pluggy refuses a module of which it knows a part
        part = ModuleType(origin_of(namespace), namespace.__doc__)
        vars(part).update((each.name, each.function) for each in changed)
        if any(changed):
            self._manager.enter_hookspecs(part)
        self.declarations.update((each.name, each) for each in changed)
        for each in found:
            self._owners.setdefault(each.name, []).append(namespace)
        return tuple(each.name for each in found)

    def namespaces(self) -> tuple[Namespace, ...]:
        """Return what the declarations came from, each once."""
        owners = {id(one): one for found in self._owners.values() for one in found}
        return tuple(owners.values())

    def follow(self, namespace: Namespace) -> None:
        """Take over what pluggy's own manager was given; what cannot be called by keywords stays its own."""
        self.changes += 1
        # What pluggy took, not what is marked: a class that derives from its manager may look for specs otherwise.
        specs = (caller.spec for caller in self._manager.callers.values())
        for spec in [each for each in specs if each is not None and each.namespace is namespace]:
            name = spec.name
            if any(owner is namespace for owner in self._owners.get(name, ())):
                continue  # it was declared before
            try:
                self.declarations[name] = read_declaration(name, namespace, spec.opts, self._terms)
            except ValueError as error:
                self.unfit[name] = str(error)
            else:
                self._owners.setdefault(name, []).append(namespace)

    def remove(self, namespace: Namespace) -> None:
        """Undo one ``add`` of ``namespace``; one that was never added is ignored."""
        orphans = []
        for name, owners in [*self._owners.items()]:
            place = next((at for at, owner in enumerate(owners) if owner is namespace), None)
            if place is not None:
                del owners[place]
                if not owners:
                    orphans.append(name)
                    del self._owners[name], self.declarations[name]
        self._forget(orphans)
        self.changes += 1

    def _forget(self, names: list[str]) -> None:
        """Make pluggy forget specs, and take their implementers in again as those of an undeclared hook.

        pluggy has no way to take a spec back, but a hook without its attribute is as good as new.
        """
        implementers = {
            impl.plugin_name for name in names for impl in getattr(self._manager.hook, name).get_hookimpls()
        }
        again = [(name, plugin) for name, plugin in self._manager.list_name_plugin() if name in implementers]
        for name, _ in again:
            self._manager.unregister(name=name)
        for name in names:
            delattr(self._manager.hook, name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these warned when they were registered first
            for name, plugin in again:
                self._manager.register(plugin, name)


def is_news(new: Declaration, old: Declaration | None) -> bool:
    """Whether a declaration says something that is not declared yet; a reloaded module may change its own.

    Raises:
        ValueError: Another module declared a hook of that name differently.
    """
    if old is None:
        return True
    if new.agrees_with(old):
        return False
    if old.origin != new.origin:
        raise ValueError(
            f"{new.origin} declares hook {new.name!r} differently from {old.origin}, "
            "which was first; give the hook another name"
        )
    return True
