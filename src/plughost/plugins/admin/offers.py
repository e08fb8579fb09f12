"""What can be done with a plugin in the state it is in, and how a host with such plugins stands."""

from __future__ import annotations

from plughost import Host
from plughost.contracts import AppState, PluginRecord, PluginState, counted

OWN_NAME = "admin"
"""The plugin that serves the page: stopping it there would leave nobody to say how that went."""

_RUNNING = ("reload", "unload", "disable")
_OFFERS: dict[PluginState, tuple[str, ...]] = {
    PluginState.READY: _RUNNING,
    PluginState.DEGRADED: _RUNNING,
    PluginState.FAILED: ("reload", "disable"),
    PluginState.QUARANTINED: ("reload", "disable"),
    PluginState.DISABLED: ("enable",),
    PluginState.STOPPED: ("load", "disable"),
    PluginState.SKIPPED: ("load", "disable"),
    PluginState.INCOMPATIBLE: ("load", "disable"),
}
_TROUBLED = frozenset({PluginState.FAILED, PluginState.QUARANTINED})


def offers(record: PluginRecord) -> tuple[str, ...]:
    """Return the names of the actions that fit the state of a plugin, in the order of the page.

    A plugin that is on its way from one state to another, or that a setting of the host keeps out, has none.
    """
    if record.source == "pluggy":  # who registered it there knows how to start it; the host does not
        return ("unload",) if record.running else ()
    fitting = _OFFERS.get(record.state, ())
    return fitting if record.name != OWN_NAME else tuple(name for name in fitting if name == "reload")


def standing(host: Host) -> str:
    """Return in a few words how a host stands: whether it is ready, and how many plugins and apps failed."""
    plugins = sum(record.state in _TROUBLED for record in host.plugins.values())
    lost = {*host.app_errors, *host.missing_apps}.difference(host.apps)
    apps = len(lost) + sum(app.state is AppState.FAILED for app in host.apps.values())
    failed = [counted(count, noun) for count, noun in ((plugins, "plugin"), (apps, "app")) if count]
    word = "ready" if host.ready else "not ready"
    return f"{word}, {' and '.join(failed)} failed" if failed else word
