"""Names in a configuration that mean nobody: what the deployer said would be left undone without a word."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from plughost.contracts.config import HostConfig
from plughost.contracts.logs import get_logger
from plughost.core.config.paths import canonical, dotted
from plughost.core.finding.discovery import PluginCandidate
from plughost.exceptions import did_you_mean

_log = get_logger("plughost.configuration")


def tell_unheard(config: HostConfig, hooks: Collection[str], candidates: Iterable[PluginCandidate]) -> None:
    """Log a warning for each setting that speaks of a hook or a plugin which is not there.

    Whether it is there shows only when the plugins run, for they declare hooks too; so this is not an error of the
    configuration, and a plugin that is loaded by hand may still bring the name.

    Args:
        config: The configuration.
        hooks: Names of the hooks that are declared.
        candidates: The plugins that were found.
    """
    plugins = [name for one in candidates for name in (one.name, one.finding.distribution) if name]
    for path, complaint in _unheard(config, hooks, plugins):
        _log.warning("a setting speaks of what is not there", setting=path, reason=complaint)


def _unheard(
    config: HostConfig, hooks: Collection[str], plugins: Collection[str]
) -> Iterator[tuple[str, str]]:
    known = {canonical(name) for name in plugins}
    for name in config.host.allow or ():
        if canonical(name) not in known:
            yield "host.allow", f"no plugin {name!r} was found.{did_you_mean(name, plugins)}"
    for hook, order in config.hooks.order.items():
        path = dotted(("hooks", "order", hook))
        if hook not in hooks:
            yield path, f"nobody declares a hook {hook!r}.{did_you_mean(hook, hooks)}"
        for name in order:
            if canonical(name) not in known:
                yield path, f"no plugin {name!r} was found.{did_you_mean(name, plugins)}"
    for key in config.hooks.timeouts:
        plugin, _, hook = key.rpartition(".")
        path = dotted(("hooks", "timeouts", key))
        if hook not in hooks:
            yield path, f"nobody declares a hook {hook!r}.{did_you_mean(hook, hooks)}"
        if plugin and canonical(plugin) not in known:
            yield path, f"no plugin {plugin!r} was found.{did_you_mean(plugin, plugins)}"
