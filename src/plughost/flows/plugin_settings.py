"""The settings of one plugin: shown with where they come from, and changed in the configuration file."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from plughost.contracts.config import PluginSettings, SettingsChange
from plughost.core.config import LoadedConfig, plugin_schema, set_plugin_config
from plughost.core.config.paths import dotted
from plughost.exceptions import ConfigError


def settings_of(
    loaded: LoadedConfig, name: str, kind: Any, *, imported: bool, given: Mapping[str, Any] | None = None
) -> PluginSettings:
    """Return the settings of a plugin, secrets hidden.

    Args:
        loaded: The configuration.
        name: The plugin.
        kind: Its ``Config``; None when it declares none, or is not known.
        imported: Whether that is known.
        given: What code gave in place of the table.
    """
    section = loaded.section_of(name) or name
    prefix = dotted(("plugins", section, "config")) + "."
    values = loaded.redact(given if given is not None else loaded.plugin(name).config, name, kind)
    found = loaded.entries({name: kind} if kind is not None else None)
    return PluginSettings(
        plugin=name,
        file=loaded.file,
        schema=plugin_schema(name, kind) if imported else None,
        values=values,
        entries=tuple(entry for entry in found if entry.path.startswith(prefix)),
    )


async def change_settings(
    loaded: LoadedConfig,
    name: str,
    kind: Any,
    changes: Mapping[str, Any],
    check: Callable[[str, Any], Awaitable[None]],
    *,
    preview: bool,
) -> tuple[LoadedConfig, SettingsChange]:
    """Check new settings as a start would, and write them into the configuration file unless it is a preview.

    Args:
        loaded: The configuration.
        name: The plugin.
        kind: Its ``Config``; None when it declares none, or is not known: nothing is then checked.
        changes: New values by key; None takes a key out.
        check: Asks the plugin itself.
        preview: Whether nothing is written.

    Returns:
        The configuration as it is afterwards, and what the change does.

    Raises:
        PluginConfigError: The plugin would not accept them; every problem is named.
        ConfigError: There is no file, or it must be edited by hand.
        OSError: The file cannot be written.
    """
    if loaded.file is None:
        raise ConfigError(
            "there is no configuration file to write the change into", path="plugins", origin=""
        )
    after = loaded.configured(name, changes)
    await check(name, after.decode_plugin(name, kind))
    old, new = loaded.plugin(name).config, after.plugin(name).config
    # Hidden as a whole first: what a class declares secret must not be in a line about it.
    shown_old, shown_new = loaded.redact(old, name, kind), after.redact(new, name, kind)
    lines: list[str] = []
    for key in changes:
        if old.get(key) == new.get(key):
            continue
        if key in old:
            lines.append(f"- {dotted((key,))} = {_toml(shown_old[key])}")
        if key in new:
            lines.append(f"+ {dotted((key,))} = {_toml(shown_new[key])}")
    if not preview:
        set_plugin_config(loaded.file, name, changes)
    return after, SettingsChange(plugin=name, file=loaded.file, lines=tuple(lines), written=not preview)


def _toml(value: Any) -> str:
    """Return a value as a line of TOML has it: as JSON, but for tables."""
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{dotted((str(key),))} = {_toml(item)}" for key, item in value.items()) + " }"
        )
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, default=str, ensure_ascii=False)
