"""Plugins that the application registered on ``host.pluggy`` by itself: they are called, so they are in the records.

The registry of the host knows how plugins that it started live; of these it knows nothing, so what is told of them
is read from pluggy's manager whenever somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from plughost.contracts.records import PluginRecord, PluginState
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.config.paths import match_name
from plughost.core.finding.discovery import PluginCandidate, Verdict
from plughost.core.loading.registry import PluginRegistry
from plughost.core.loading.shape import version_of, written_where
from plughost.exceptions import PluginInvalidError

SOURCE = "pluggy"
"""``PluginRecord.source`` of such plugins."""

_AT_HOME = frozenset({PluginState.IMPORTING, PluginState.WAITING, PluginState.STARTING, PluginState.STOPPING})
"""States in which the registry knows best, although no run of the plugin is noted."""


class BarePlugins(Mapping[str, PluginRecord]):
    """Records of the plugins that somebody registered, or whose names somebody blocked, on pluggy's manager.

    Args:
        registry: The plugins that the host itself found and started; it speaks for those of them that run.
        dispatcher: Whose pluggy manager is read.
    """

    def __init__(self, registry: PluginRegistry, dispatcher: HookDispatcher) -> None:
        self._registry = registry
        self._dispatcher = dispatcher
        self._present: dict[str, tuple[object, PluginRecord]] = {}
        self._gone: dict[str, PluginRecord] = {}

        def note_departure(name: str, plugin: object) -> None:
            self._gone.pop(name, None)
            if not self._is_own(name):
                reason = "it was unregistered from host.pluggy"
                last = self._describe(name, plugin)
                self._gone[name] = replace(last, state=PluginState.STOPPED, reason=reason)
            self._present.pop(name, None)

        dispatcher.pluggy.departures.append(note_departure)

    def __getitem__(self, name: str) -> PluginRecord:
        if not self._is_own(name):
            manager = self._dispatcher.pluggy
            if (plugin := manager.get_plugin(name)) is not None:
                return replace(self._describe(name, plugin), hooks=self._dispatcher.hooks_of(name))
            if manager.is_blocked(name) and name not in self._registry:
                reason = "its name is blocked in host.pluggy; host.pluggy.unblock lets it in"
                return PluginRecord(name=name, source=SOURCE, state=PluginState.BLOCKED, reason=reason)
            if name in self._gone and name not in self._registry:
                return self._gone[name]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        on_manager = (name for name, _ in self._dispatcher.pluggy.list_name_plugin())
        names = dict.fromkeys((*on_manager, *self._gone))
        return (name for name in names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or self._is_own(name):
            return False
        manager = self._dispatcher.pluggy
        is_noted = name in self._gone or manager.is_blocked(name)
        return manager.has_plugin(name) or (is_noted and name not in self._registry)

    def find(self, name: str) -> PluginRecord | None:
        """Return the record of a plugin by its name in any spelling; None when it is none of these."""
        if name in self or name in self._registry:
            return self.get(name)
        return self.get(match_name(name, [*self]))

    def give_way(self, candidate: PluginCandidate) -> PluginCandidate:
        """Keep out a plugin that was found or named in a setting, when the application has one or blocked the name.

        ``PluginManager.load_setuptools_entrypoints`` does the same.
        """
        is_named = candidate.finding.source == "configuration" and not candidate.finding.reference
        if (candidate.wanted or is_named) and self._dispatcher.pluggy.has_plugin(candidate.name):
            reason = "the application registered a plugin of that name on host.pluggy"
            return candidate.refused(PluginState.SKIPPED, reason)
        return self.keep_out(candidate)

    def keep_out(self, candidate: PluginCandidate) -> PluginCandidate:
        """Keep out a plugin whose name the application blocked, by whatever door it comes."""
        if candidate.setting or not self._dispatcher.pluggy.is_blocked(candidate.name):
            return candidate
        reason = "its name is blocked in host.pluggy; host.pluggy.unblock lets it in"
        return candidate.ruled(Verdict(PluginState.BLOCKED, reason, "host.pluggy"))

    async def unload(self, name: str) -> bool:
        """Take a plugin out of pluggy's manager and let its calls end; returns whether it was there."""
        if not self._dispatcher.pluggy.has_plugin(name):
            return False
        await self._dispatcher.unregister(name).wait()
        return True

    def refuse(self, name: str, action: str) -> None:
        """Refuse what the host can do only with plugins that it found or was given, when this is not one of them.

        Raises:
            PluginInvalidError: It stands on pluggy's manager.
        """
        record = self.find(name)
        if record is not None and record.running:
            raise PluginInvalidError(
                f"plugin {record.name!r} was registered on host.pluggy, so only the code that did it can {action} "
                f"it. Hand it to host.load_plugin instead, or unload it",
                plugin=record.name,
            )

    def _is_own(self, name: str) -> bool:
        entry = self._registry.get(name)
        return entry is not None and (entry.run is not None or entry.record.state in _AT_HOME)

    def _describe(self, name: str, plugin: object) -> PluginRecord:
        """Say what does not change while it is registered; reading metadata of distributions takes a while."""
        known = self._present.get(name)
        if known is not None and known[0] is plugin:
            return known[1]
        distribution, version = self._dispatcher.pluggy.distribution_of(plugin)
        record = PluginRecord(
            name=name,
            version=version or version_of(plugin),
            distribution=distribution,
            source=SOURCE,
            origin=written_where(plugin),
            state=PluginState.READY,
        )
        self._present[name] = (plugin, record)
        return record
