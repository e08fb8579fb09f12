"""What becomes of plugins, told to the other plugins.

The same facts are published as the events ``PluginStarted``, ``PluginFailed`` and ``PluginStopped``; a hook
is there for those who want to be found, ordered, limited and counted as all implementations are.
"""

from __future__ import annotations

from plughost.contracts.records import PluginFailure, PluginRecord
from plughost.hookspecs._markers import hookspec


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def plugin_started(plugin: PluginRecord) -> None:
    """A plugin became ready.

    Called after each start, also after a reload, to all plugins that are ready by then, the new one included.

    Args:
        plugin: All there is to say about it.

    Refusing:
        Nobody can stop it.

    Failure:
        Reported; the others are still told, and the plugin stays ready.

    Example:
        versions: dict[str, str] = {}

        @hookimpl
        def plugin_started(plugin: PluginRecord) -> None:
            versions[plugin.name] = plugin.version
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def plugin_failed(plugin: PluginRecord, phase: str, error: PluginFailure) -> None:
    """A phase of a plugin's life failed.

    Called for failures at start, while it runs and at stop, after what the plugin had registered was undone.

    Args:
        plugin: All there is to say about it.
        phase: ``configuration``, ``import``, ``validation``, ``start``, ``register``, ``run`` or ``stop``.
        error: What went wrong and what to do, without secrets.

    Refusing:
        There is nothing to stop: it is over.

    Failure:
        Reported; the others are still told.

    Example:
        alerts: list[str] = []

        @hookimpl
        def plugin_failed(plugin: PluginRecord, phase: str, error: PluginFailure) -> None:
            alerts.append(f"{plugin.name} failed in {phase}: {error.message}")
    """


@hookspec(mode="broadcast", timeout=5.0, concurrent=True)
def plugin_stopped(plugin: PluginRecord) -> None:
    """A plugin was stopped.

    Called when everything it had registered is undone. The plugin itself is not told any more.

    Args:
        plugin: All there is to say about it.

    Refusing:
        Nobody can stop it.

    Failure:
        Reported; the others are still told.

    Example:
        versions = {"hello": "1.0.0"}

        @hookimpl
        def plugin_stopped(plugin: PluginRecord) -> None:
            versions.pop(plugin.name, None)
    """
