"""The dispatcher: pluggy keeps who implements what; here hooks and plugins come, change places and go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import partial
from typing import Any

import pluggy
from anyio.lowlevel import current_token

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.error_text import error_text
from plughost.contracts.value_text import value_text
from plughost.core.calls.blocking import BlockingLane
from plughost.core.calls.catalogue import Catalogue
from plughost.core.calls.declaration import Declaration, Namespace
from plughost.core.calls.declared import HookSetup
from plughost.core.calls.drain import Drain
from plughost.core.calls.here import Here, Home
from plughost.core.calls.hook import (
    CallKit,
    HookPoint,
    Observer,
    Tracer,
    hook_function,
    refusing,
    sync_hook_function,
)
from plughost.core.calls.manager import HookManager
from plughost.core.calls.metrics import CallMetrics
from plughost.core.calls.plan import CallPlan, Planner
from plughost.core.calls.policy import CallPolicy
from plughost.core.calls.relays import HookRelay, SyncHookRelay, offer, withdraw
from plughost.core.calls.seniority import Seniority
from plughost.core.calls.verify import has_unknown_hooks, problems
from plughost.core.calls.watchdog import Watchdog
from plughost.exceptions import PluginInvalidError, PluginNotFoundError, UnknownHookError, did_you_mean

__all__ = ["CallPolicy", "Drain", "HookDispatcher", "HookRelay", "HookSetup", "SyncHookRelay"]

NOTHING_DECLARED = HookSetup(families=())
"""For a dispatcher whose hooks come later."""


class HookDispatcher:
    """Keeps hooks and plugins, and calls the ones for the others.

    Attributes:
        pluggy: The registry, a real ``pluggy.PluginManager``. Whoever registers there is called too, but not
            checked beyond what pluggy checks.
        hooks: The hooks, one attribute for each.
        sync_hooks: The same, called without ``await``.
        setup: What is declared at the start.
        home: Where the host runs, while it does.
        metrics: What was called, how often, and how it went.

    Args:
        policy: The deployer's order and limits.
        setup: Whose markers are read, and what is declared; by default only plughost's, and nothing.
        clock: Measures durations. Limits run on the event loop's own time.
        metrics: Where calls are counted; its own when none is given.
    """

    def __init__(
        self,
        policy: CallPolicy | None = None,
        clock: Clock = SYSTEM_CLOCK,
        setup: HookSetup = NOTHING_DECLARED,
        metrics: CallMetrics | None = None,
    ) -> None:
        self._policy = policy or CallPolicy()
        self.setup = setup
        self.metrics = metrics or CallMetrics()
        self.pluggy = HookManager(setup.project, self._refresh, self._follow)
        self.sync_hooks = SyncHookRelay()
        self.hooks = HookRelay(self.sync_hooks)
        self.home = Home()
        self._catalogue = Catalogue(self.pluggy, setup.terms)
        self._planner = Planner(self._policy, self.metrics)
        self._watchdog = Watchdog(self._policy.grace)
        lane = BlockingLane(self._policy.blocking_threads)
        here = Here(self.home, self._watchdog, lane)
        every, monitors = self._policy.sample_every, self.pluggy.monitors
        self._kit = CallKit(self._watchdog, lane, clock, every, here, monitors, self._extended)
        self._points: dict[str, HookPoint] = {}
        self._observer: Observer | None = None
        self._tracers: tuple[Tracer, ...] = ()
        self._retired: list[CallPlan] = []
        self._seniority = Seniority()
        self._lock = threading.RLock()
        self._changer: int | None = None
        self._touched: AbstractSet[str] | None = frozenset()
        self._followed = 0
        with self._change():
            for namespace in setup.namespaces:
                self.add_hookspecs(namespace)

    # hooks

    def add_hookspecs(self, namespace: Namespace) -> tuple[str, ...]:
        """Declare the hooks of a module, class or instance; return their names.

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

    def namespaces(self) -> tuple[Namespace, ...]:
        """Return the modules, classes and instances that declare these, each once."""
        return self._catalogue.namespaces()

    # its place

    def move_in(self) -> None:
        """The host runs, in this thread and on this event loop."""
        home = self.home
        home.token, home.thread, home.process = current_token(), threading.get_ident(), os.getpid()

    def move_out(self) -> None:
        """The host has ended."""
        self.home.token = None

    # plugins

    def register(
        self, name: str, plugin: object, *, first: Callable[[], object] = lambda: None
    ) -> tuple[str, ...]:
        """Take in the hook implementations of ``plugin``, all or none; return the hooks it implements.

        Args:
            name: Its name.
            plugin: The module, class or instance.
            first: Called when all fits and nothing has happened yet; what it raises keeps the plugin out.

        Raises:
            PluginInvalidError: Something does not fit; every problem is named, and nothing was registered.
        """
        with self._change(), self.pluggy.looking_at(plugin):
            self._refuse_misfits(name, plugin, taken=self.pluggy.has_plugin(name))
            first()
            self._enter(name, plugin)
        return self.hooks_of(name)

    def reserve_places(self, names: Iterable[str]) -> None:
        """Treat plugins as if they had been registered in this order, whenever that happens.

        Among equals the last one registered is called first; starts that take different times from run to run
        must not change who that is.
        """
        self._seniority.reserve(names)

    @property
    def is_changing(self) -> bool:
        """Whether a plugin that comes or goes now does so by one of these methods, in this thread."""
        return self._changer == threading.get_ident()

    def let_go(self, name: str, plugin: object) -> Drain:
        """Do what ``unregister`` does, though somebody else may have unregistered the plugin already."""
        if self.pluggy.get_plugin(name) is plugin:
            return self.unregister(name)
        return self._drain(name)

    def keep_place(self, name: str) -> None:
        """Let a plugin that goes and comes again be called where it was."""
        self._seniority.keep(name)

    def unregister(self, name: str) -> Drain:
        """Stop calling the plugin of that name; return the way to wait for the calls under way.

        Raises:
            PluginNotFoundError: Not found.
        """
        with self._change():
            self._leave(name)
        return self._drain(name)

    def replace(self, name: str, plugin: object, *, first: Callable[[], object] = lambda: None) -> Drain:
        """Call ``plugin`` instead of the present one of that name, in one step and in the same place.

        A call sees the old one or the new one, never both and never neither. When the new one is refused, the
        old one stays. ``first`` is as for ``register``.

        Returns:
            The way to wait for the calls that are still under way in the old one.

        Raises:
            PluginNotFoundError: There is no old one.
            PluginInvalidError: The new one does not fit; every problem is named.
        """
        with self._change(), self.pluggy.looking_at(plugin):
            if not self.pluggy.has_plugin(name):
                raise _not_found(name, self.pluggy)
            self._refuse_misfits(name, plugin, taken=False)
            first()
            old = self._leave(name)
            try:
                self._enter(name, plugin)
            except BaseException:
                self.pluggy.register(old, name)
                raise
        return self._drain(name)

    def hooks_of(self, name: str) -> tuple[str, ...]:
        """Return the names of the hooks a registered plugin implements, in alphabetical order."""
        return tuple(sorted(self.pluggy.hooks_of(name)))

    def lacks_hooks_of(self, plugin: object) -> bool:
        """Whether a plugin implements hooks that nobody has declared yet and that are not optional."""
        return has_unknown_hooks(self.pluggy, self._catalogue.declarations, plugin)

    def implementers(self) -> dict[str, tuple[str, ...]]:
        """Return each declared hook with the plugins that implement it: wrappers first, then in call order."""
        plans = {name: point.plan for name, point in self._points.items()}
        return {
            name: tuple(step.plugin for step in (*plan.wrappers, *plan.steps)) for name, plan in plans.items()
        }

    def observe(self, observer: Observer | None) -> None:
        """Let every hook call happen in what ``observer(hook)`` returns, such as a span; None ends that.

        Calls under way are not touched.
        """
        with self._lock:
            self._observer = observer
            for point in self._points.values():
                point.watch(observer, self._tracers)

    def trace(self, tracer: Tracer) -> Callable[[], None]:
        """Tell ``tracer`` of every call from now on; returns what ends that. Calls are slower meanwhile."""
        entry: Tracer = lambda report: tracer(report)  # noqa: E731 - of its own, so that it can end alone

        def change(tracers: tuple[Tracer, ...]) -> None:
            self._tracers = tracers
            for point in self._points.values():
                point.watch(self._observer, tracers)

        def end() -> None:
            with self._lock:
                change(tuple(one for one in self._tracers if one is not entry))

        with self._lock:
            change((*self._tracers, entry))
        return end

    # in one step

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Make several changes look like one: plans are renewed at the end."""
        with self._lock:
            outermost, self._changer = self._changer is None, threading.get_ident()
            try:
                yield
            finally:
                if outermost:
                    self._changer = None
                    self._refresh()

    def _refuse_misfits(self, name: str, plugin: object, *, taken: bool) -> None:
        found = problems(self.pluggy, self._catalogue.declarations, plugin)
        if taken:
            found.insert(
                0, "its name is taken by a registered plugin; unload that one or choose another name"
            )
        if (other := self.pluggy.get_name(plugin)) not in (None, name):
            found.insert(0, f"it is registered already, as {value_text(other)}; make another instance")
        if self.pluggy.is_blocked(name):
            found.insert(0, "its name is blocked in the plugin manager")
        if found:
            raise PluginInvalidError(f"plugin {name!r} does not fit: {'; '.join(found)}", plugin=name)

    def _enter(self, name: str, plugin: object) -> None:
        try:
            self.pluggy.register(plugin, name)
        except BaseException as error:
            if self.pluggy.get_plugin(name) is plugin:  # a historic call failed: the rest is in already
                self.pluggy.unregister(name=name)
            if not isinstance(error, pluggy.PluginValidationError | ValueError):
                raise
            raise PluginInvalidError(
                f"plugin {name!r} does not fit: {error_text(error)}", plugin=name
            ) from error

    def _leave(self, name: str) -> object:
        if not self.pluggy.has_plugin(name):
            raise _not_found(name, self.pluggy)
        return self.pluggy.unregister(name=name)

    def _refresh(self, touched: AbstractSet[str] | None = frozenset()) -> None:
        """Make new plans for the hooks whose implementations changed: those of ``touched``, or None for any."""
        with self._lock:
            self._touched = None if touched is None or self._touched is None else self._touched | touched
            if self._changer is not None:
                return
            touched, self._touched = self._touched, frozenset()
            self._seniority.renew(self.pluggy.names)
            declared = self._catalogue.declarations
            if self._followed != self._catalogue.changes:
                self._followed = self._catalogue.changes
                # Let go of the hooks that nobody declares any more, or that are declared anew.
                for name, point in [*self._points.items()]:
                    if declared.get(name) is not point.plan.declaration:
                        self._retire(self._points.pop(name), None)
                        withdraw(self.hooks, name)
                        withdraw(self.sync_hooks, name)
                touched = None
            for point in self._points.values() if touched is None else ():
                point.choose()
            for name in declared if touched is None else touched & declared.keys():
                self._renew(name, declared[name])
            # Forget the plans on which no call is under way any more
            ended = [plan for plan in self._retired if not plan.traffic.under_way]
            self._retired = [plan for plan in self._retired if plan not in ended]
            for plan in ended:
                plan.settle()

    def _renew(self, name: str, declaration: Declaration) -> None:
        caller = self.pluggy.callers[name]
        impls = caller.get_hookimpls()
        point = self._points.get(name)
        if point is not None and point.plan.is_made_of(declaration, impls):
            return
        plan = self._planner.plan(
            declaration, impls, self._seniority.ages, None if point is None else point.plan
        )
        if point is None:
            point = HookPoint(plan, self._kit)
            point.watch(self._observer, self._tracers)
            self._points[name] = point
            offer(self.hooks, name, partial(hook_function, point, declaration, caller))
            offer(self.sync_hooks, name, partial(sync_hook_function, point, declaration, caller))
            return
        self._retire(point, plan)

    def _extended(self, plan: CallPlan, methods: Sequence[Any]) -> CallPlan:
        """Return a plan with further implementations, which are called as if they had come last."""
        opts: pluggy.HookimplOpts = {
            "wrapper": False,
            "hookwrapper": False,
            "optionalhook": False,
            "trylast": False,
            "tryfirst": False,
            "specname": None,
        }
        extra = [pluggy.HookImpl(None, _EXTRA, method, opts) for method in methods]
        return self._planner.plan(plan.declaration, (*plan.source, *extra), self._seniority.with_last(_EXTRA))

    def _follow(self, namespace: Namespace) -> None:
        """Somebody declared hooks on pluggy's own manager."""
        with self._change():
            self._catalogue.follow(namespace)
            for name, why in self._catalogue.unfit.items():
                said = f"{why}. Call sync_hooks.{name}, where it is pluggy's own"
                offer(self.hooks, name, partial(refusing, UnknownHookError(said, hook=name)))
                offer(self.sync_hooks, name, partial(self.pluggy.callers.__getitem__, name))

    def _retire(self, point: HookPoint, successor: CallPlan | None) -> None:
        self._retired.append(point.plan)
        point.change(successor)

    def _drain(self, name: str) -> Drain:
        """The end of all calls that may still be in the plugin: also those on plans replaced before."""
        return Drain(plan.traffic for plan in self._retired if plan.calls(name))


_EXTRA = "<extra>"
"""What implementations for one call are counted under."""


def _not_found(name: str, manager: pluggy.PluginManager) -> PluginNotFoundError:
    known = [each for each, plugin in manager.list_name_plugin() if plugin is not None]
    return PluginNotFoundError(
        f"no plugin of the name {name!r} is registered.{did_you_mean(name, known)}", plugin=name
    )
