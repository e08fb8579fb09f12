"""plughost: a plugin host built on pluggy. A broken plugin cannot take the application down.

    async with Host("acme") as host:
        await host.hooks.app_registered(...)

This module is the table of contents for those who embed a host and those who write plugins. The names are
looked up when they are first used: a command that only lists metadata should not wait for the host's imports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plughost._names import looked_up

if TYPE_CHECKING:
    from plughost.contracts.plugin import Plugin, PluginContext
    from plughost.hookspecs import hookimpl, hookspec
    from plughost.host import Host

__all__ = ["Host", "Plugin", "PluginContext", "hookimpl", "hookspec"]

_HOMES = {
    "Host": "plughost.host",
    "Plugin": "plughost.contracts.plugin",
    "PluginContext": "plughost.contracts.plugin",
    "hookimpl": "plughost.hookspecs",
    "hookspec": "plughost.hookspecs",
}

__getattr__, __dir__ = looked_up(__name__, _HOMES)
