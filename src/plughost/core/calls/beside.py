"""plughost's own hooks of the families that a host leaves out: they stand beside the application's, not among them.

So an application may have a hook of its own under a name that the catalogue has, and plughost's plugins, such as the
admin page, run in its host all the same. Which of the two hooks an implementation means is told by its marker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from plughost.contracts.clock import Clock
from plughost.core.calls.declaration import Declaration
from plughost.core.calls.declared import HookSetup, means_own
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.calls.drain import Drain
from plughost.core.calls.hook import Observer, Tracer
from plughost.core.calls.manager import HookManager
from plughost.core.calls.policy import CallPolicy
from plughost.core.calls.relays import HookRelay
from plughost.exceptions import PluginInvalidError
from plughost.hookspecs import Hooks


def dispatcher_of(policy: CallPolicy, clock: Clock, setup: HookSetup) -> HookDispatcher:
    """Return the dispatcher of a host: one that knows of two kinds of hooks only where families are left out."""
    return (
        TwofoldDispatcher(policy, clock, setup)
        if setup.absent.families
        else HookDispatcher(policy, clock, setup)
    )


class TwofoldDispatcher(HookDispatcher):
    """The application's hooks, and beside them plughost's own that the host leaves out; a plugin may have both.

    A plugin that has plughost's own hooks alone is not in ``pluggy``, where programs look at what is written for them.

    Attributes:
        own: The hooks that are left out, and who implements them.

    Args:
        policy: As of a dispatcher.
        clock: As of a dispatcher.
        setup: What the application declares, without the families of ``setup.absent``.
    """

    def __init__(self, policy: CallPolicy, clock: Clock, setup: HookSetup) -> None:
        super().__init__(policy, clock, setup)
        self.own = HookDispatcher(policy, clock, setup.absent, self.metrics)
        self.pluggy.means = lambda hook: not self._is_own(hook)
        self.own.pluggy.means = self._is_own

        def came(name: str, plugin: object) -> None:
            """Somebody registered a plugin on ``pluggy`` by himself: that is for its hooks of either kind."""
            if not self.is_changing and any(True for _ in self.own.pluggy.implementations(plugin)):
                self.own.pluggy.register(plugin, name)

        def went(name: str, plugin: object) -> None:
            if not self.is_changing and self.own.pluggy.get_plugin(name) is plugin:
                self.own.unregister(name)

        self.pluggy.arrivals.append(came)
        self.pluggy.departures.append(went)

    def _is_own(self, hook: str) -> bool:
        """Whether plughost's marker means the hook that was left out."""
        return means_own(hook, self.own.hooks, self._catalogue.declarations)

    # its place

    def move_in(self) -> None:
        """The host runs, in this thread and on this event loop."""
        super().move_in()
        self.own.move_in()

    def move_out(self) -> None:
        """The host has ended."""
        super().move_out()
        self.own.move_out()

    # plugins

    def register(
        self, name: str, plugin: object, *, first: Callable[[], object] = lambda: None
    ) -> tuple[str, ...]:
        """Take in the implementations of both kinds, all or none; return the hooks it implements."""
        if self.pluggy.has_plugin(name) or self.own.pluggy.has_plugin(name):
            raise PluginInvalidError(f"plugin {name!r} does not fit: its name is taken", plugin=name)
        self._put(name, plugin, first)
        return self.hooks_of(name)

    def replace(self, name: str, plugin: object, *, first: Callable[[], object] = lambda: None) -> Drain:
        """Call ``plugin`` instead of the present one of that name, in the hooks of both kinds."""
        return self._put(name, plugin, first)

    def _put(self, name: str, plugin: object, first: Callable[[], object]) -> Drain:
        """Check both sides, then change both: a side is changed in the step that the other one calls first."""
        has_own = any(True for _ in self.own.pluggy.implementations(plugin))
        has_others = any(True for _ in self.pluggy.implementations(plugin))
        drains: list[Drain] = []

        def change(side: Any, known: bool, wanted: bool, then: Callable[[], object]) -> None:
            if wanted and known:
                drains.append(side.replace(name, plugin, first=then))
            elif wanted:
                side.register(name, plugin, first=then)
            else:
                then()
                if known:
                    drains.append(side.unregister(name))

        application, was_here = super(), self.pluggy.has_plugin(name)
        change(
            self.own,
            self.own.pluggy.has_plugin(name),
            has_own,
            lambda: change(application, was_here, has_others or not has_own, first),
        )
        return Drain.of_all(drains)

    def unregister(self, name: str) -> Drain:
        """Stop calling the plugin of that name."""
        is_own = self.own.pluggy.has_plugin(name)
        drains = [self.own.unregister(name)] if is_own else []
        if self.pluggy.has_plugin(name) or not is_own:
            drains.append(super().unregister(name))
        return Drain.of_all(drains)

    def let_go(self, name: str, plugin: object) -> Drain:
        """Do what ``unregister`` does, though somebody else may have unregistered the plugin already."""
        return Drain.of_all((self.own.let_go(name, plugin), super().let_go(name, plugin)))

    def reserve_places(self, names: Iterable[str]) -> None:
        """Treat plugins as if they had been registered in this order, whenever that happens."""
        names = [*names]
        super().reserve_places(names)
        self.own.reserve_places(names)

    def keep_place(self, name: str) -> None:
        """Let a plugin that goes and comes again be called where it was."""
        super().keep_place(name)
        self.own.keep_place(name)

    def hooks_of(self, name: str) -> tuple[str, ...]:
        """Return the names of the hooks a registered plugin implements, of both kinds."""
        return tuple(sorted({*super().hooks_of(name), *self.own.hooks_of(name)}))

    def implementers(self) -> dict[str, tuple[str, ...]]:
        """Return each hook with the plugins that implement it; a name of both kinds is the application's."""
        answered = {hook: plugins for hook, plugins in self.own.implementers().items() if plugins}
        return answered | super().implementers()

    def observe(self, observer: Observer | None) -> None:
        """Let every call of a hook of either kind happen in what ``observer(hook)`` returns."""
        super().observe(observer)
        self.own.observe(observer)

    def trace(self, tracer: Tracer) -> Callable[[], None]:
        """Tell ``tracer`` of every call of a hook of either kind; returns what ends that."""
        ends = super().trace(tracer), self.own.trace(tracer)

        def end() -> None:
            for each in ends:
                each()

        return end


