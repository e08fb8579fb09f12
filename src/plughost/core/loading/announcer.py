"""Tells what became of plugins: each change as an event, some also as a hook, and failures in the log too."""

from __future__ import annotations

from plughost.contracts.logs import get_logger
from plughost.contracts.records import (
    PluginFailed,
    PluginStarted,
    PluginState,
    PluginStopped,
)
from plughost.core.calls.beside import manager_of
from plughost.core.loading.context import Facilities
from plughost.core.loading.registry import PluginRegistry
from plughost.hookspecs import plugins

_log = get_logger("plughost.loading")

_TOLD = ("plugin_started", "plugin_failed", "plugin_stopped")
_STOPPED = frozenset({PluginState.STOPPED, PluginState.QUARANTINED})


class Announcer:
    """Publishes the registry's notices. Several tasks may announce at once; each notice is told once."""

    def __init__(self, registry: PluginRegistry, facilities: Facilities) -> None:
        self._registry = registry
        self._events = facilities.events
        self._hooks = facilities.own_hooks
        self._callers = manager_of(facilities.dispatcher, plugins).callers

    @property
    def is_heard(self) -> bool:
        """Whether somebody is told, for whom it may be necessary to wait."""
        return self._events.is_heard or any(self._callers[name].get_hookimpls() for name in _TOLD)

    async def announce(self) -> None:
        """Tell everything that was not told yet."""
        for change in self._registry.notices():
            await self._events.publish(change)
            record = change.plugin
            if record.error is not None:
                where = f"`plughost disable {record.name}` leaves it out"
                if record.error.traceback:
                    where = f"`plughost info {record.name}` shows the traceback; {where}"
                # In words, because an application that sets up plain logging is shown the message and no fields.
                _log.error(
                    f"plugin {record.name!r} failed ({record.error.phase}): {record.error.message}",
                    plugin=record.name,
                    phase=record.error.phase,
                    advice=where,
                )
                await self._events.publish(PluginFailed(record, record.error.phase, record.error))
                await self._hooks.plugin_failed(plugin=record, phase=record.error.phase, error=record.error)
            elif record.state is PluginState.READY and change.previous is not PluginState.DEGRADED:
                await self._events.publish(PluginStarted(record))
                await self._hooks.plugin_started(plugin=record)
            elif record.state in _STOPPED:
                await self._events.publish(PluginStopped(record))
                await self._hooks.plugin_stopped(plugin=record)
