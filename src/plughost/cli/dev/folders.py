"""The plugins in the folders and files that are being worked on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from plughost._dataclasses import dataclass
from plughost.core.finding.sources import HOLDS_NO_PLUGIN, MANIFEST, from_file, from_place


@dataclass(frozen=True, slots=True)
class DevPlugin:
    """A plugin and where it is written.

    Attributes:
        name: Name of the plugin; the folder's, while its manifest cannot be read.
        folder: The folder with its manifest, or its file.
    """

    name: str
    folder: Path


def dev_folders(paths: Iterable[Path]) -> list[Path]:
    """Return the folders with a manifest, and the single files, that ``paths`` are or hold.

    Raises:
        click.UsageError: One of them is neither.
    """
    found: list[Path] = []
    for path in (one.resolve() for one in paths):
        inner = [path] if _is_plugin(path) else []
        if path.is_dir() and not inner:
            inner = [one for one in sorted(path.iterdir()) if _is_plugin(one)]
        if path.is_file() and not inner:
            raise click.UsageError(f"{path} is not the file of a plugin: {HOLDS_NO_PLUGIN}.")
        if not inner:
            raise click.UsageError(
                f"{path} is not a folder of a plugin: it needs a {MANIFEST}. `plughost new NAME` makes one."
            )
        found += inner
    return found


def _is_plugin(place: Path) -> bool:
    return (place / MANIFEST).is_file() or (place.suffix == ".py" and any(from_file(place)))


def plugins_in(folders: Iterable[Path], groups: tuple[str, ...]) -> list[DevPlugin]:
    """Return the plugins that these folders declare, or that these files are."""
    return [DevPlugin(finding.name, folder) for folder in folders for finding in from_place(folder, groups)]
