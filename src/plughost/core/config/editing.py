"""Changing a configuration file the way a careful person would: one value, and nothing else in it."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

from plughost.core.config.files import read_toml
from plughost.core.config.paths import dotted, match_name
from plughost.core.files import replace_file
from plughost.exceptions import ConfigError


def set_plugin_enabled(path: Path | str, name: str, enabled: bool) -> bool:
    """Write ``enabled`` into the plugin's table, keeping comments, order and layout.

    The table is added when there is none, and the file when there is none. The new content is written beside
    the file, with its mode, and takes its place in one step: a reader sees the old file or the new one.

    Args:
        path: The file; a symbolic link stays one.
        name: The plugin; a table that spells it otherwise (``Desk_Lamp`` for ``desk-lamp``) is its own.
        enabled: What to write.

    Returns:
        Whether the file changed.

    Raises:
        ConfigError: The file is not TOML, or is laid out so that it must be edited by hand.
        OSError: The file cannot be written.
    """
    file = Path(path).expanduser()
    file = file.resolve() if file.is_symlink() else file
    before = read_toml(file) if file.exists() else {}
    section = _section(before, name, file)
    after = copy.deepcopy(before)
    after.setdefault("plugins", {}).setdefault(section, {})["enabled"] = enabled
    if after == before:
        return False
    text = _edited(file, section, enabled)
    if tomllib.loads(text) != after:  # better no edit than one that changed something else
        raise ConfigError(
            f"{file} cannot be edited safely: write `enabled = {str(enabled).lower()}` under"
            f" [{dotted(('plugins', section))}] yourself",
            path=dotted(("plugins", section, "enabled")),
            origin=str(file),
        )
    replace_file(file, text.encode(), durable=True)
    return True


def _section(values: dict[str, Any], name: str, file: Path) -> str:
    plugins = values.get("plugins", {})
    if not isinstance(plugins, dict) or not all(isinstance(table, dict) for table in plugins.values()):
        raise ConfigError(
            f"[plugins] in {file} must hold one table for each plugin", path="plugins", origin=str(file)
        )
    return match_name(name, plugins)


def _edited(file: Path, section: str, enabled: bool) -> str:
    import tomlkit  # here, because it takes as long to import as all of msgspec, and few hosts edit a file

    document: Any = (
        tomlkit.parse(file.read_bytes().decode("utf-8-sig")) if file.exists() else tomlkit.document()
    )
    if "plugins" not in document:
        document["plugins"] = tomlkit.table(is_super_table=True)
    if section not in document["plugins"]:
        document["plugins"][section] = tomlkit.table()
    document["plugins"][section]["enabled"] = enabled
    return tomlkit.dumps(document)
