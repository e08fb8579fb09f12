"""Names in a configuration that mean nobody: what the deployer said would be left undone without a word."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from plughost.contracts.logs import get_logger
from plughost.core.config import LoadedConfig
from plughost.core.config.paths import canonical, dotted
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.finding.sources import file_without_plugin
from plughost.core.finding.survey import IN_PROCESS
from plughost.exceptions import did_you_mean

_log = get_logger("plughost.configuration")


def tell_unheard(
    loaded: LoadedConfig,
    hooks: Collection[str],
    candidates: Iterable[PluginCandidate],
    registered: Iterable[str] = (),
) -> None:
    """Log a warning for each setting that speaks of a hook or a plugin which is not there.

    Whether it is there shows only when the plugins run, for they declare hooks too; so this is not an error of the
    configuration, and a plugin that is loaded by hand may still bring the name.

    Args:
        loaded: The configuration.
        hooks: Names of the hooks that are declared.
        candidates: The plugins that were found.
        registered: The names of those that the application registered by itself.
    """
    findings = [one.finding for one in candidates]
    plugins = [name for one in findings for name in (one.name, one.distribution) if name]
    plugins += registered
    there = [name for one in findings for name in (one.name, one.distribution) if name and one.reference]
    for path, complaint in (*_unheard(loaded, hooks, plugins), *_still_loaded(loaded, [*there, *registered])):
        _log.warning("a setting speaks of what is not there", setting=path, reason=complaint)
    provided = {one.group for one in findings}
    for group in loaded.config.host.groups or ():
        if group not in provided:
            # Late: it looks at all that is installed.
            from plughost.core.finding.other_groups import near_group

            near = near_group(group)
            tell = _log.warning if near else _log.info  # a program may well be without plugins
            tell(
                f"no plugin is installed in the group of entry points {group!r}.{near}", setting="host.groups"
            )


def _unheard(
    loaded: LoadedConfig, hooks: Collection[str], plugins: Collection[str]
) -> Iterator[tuple[str, str]]:
    config = loaded.config
    known = {canonical(name) for name in plugins}
    for name in config.host.allow or ():
        if canonical(name) not in known:
            yield "host.allow", _absent(name, loaded, plugins)
    for hook, order in config.hooks.order.items():
        path = dotted(("hooks", "order", hook))
        if hook not in hooks:
            yield path, f"nobody declares a hook {hook!r}.{did_you_mean(hook, hooks)}"
        for name in order:
            if canonical(name) not in known:
                yield path, _absent(name, loaded, plugins)
    for key in config.hooks.timeouts:
        plugin, _, hook = key.rpartition(".")
        path = dotted(("hooks", "timeouts", key))
        if hook not in hooks:
            yield path, f"nobody declares a hook {hook!r}.{did_you_mean(hook, hooks)}"
        if plugin and canonical(plugin) not in known:
            yield path, _absent(plugin, loaded, plugins)


def _still_loaded(loaded: LoadedConfig, plugins: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield who shall be kept out, or taken inside, by a name that is nearly that of somebody else."""
    config, known = loaded.config, {canonical(name) for name in plugins}
    kept_out = [("host.disabled", name) for name in config.host.disabled]
    kept_out += [
        (dotted(("plugins", name, "enabled")), name)
        for name, section in config.plugins.items()
        if not section.enabled and not (section.module or section.path or section.url or section.environment)
    ]
    inside = [name.strip() for name in loaded.environ.get(IN_PROCESS, "").split(",") if name.strip()]
    for path, name in (*kept_out, *((IN_PROCESS, name) for name in inside)):
        # Whoever is not installed may be kept out in advance; one who is nearly called so runs.
        if canonical(name) not in known and (near := did_you_mean(name, plugins)):
            yield path, f"no plugin {name!r} was found.{near}"


def _absent(name: str, loaded: LoadedConfig, plugins: Collection[str]) -> str:
    folder = loaded.config.host.plugin_dir
    hollow = None if folder is None else file_without_plugin(loaded.located(folder), name)
    why = "" if hollow is None else f" There is {hollow.origin}, but {hollow.problem}"
    return f"no plugin {name!r} was found.{did_you_mean(name, plugins)}{why}"