class OwnHooks(Hooks):
    """Both kinds of hooks under one face.

    Args:
        declared: The hooks of the host.
        absent: The hooks of the families that it leaves out.
        own_first: Whether a name that both have is plughost's.
    """

    def __init__(self, declared: HookRelay, absent: HookRelay, *, own_first: bool) -> None:
        self._declared = declared
        self._absent = absent
        self._own_first = own_first

    if not TYPE_CHECKING:  # a type checker shall see the types of Hooks

        def __getattr__(self, name: str) -> Any:
            left_out = name in self._absent and (self._own_first or name not in self._declared)
            return getattr(self._absent if left_out else self._declared, name)


def own_hooks(dispatcher: HookDispatcher) -> Hooks:
    """Return the hooks as plughost itself calls them: a name of the catalogue is never the application's."""
    return _under_one_face(dispatcher, own_first=True)


def hooks_of_plugins(dispatcher: HookDispatcher) -> Hooks:
    """Return the hooks as plugins call them: the host's, and those that it leaves out."""
    return _under_one_face(dispatcher, own_first=False)


def manager_of(dispatcher: HookDispatcher, family: ModuleType) -> HookManager:
    """Return the plugin manager that has a family of the catalogue."""
    if isinstance(dispatcher, TwofoldDispatcher) and family not in dispatcher.setup.families:
        return dispatcher.own.pluggy
    return dispatcher.pluggy


def meant(dispatcher: HookDispatcher, hook: str, *, own: bool) -> Declaration | None:
    """Return the declaration of a hook: with ``own`` plughost's, where the application has one of that name too."""
    if own and isinstance(dispatcher, TwofoldDispatcher):
        left_out = {one.name: one for one in dispatcher.own.declarations()}.get(hook)
        if left_out is not None and dispatcher.own.pluggy.means(hook):
            return left_out
    return {one.name: one for one in dispatcher.declarations()}.get(hook)


def _under_one_face(dispatcher: HookDispatcher, *, own_first: bool) -> Hooks:
    if not isinstance(dispatcher, TwofoldDispatcher):
        return dispatcher.hooks
    return OwnHooks(dispatcher.hooks, dispatcher.own.hooks, own_first=own_first)
