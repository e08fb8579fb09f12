"""plughost: a pluggy-centric plugin host that an application embeds in three lines.

    async with Host("acme") as host:
        await host.hooks.app_registered(...)

This module is the table of contents for those who embed a host and those who write plugins.
"""

from __future__ import annotations

from plughost.contracts.plugin import Plugin, PluginContext
from plughost.host import Host
from plughost.hookspecs import hookimpl, hookspec

__all__ = ["Host", "Plugin", "PluginContext", "hookimpl", "hookspec"]
