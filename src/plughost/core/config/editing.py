"""Changing a configuration file the way a careful person would: single values, and nothing else in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plughost.contracts.files import replace_file
from plughost.core.config.files import read_toml
from plughost.core.config.paths import dotted, match_name
from plughost.core.config.toml_text import parse_toml
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
    return _change(path, name, {"enabled": enabled}, ())


def set_plugin_config(path: Path | str, name: str, changes: Mapping[str, Any]) -> bool:
    """Write settings into the plugin's table ``config``, keeping comments, order and layout.

    Args:
        path: The file; a symbolic link stays one.
        name: The plugin.
        changes: New values by key of the table; None takes the key out, so that its default holds.

    Returns:
        Whether the file changed.

    Raises:
        ConfigError: The file is not TOML, or is laid out so that it must be edited by hand.
        OSError: The file cannot be written.
    """
    return _change(path, name, changes, ("config",))


def set_plugin_environment(path: Path | str, name: str, environment: str | None) -> bool:
    """Have a plugin run in a virtual environment of its own, keeping comments, order and layout of the file.

    Args:
        path: The file; it is made when it is not there.
        name: The plugin.
        environment: Folder of the environment, as it is to be written; None takes it out again, and with it a table
            of the plugin that says nothing else.

    Returns:
        Whether the file changed.

    Raises:
        ConfigError: The file is not TOML, or is laid out so that it must be edited by hand.
        OSError: The file cannot be written.
    """
    isolation = None if environment is None else "process"
    return _change(path, name, {"isolation": isolation, "environment": environment}, ())


def _change(path: Path | str, name: str, changes: Mapping[str, Any], inner: tuple[str, ...]) -> bool:
    file = Path(path).expanduser()
    file = file.resolve() if file.is_symlink() else file
    before = read_toml(file) if file.exists() else {}
    plugins = before.get("plugins", {})
    if not isinstance(plugins, dict) or not all(isinstance(table, dict) for table in plugins.values()):
        raise ConfigError(
            f"[plugins] in {file} must hold one table for each plugin", path="plugins", origin=str(file)
        )
    where = ("plugins", match_name(name, plugins), *inner)
    after = copy.deepcopy(before)
    table = after
    for key in where:
        table = table.setdefault(key, {})
    _apply(table, changes)
    if after == before or (not table and not _at(before, where)):
        return False
    _drop_if_empty(after, where, inner)
    text = _edited(file, where, changes, inner)
    if parse_toml(text) != after:  # better no edit than one that changed something else
        wanted = ", ".join(f"`{key}`" for key in changes)
        only = f"`enabled = {str(changes['enabled']).lower()}`" if not inner else wanted
        raise ConfigError(
            f"{file} cannot be edited safely: write {only} under [{dotted(where)}] yourself",
            path=dotted((*where, *changes)) if len(changes) == 1 else dotted(where),
            origin=str(file),
        )
    replace_file(file, text.encode(), durable=True)
    return True


def _apply(table: Any, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            table.pop(key, None)
        else:
            table[key] = value


def _drop_if_empty(values: Any, where: tuple[str, ...], inner: tuple[str, ...]) -> None:
    """Take out a plugin's table in which nothing is left: it would still ask for the plugin."""
    for depth in range(len(where), 0, -1) if not inner else ():
        if not _at(values, where[:depth]):
            del _at(values, where[: depth - 1])[where[depth - 1]]


def _at(values: Any, where: tuple[str, ...]) -> Any:
    for key in where:
        values = values.get(key, {})
    return values


def _edited(file: Path, where: tuple[str, ...], changes: Mapping[str, Any], inner: tuple[str, ...]) -> str:
    import tomlkit  # here, because it takes as long to import as all of msgspec, and few hosts edit a file

    document: Any = (
        tomlkit.parse(file.read_bytes().decode("utf-8-sig")) if file.exists() else tomlkit.document()
    )
    table = document
    for depth, key in enumerate(where):
        if key not in table:
            table[key] = tomlkit.table(is_super_table=depth == 0 or None)
        table = table[key]
    _apply(table, changes)
    _drop_if_empty(document, where, inner)
    return tomlkit.dumps(document)
