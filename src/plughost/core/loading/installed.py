"""Entry points of installed distributions, read as text: nothing is imported, not even importlib.metadata.

``importlib.metadata`` opens every distribution's files and costs tens of milliseconds to import. A host asks
one question, which distributions have an entry point in my groups, so this looks at the names in each folder
of the path and reads only ``entry_points.txt``. Whatever is not a plain folder (a zip file, a finder of some
tool's own) is asked through ``importlib_metadata``, slowly and completely.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from plughost.core.config.paths import canonical

_STANDARD_FINDERS = frozenset({"PathFinder", "MetadataPathFinder"})
_METADATA_FOLDER = re.compile(r"(?P<name>[^-]+)(-(?P<version>[^-]+))?.*\.(dist-info|egg-info)$")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One line of an ``entry_points.txt``.

    Attributes:
        group: Such as ``plughost.plugins``.
        name: Left of the equals sign.
        reference: Right of it: ``module`` or ``module:attribute``.
        distribution: Name of the distribution.
        version: Its version; empty when the metadata do not say.
        location: The folder on the path that holds it.
    """

    group: str
    name: str
    reference: str
    distribution: str
    version: str
    location: str


def entry_points(groups: Sequence[str], path: Iterable[str] | None = None) -> list[EntryPoint]:
    """Return the entry points of ``groups``; of two versions of a distribution the first on the path counts."""
    seen: set[str] = set()
    found: list[EntryPoint] = []
    folders = list(dict.fromkeys(sys.path if path is None else path))
    for folder in folders:
        found.extend(_in_folder(folder or ".", groups, seen))
    if path is None:
        found.extend(_from_other_finders(groups, seen))
    return found


def _in_folder(folder: str, groups: Sequence[str], seen: set[str]) -> Iterator[EntryPoint]:
    try:
        # Not Path.iterdir: a path object for each of a thousand names costs more than all the rest.
        names = sorted(name for name in os.listdir(folder) if name.endswith("-info"))  # noqa: PTH208
    except NotADirectoryError:
        yield from _in_archive(folder, groups, seen)
        return
    except OSError:
        return
    for name in names:
        match = _METADATA_FOLDER.match(name)
        if match is None or (key := canonical(match["name"])) in seen:
            continue
        seen.add(key)
        text = _read(f"{folder}{os.sep}{name}{os.sep}entry_points.txt")
        if text is not None and any(group in text for group in groups):
            distribution, version = _identity(f"{folder}{os.sep}{name}", match)
            yield from parse_entry_points(text, groups, distribution, version, folder)


def _in_archive(location: str, groups: Sequence[str], seen: set[str]) -> Iterator[EntryPoint]:
    import importlib_metadata

    for distribution in importlib_metadata.distributions(path=[location]):
        yield from _of_distribution(distribution, groups, seen, location)


def _from_other_finders(groups: Sequence[str], seen: set[str]) -> Iterator[EntryPoint]:
    for finder in sys.meta_path:
        name = getattr(finder, "__name__", type(finder).__name__)
        find = getattr(finder, "find_distributions", None)
        if find is None or name in _STANDARD_FINDERS:
            continue
        for distribution in find():
            yield from _of_distribution(distribution, groups, seen, "")


def _of_distribution(
    distribution: object, groups: Sequence[str], seen: set[str], location: str
) -> Iterator[EntryPoint]:
    metadata = getattr(distribution, "metadata")  # noqa: B009  typed differently by each finder
    name = str(metadata["Name"] or "")
    if not name or (key := canonical(name)) in seen:
        return
    seen.add(key)
    text = distribution.read_text("entry_points.txt")  # type: ignore[attr-defined]
    if text:
        yield from parse_entry_points(text, groups, name, str(metadata["Version"] or ""), location)


def parse_entry_points(
    text: str, groups: Sequence[str], distribution: str, version: str, location: str
) -> Iterator[EntryPoint]:
    """Yield the entry points of ``groups`` in the text of an ``entry_points.txt``."""
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif group in groups and "=" in line and line[0] not in "#;":
            name, _, reference = line.partition("=")
            bare = reference.partition("[")[0]
            yield EntryPoint(group, name.strip(), bare.strip(), distribution, version, location)


def _identity(folder: str, match: re.Match[str]) -> tuple[str, str]:
    """Name and version as the distribution writes them; the folder's name has lost dashes and case."""
    text = _read(f"{folder}{os.sep}METADATA") or _read(f"{folder}{os.sep}PKG-INFO") or ""
    headers = dict(
        line.split(": ", 1)
        for line in text.partition("\n\n")[0].splitlines()
        if line.startswith(("Name: ", "Version: "))
    )
    return headers.get("Name", match["name"]), headers.get("Version", match["version"] or "")


def _read(path: str) -> str | None:
    try:
        return Path(path).read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
