"""pluggy's own plugin manager, as a dispatcher needs it: it tells of what changes, and reads plughost's marks too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType, NoneType
from typing import Any, cast

import msgspec
import pluggy
from pluggy import PluginManager

from plughost.core.calls.marks import may_be_marked
from plughost.hookspecs import PROJECT

Before = Callable[[str, Sequence[pluggy.HookImpl], Mapping[str, Any]], None]
After = Callable[[pluggy.Result[Any], str, Sequence[pluggy.HookImpl], Mapping[str, Any]], None]
Monitor = tuple[Before, After]
"""What is called before and after every hook call; see ``PluginManager.add_hookcall_monitoring``."""


def _nothing(*_: object) -> None:
    pass


class _Looked(msgspec.Struct):
    """What was seen in a plugin that does not change meanwhile.

    Attributes:
        plugin: The plugin.
        options: What the marker noted, by name and in alphabetical order; nothing else in it is marked.
    """

    plugin: object
    options: Mapping[str, pluggy.HookimplOpts]


class _Registry:
    """A manager as pluggy's own methods want it: its ``hook`` holds the callers that they fill.

    Args:
        manager: The manager.
        hook: What holds its callers.
        options: What the marker noted in the plugin that is registered, by name: pluggy asks for every attribute
            that there is.
    """

    def __init__(
        self, manager: PluginManager, hook: object, options: Mapping[str, pluggy.HookimplOpts] | None = None
    ) -> None:
        self._manager = manager
        self.hook = hook
        if options is not None:

            def noted(_: object, name: str) -> pluggy.HookimplOpts | None:
                return options.get(name)

            self.parse_hookimpl_opts = noted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


def _entered(registry: Any, plugin: object, name: str | None, marked: Mapping[str, Any]) -> str | None:
    """Register a plugin by pluggy's own code, to which nothing is in it but what is marked.

    It looks at each of the dozens of attributes that any object has, and walks through all classes for each that is
    marked, to learn what is known here.
    """
    own = PluginManager.register
    usual = type(plugin).__getattribute__ in _USUAL  # then asking for a function executes nothing

    def bound(plugin: object, name: str) -> Any:
        found = getattr(plugin, name) if usual else None
        return (found, found) if type(found) in _FUNCTIONS else _static_hook_attr(plugin, name)

    seen = {**own.__globals__, "dir": lambda _: marked, "_static_hook_attr": bound}
    register = FunctionType(own.__code__, seen, own.__name__, own.__defaults__, own.__closure__)
    return cast("str | None", register(registry, plugin, name))


_static_hook_attr: Any = getattr(pluggy._manager, "_static_hook_attr", None)
_USUAL = {kind.__getattribute__ for kind in (object, type, ModuleType)}
_FUNCTIONS = {FunctionType, MethodType}
_SEEN = {FunctionType, str, NoneType}
"""What stands in most modules of hookspecs: functions, marked or not, names of the module, and what it has not."""


class HookManager(PluginManager):
    """A ``pluggy.PluginManager`` of any project, beside which plughost's own markers count as well.

    An application may set ``hook`` to the ``sync_hooks`` of its host, so that all its calls go through the host; what
    pluggy itself keeps there stays in ``callers``.

    Attributes:
        callers: pluggy's own caller of each hook, declared or not.
        monitors: Who watches hook calls, oldest first; whoever makes calls otherwise than by ``hook`` tells them.
        departures: Called with name and plugin when one was unregistered, whoever did it.
        arrivals: Called with name and plugin when one was registered, whoever did it.
        means: Asked for the name of a hook whether plughost's own marker means the one that is here.

    Args:
        project: The name in ``HookspecMarker`` and ``HookimplMarker``.
        changed: Called with the names of the hooks for which plugins came or went; with None when it may be any.
        declared: Called with a namespace whose specs came by ``add_hookspecs``.
    """

    def __init__(
        self,
        project: str = PROJECT,
        changed: Callable[[AbstractSet[str] | None], None] = _nothing,
        declared: Callable[[object], None] = _nothing,
    ) -> None:
        super().__init__(project)
        self._registry: Any = _Registry(self, self.hook)
        self.callers: Mapping[str, pluggy.HookCaller] = vars(self.hook)
        self._ours = PluginManager(PROJECT)
        self._changed = changed
        self._declared = declared
        self._is_blocking = False
        self._looked_at: _Looked | None = None
        self._hooks: dict[str, frozenset[str]] = {}
        self._distributions: dict[int, tuple[object, str]] = {}
        self.monitors: list[Monitor] = []
        self.departures: list[Callable[[str, object], None]] = []
        self.arrivals: list[Callable[[str, object], None]] = []
        self.means: Callable[[str], bool] = lambda _: True

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> pluggy.HookimplOpts | None:
        """Return what a marker of the project, or of plughost, noted on an attribute; else None."""
        looked = self._looked_at
        if looked is not None and looked.plugin is plugin:
            return looked.options.get(name)
        return self._parse(plugin, name)

    def _parse(self, plugin: Any, name: str, standing: object = None) -> pluggy.HookimplOpts | None:
        theirs: Any
        ours: Any
        if type(standing) is FunctionType:  # what pluggy would find after a walk through all classes
            theirs, ours = (standing.__dict__.get(f"{of}_impl") for of in (self.project_name, PROJECT))
        else:
            theirs, ours = (
                super().parse_hookimpl_opts(plugin, name),
                self._ours.parse_hookimpl_opts(plugin, name),
            )
        if isinstance(theirs, dict) and self.project_name != PROJECT:
            return cast("pluggy.HookimplOpts", theirs)
        is_meant = isinstance(ours, dict) and self.means(ours.get("specname") or name)
        return cast("pluggy.HookimplOpts", ours) if is_meant else None

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> pluggy.HookspecOpts | None:
        """Return what a marker of the project, or of plughost, noted on an attribute; else None."""
        if type(module_or_class) is ModuleType and type(standing := vars(module_or_class).get(name)) in _SEEN:
            # What pluggy would find after a walk through all classes of the module, once for each project
            noted = (getattr(standing, f"{of}_spec", None) for of in (self.project_name, PROJECT))
            return next((cast("pluggy.HookspecOpts", each) for each in noted if isinstance(each, dict)), None)
        found = super().parse_hookspec_opts(module_or_class, name)
        return found or self._ours.parse_hookspec_opts(module_or_class, name)

    def add_hookspecs(self, module_or_class: Any) -> None:
        """Declare hooks as pluggy does; they are hooks of the host from now on."""
        try:
            self.enter_hookspecs(module_or_class)
        finally:  # one that a registered plugin does not fit stays declared, and so do those before it
            self._declared(module_or_class)

    def enter_hookspecs(self, part: Any) -> None:
        """Declare hooks that the dispatcher knows already."""
        PluginManager.add_hookspecs(self._registry, part)

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Register a plugin as pluggy does; it is called from now on."""
        with self.looking_at(plugin) as options:
            # Whoever looks in another way, by this object or by a class that derives from its own, is asked for all.
            looks = getattr(self.parse_hookimpl_opts, "__func__", None)
            found = options if looks is HookManager.parse_hookimpl_opts else None
            registry: Any = _Registry(self, self._registry.hook, found)
            try:
                if found is None:
                    registered = PluginManager.register(registry, plugin, name)
                    hooks = frozenset(caller.name for caller in self.get_hookcallers(plugin) or ())
                else:
                    registered = _entered(registry, plugin, name, found)
                    hooks = frozenset(hook for hook, _, _ in self.implementations(plugin))
            except BaseException:
                # A call of a historic hook failed in a plugin that came: it stays with the hooks that it had got to.
                came = self.get_name(plugin)
                if came is not None and came not in self._hooks:
                    got_to = frozenset(caller.name for caller in self.get_hookcallers(plugin) or ())
                    self._hooks[came] = got_to
                    self._changed(got_to)
                raise
            if registered is not None:
                self._hooks[registered] = hooks
                self._changed(self._hooks[registered])
        if registered is not None:
            for tell in self.arrivals:
                tell(registered, plugin)
        return registered

    @contextmanager
    def looking_at(self, plugin: object) -> Iterator[Mapping[str, pluggy.HookimplOpts]]:
        """Look once at what in a plugin may be marked, for all that asks in the block; it must not change meanwhile.

        The block is given what the markers noted, by name of the attribute.
        """
        before = looked = self._looked_at
        if looked is None or looked.plugin is not plugin:
            marked = may_be_marked(plugin, "_impl")
            there = sorted(marked.keys() & dir(plugin))
            parsed = {name: self._parse(plugin, name, marked[name]) for name in there}
            options = {name: found for name, found in parsed.items() if found is not None}
            looked = self._looked_at = _Looked(plugin, options)
        try:
            yield looked.options
        finally:
            self._looked_at = before

    def unregister(self, plugin: Any | None = None, name: str | None = None) -> Any | None:
        """Unregister a plugin as pluggy does; it is not called any more."""
        known_as = self.get_name(plugin) if name is None else name
        unregistered = super().unregister(plugin, name)
        self._changed(self._hooks.pop(str(known_as), frozenset()))
        if unregistered is not None and not self._is_blocking:
            for tell in self.departures:
                tell(str(known_as), unregistered)
        return unregistered

    def set_blocked(self, name: str) -> None:
        """Unregister a plugin and keep its name out, as pluggy does; whoever is told of it finds it blocked."""
        plugin = self.get_plugin(name)
        self._is_blocking = True
        try:
            super().set_blocked(name)
        finally:
            self._is_blocking = False
        for tell in self.departures if plugin is not None else ():
            tell(name, plugin)

    def check_pending(self) -> None:
        """Refuse implementations of hooks that nobody declared, as pluggy does."""
        PluginManager.check_pending(self._registry)

    def get_hookcallers(self, plugin: Any) -> list[pluggy.HookCaller] | None:
        """Return pluggy's callers of the hooks that a plugin implements, as pluggy does."""
        return PluginManager.get_hookcallers(self._registry, plugin)

    def subset_hook_caller(self, name: str, remove_plugins: Iterable[Any]) -> pluggy.HookCaller:
        """Return pluggy's caller of a hook without some plugins, as pluggy does."""
        return PluginManager.subset_hook_caller(self._registry, name, remove_plugins)

    @property
    def names(self) -> AbstractSet[str]:
        """The names of the registered plugins, oldest first."""
        return self._hooks.keys()

    def get_name(self, plugin: Any) -> str | None:
        """Return the name a plugin is registered under, as pluggy does; that it is not is told at once."""
        known = dict(self.list_name_plugin())
        return super().get_name(plugin) if plugin in known.values() else None

    def hooks_of(self, name: str) -> frozenset[str]:
        """Return the names of the hooks that a registered plugin implements."""
        return self._hooks.get(name, frozenset())

    def implementations(self, plugin: object) -> Iterator[tuple[str, Any, pluggy.HookimplOpts]]:
        """Yield hook name, bound function and pluggy's options of each implementation in ``plugin``."""
        looked = self._looked_at
        if looked is None or looked.plugin is not plugin:
            with self.looking_at(plugin):
                yield from [*self.implementations(plugin)]
            return
        for name, opts in looked.options.items():
            yield opts.get("specname") or name, getattr(plugin, name), opts

    def add_hookcall_monitoring(self, before: Before, after: After) -> Callable[[], None]:
        """Call ``before`` and ``after`` around every hook call, whichever way it is made; return what ends that."""
        end = super().add_hookcall_monitoring(before, after)
        monitor = (before, after)
        self.monitors.append(monitor)
        self._changed(None)

        def undo() -> None:
            end()
            self.monitors.remove(monitor)
            self._changed(None)

        return undo

    def note_distribution(self, plugin: object, distribution: str) -> None:
        """Remember which distribution a plugin belongs to; an empty name stands for nothing."""
        if distribution:
            self._distributions[id(plugin)] = (plugin, distribution)

    def distribution_of(self, plugin: object) -> tuple[str, str]:
        """Return name and version of the distribution of a plugin that pluggy itself found; empty for others."""
        for known, distribution in super().list_plugin_distinfo():
            if known is plugin:
                return str(distribution.project_name), str(distribution.version)
        return "", ""

    def list_plugin_distinfo(self) -> list[tuple[Any, Any]]:
        """Return the registered plugins of distributions, each with what is known of its distribution."""
        from importlib import metadata  # takes longer to import than all else here

        from pluggy._compat import DistFacade

        found = super().list_plugin_distinfo()
        listed = {id(plugin) for plugin, _ in found}
        for plugin, name in self._distributions.values():
            if id(plugin) not in listed and self.is_registered(plugin):
                try:
                    distribution = metadata.distribution(name)
                except metadata.PackageNotFoundError:  # a folder of plugins is not installed
                    continue
                found.append((plugin, DistFacade(distribution)))
        return found
