"""The dispatcher: pluggy keeps who implements what; here hooks and plugins come, change places and go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pluggy

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.error_text import error_text
from plughost.core.calls.blocking import BlockingLane
from plughost.core.calls.catalogue import Catalogue
from plughost.core.calls.declaration import Declaration, Namespace
from plughost.core.calls.drain import Drain
from plughost.core.calls.hook import HookPoint, Observer, hook_function
from plughost.core.calls.metrics import CallMetrics
from plughost.core.calls.plan import CallPlan, Planner
from plughost.core.calls.policy import CallPolicy
from plughost.core.calls.verify import problems
from plughost.core.calls.watchdog import Watchdog
from plughost.exceptions import PluginInvalidError, PluginNotFoundError, UnknownHookError, did_you_mean
from plughost.hookspecs import PROJECT, Hooks

__all__ = ["CallPolicy", "Drain", "HookDispatcher", "HookRelay"]


class HookRelay(Hooks):
    """The hooks of one dispatcher, as attributes: ``await hooks.before_auth(attempt=...)``.

    ``await hooks.before_auth.report(attempt=...)`` tells what each implementation did.
    """

    if not TYPE_CHECKING:  # a type checker shall see the types of Hooks

        def __getattr__(self, name: str) -> Any:
            """Say that nobody declared the hook; those that are declared never get here."""
            raise _unknown(name, vars(self))


class HookDispatcher:
    """Keeps hooks and plugins, and calls the ones for the others.

    Attributes:
        pluggy: The registry, a real ``pluggy.PluginManager``. Whoever registers there is called too, but not
            checked beyond what pluggy checks.
        hooks: The hooks, one attribute for each.
        metrics: What was called, how often, and how it went.

    Args:
        policy: The deployer's order and limits.
        clock: Measures durations. Limits run on the event loop's own time.
    """

    def __init__(self, policy: CallPolicy | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._policy = policy or CallPolicy()
        self._clock = clock
        self.metrics = CallMetrics()
        self.pluggy: pluggy.PluginManager = _TellingManager(self._refresh)
        self.hooks = HookRelay()
        self._catalogue = Catalogue(self.pluggy)
        self._planner = Planner(self._policy, self.metrics)
        self._watchdog = Watchdog(self._policy.grace)
        self._lane = BlockingLane(self._policy.blocking_threads)
        self._points: dict[str, HookPoint] = {}
        self._observer: Observer | None = None
        self._retired: list[CallPlan] = []
        self._ages: dict[str, int] = {}
        self._lock = threading.RLock()
        self._holding = False

    # hooks

    def add_hookspecs(self, namespace: Namespace) -> tuple[str, ...]:
        """Declare the hooks of a module or class; return their names.

        Implementations that were registered with ``optionalhook`` before are called from now on. Adding the
        same declarations again, from here or from a reloaded module, is fine: they go when the last one goes.

        Raises:
            ValueError: It declares nothing, a spec cannot be called by keywords, or another module declares a
                hook of the same name differently.
            PluginInvalidError: A plugin that implements one of these hooks does not fit it.
        """
        with self._change():
            return self._catalogue.add(namespace)

    def remove_hookspecs(self, namespace: Namespace) -> None:
        """Take back what ``add_hookspecs`` declared; calls under way go on, implementers stay registered."""
        with self._change():
            self._catalogue.remove(namespace)

    def declarations(self) -> tuple[Declaration, ...]:
        """Return every declared hook, in the order they came."""
        return tuple(self._catalogue.declarations.values())

    # plugins

    def register(self, name: str, plugin: object) -> tuple[str, ...]:
        """Take in the hook implementations of ``plugin``, all or none; return the hooks it implements.

        Raises:
            PluginInvalidError: Something does not fit; every problem is named, and nothing was registered.
        """
        with self._change():
            self._refuse_misfits(name, plugin, taken=self.pluggy.has_plugin(name))
            self._enter(name, plugin)
        return self.hooks_of(name)

    def unregister(self, name: str) -> Drain:
        """Stop calling the plugin of that name; return the way to wait for the calls under way.

        Raises:
            PluginNotFoundError: Not found.
        """
        with self._change():
            self._leave(name)
        return self._drain(name)

    def replace(self, name: str, plugin: object) -> Drain:
        """Call ``plugin`` instead of the present one of that name, in one step and in the same place.

        A call sees the old one or the new one, never both and never neither. When the new one is refused, the
        old one stays.

        Returns:
            The way to wait for the calls that are still under way in the old one.

        Raises:
            PluginNotFoundError: There is no old one.
            PluginInvalidError: The new one does not fit; every problem is named.
        """
        with self._change():
            if not self.pluggy.has_plugin(name):
                raise _not_found(name, self.pluggy)
            self._refuse_misfits(name, plugin, taken=False)
            old = self._leave(name)
            try:
                self._enter(name, plugin)
            except BaseException:
                self.pluggy.register(old, name)
                raise
        return self._drain(name)

    def hooks_of(self, name: str) -> tuple[str, ...]:
        """Return the names of the hooks a registered plugin implements, in alphabetical order."""
        plugin = self.pluggy.get_plugin(name)
        callers = self.pluggy.get_hookcallers(plugin) if plugin is not None else None
        return tuple(sorted(caller.name for caller in callers or ()))

    def implementers(self) -> dict[str, tuple[str, ...]]:
        """Return each declared hook with the plugins that implement it: wrappers first, then in call order."""
        plans = {name: point.plan for name, point in self._points.items()}
        return {
            name: tuple(step.plugin for step in (*plan.wrappers, *plan.steps)) for name, plan in plans.items()
        }

    def observe(self, observer: Observer | None) -> None:
        """Let every hook call happen in what ``observer(hook)`` returns, such as a span; None ends that.

        Calls under way are not touched. While there is an observer, every call goes the plain way, which is
        slower.
        """
        with self._lock:
            self._observer = observer
            for point in self._points.values():
                point.observer, point.short = observer, None

    # in one step

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Make several changes look like one: plans are renewed at the end."""
        with self._lock:
            outermost, self._holding = not self._holding, True
            try:
                yield
            finally:
                if outermost:
                    self._holding = False
                    self._refresh()

    def _refuse_misfits(self, name: str, plugin: object, *, taken: bool) -> None:
        found = problems(self.pluggy, self._catalogue.declarations, plugin)
        if taken:
            found.insert(
                0, "its name is taken by a registered plugin; unload that one or choose another name"
            )
        if (other := self.pluggy.get_name(plugin)) not in (None, name):
            found.insert(0, f"it is registered already, as {other!r}; make another instance")
        if self.pluggy.is_blocked(name):
            found.insert(0, "its name is blocked in the plugin manager")
        if found:
            raise PluginInvalidError(f"Plugin {name!r} does not fit: {'; '.join(found)}", plugin=name)

    def _enter(self, name: str, plugin: object) -> None:
        try:
            self.pluggy.register(plugin, name)
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginInvalidError(
                f"Plugin {name!r} does not fit: {error_text(error)}", plugin=name
            ) from error

    def _leave(self, name: str) -> object:
        if not self.pluggy.has_plugin(name):
            raise _not_found(name, self.pluggy)
        return self.pluggy.unregister(name=name)

    def _refresh(self) -> None:
        """Make new plans for the hooks whose implementations changed."""
        with self._lock:
            if self._holding:
                return
            self._renew_ages()
            declared = self._catalogue.declarations
            for name, point in [*self._points.items()]:
                if declared.get(name) is not point.plan.declaration:
                    self._retire(self._points.pop(name), None)
                    delattr(self.hooks, name)
            for name, declaration in declared.items():
                self._renew(name, declaration)
            self._settle()

    def _renew_ages(self) -> None:
        present = [name for name, plugin in self.pluggy.list_name_plugin() if plugin is not None]
        newest = max(self._ages.values(), default=0)
        kept = {name: self._ages[name] for name in present if name in self._ages}
        new = (name for name in present if name not in kept)
        self._ages = kept | {name: age for age, name in enumerate(new, newest + 1)}

    def _renew(self, name: str, declaration: Declaration) -> None:
        impls = getattr(self.pluggy.hook, name).get_hookimpls()
        point = self._points.get(name)
        if point is not None and point.plan.is_made_of(declaration, impls):
            return
        plan = self._planner.plan(declaration, impls, self._ages)
        if point is None:
            point = HookPoint(plan, self._watchdog, self._lane, self._clock, self._policy.sample_every)
            point.observer = self._observer
            self._points[name] = point
            setattr(self.hooks, name, hook_function(point, declaration))
            return
        self._retire(point, plan)

    def _retire(self, point: HookPoint, successor: CallPlan | None) -> None:
        self._retired.append(point.plan)
        point.change(successor)

    def _settle(self) -> None:
        """Forget the plans on which no call is under way any more."""
        ended = [plan for plan in self._retired if not plan.traffic.under_way]
        self._retired = [plan for plan in self._retired if plan not in ended]
        for plan in ended:
            plan.settle()

    def _drain(self, name: str) -> Drain:
        """The end of all calls that may still be in the plugin: also those on plans replaced before."""
        return Drain(plan.traffic for plan in self._retired if plan.calls(name))


class _TellingManager(pluggy.PluginManager):
    """A plugin manager that tells when plugins come or go, so that one can register there as well."""

    def __init__(self, changed: Callable[[], None]) -> None:
        super().__init__(PROJECT)
        self._changed = changed

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        registered = super().register(plugin, name)
        self._changed()
        return registered

    def unregister(self, plugin: Any | None = None, name: str | None = None) -> Any | None:
        unregistered = super().unregister(plugin, name)
        self._changed()
        return unregistered


def _unknown(hook: str, known: Any) -> UnknownHookError:
    return UnknownHookError(f"Nobody declared a hook {hook!r}.{did_you_mean(hook, known)}", hook=hook)


def _not_found(name: str, manager: pluggy.PluginManager) -> PluginNotFoundError:
    known = [each for each, plugin in manager.list_name_plugin() if plugin is not None]
    return PluginNotFoundError(
        f"No plugin of the name {name!r} is registered.{did_you_mean(name, known)}", plugin=name
    )
