"""Plugin folders share one space of module names; a plugin must not silently be given somebody else's module."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from plughost.core.finding.module_files import file_of, folder_of
from plughost.exceptions import PluginImportError

_ATTEMPTS = 3


def refuse_clashes(plugin: str, folder: Path, module: str, distribution: str) -> None:
    """Refuse a plugin in whose folder a module lies that Python would find somewhere else.

    Only modules count that the plugin's own code imports; tests and scripts that lie there bother nobody.

    Args:
        plugin: Its name, for the message.
        folder: Where it lies; it is on ``sys.path`` already.
        module: The module that is going to be imported.
        distribution: The distribution that the folder holds; empty when it holds none.

    Raises:
        PluginImportError: A module of that name comes from elsewhere.
    """
    home = folder.resolve()
    for name in sorted(_imported_from(home, module.partition(".")[0])):
        place = _place_of(name)
        if place is not None and not place.is_relative_to(home):
            if _is_installed_copy(distribution, place):
                raise PluginImportError(
                    f"plugin {plugin!r} in {folder} is installed as a copy too, which is found first, at {place}:"
                    f" install the folder itself by `pip install -e`, or uninstall {distribution}",
                    plugin=plugin,
                )
            raise PluginImportError(
                f"plugin {plugin!r} in {folder} has a module {name!r}, but another of that name is found first, at"
                f" {place}: rename the one in the plugin's folder, or put it into a package with a name of its own",
                plugin=plugin,
            )


def _imported_from(home: Path, first: str) -> set[str]:
    """Return the names of the folder's modules that are imported, from one to the next, beginning with ``first``."""
    try:
        here = {name.partition(".")[0] for name in os.listdir(home)}  # noqa: PTH208  there may be many
    except OSError:
        return set()  # importing it says what is wrong
    reached: set[str] = set()
    waiting = [first]
    while waiting:
        name = waiting.pop()
        package = (home / name).rglob("*.py") if (home / name).is_dir() else ()
        files = [file for file in (home / f"{name}.py", *package) if file.is_file()]
        if name in reached or not files:
            continue
        reached.add(name)
        for file in files:
            waiting.extend(_imports(file, here - reached))
    return reached


def _imports(file: Path, wanted: set[str]) -> Iterator[str]:
    try:
        source = file.read_bytes()
        if source.isascii() and not any(name.encode() in source for name in wanted if name.isascii()):
            return  # most need nothing of the folder, and parsing takes longer than all else
        tree = _parsed(source)
    except (OSError, SyntaxError, ValueError, RecursionError, SystemError):
        return  # importing it says what is wrong
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


def _parsed(source: bytes) -> ast.Module:
    """Parse; CPython up to 3.12 counts how deep all threads are together, and takes fright when two meet."""
    for _ in range(_ATTEMPTS - 1):
        with suppress(SystemError):
            return ast.parse(source)
    return ast.parse(source)


def _place_of(name: str) -> Path | None:
    """Return the file or folder that importing ``name`` would give; None when that cannot be told."""
    if (loaded := sys.modules.get(name)) is not None:
        file = file_of(loaded) or folder_of(loaded)
        return Path(file).resolve() if file is not None else None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    place = spec.origin or next(iter(spec.submodule_search_locations or ()), None)
    return Path(place).resolve() if place and place not in ("built-in", "frozen") else None


def _is_installed_copy(distribution: str, place: Path) -> bool:
    """Return whether a file is one of those that an installed distribution brought along."""
    import importlib.metadata  # it brings the parser of mails, and hardly anybody comes here

    try:
        installed = importlib.metadata.distribution(distribution)
    except (importlib.metadata.PackageNotFoundError, ValueError):  # an empty name is the latter
        return False
    return any(Path(str(file.locate())).resolve() == place for file in installed.files or ())
