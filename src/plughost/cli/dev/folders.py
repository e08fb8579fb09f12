"""The plugins in the folders that are being worked on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from plughost._dataclasses import dataclass
from plughost.core.finding.sources import MANIFEST, from_folder


@dataclass(frozen=True, slots=True)
class DevPlugin:
    """A plugin and the folder it is written in.

    Attributes:
        name: Name of the plugin; the folder's, while its manifest cannot be read.
        folder: The folder with its manifest.
    """

    name: str
    folder: Path


def dev_folders(paths: Iterable[Path]) -> list[Path]:
    """Return the folders with a manifest that ``paths`` are, or hold.

    Raises:
        click.UsageError: One of them is not a folder of a plugin.
    """
    found: list[Path] = []
    for path in (one.resolve() for one in paths):
        if (path / MANIFEST).is_file():
            found.append(path)
            continue
        inner = [one for one in sorted(path.iterdir()) if (one / MANIFEST).is_file()] if path.is_dir() else []
        if not inner:
            raise click.UsageError(
                f"{path} is not a folder of a plugin: it needs a {MANIFEST}. `plughost new NAME` makes one."
            )
        found += inner
    return found


def plugins_in(folders: Iterable[Path], groups: tuple[str, ...]) -> list[DevPlugin]:
    """Return the plugins that the manifests of these folders declare."""
    return [DevPlugin(finding.name, folder) for folder in folders for finding in from_folder(folder, groups)]
