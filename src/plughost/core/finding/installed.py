"""Entry points of installed distributions, read as text: nothing is imported, not even importlib.metadata.

``importlib.metadata`` opens every distribution's files and costs tens of milliseconds to import. A host asks
one question, which distributions have an entry point in my groups, so this looks at the names in each folder
of the path and reads only ``entry_points.txt``. Whatever is not a plain folder (a zip file, a finder of some
tool's own) is asked through ``importlib_metadata``, slowly and completely.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from plughost.contracts.error_text import error_line
from plughost.contracts.value_text import class_name
from plughost.core.config.paths import canonical
from plughost.core.containment import Point, contained

_STANDARD_FINDERS = frozenset({"PathFinder", "MetadataPathFinder"})
_METADATA_FOLDER = re.compile(
    r"(?P<name>[^~].*?)(-(?P<version>\d[^-]*))?(-py\d.*)?\.(dist-info|egg-info)$", re.IGNORECASE
)
"""A name may hold dashes, though it should not; a version begins with a digit. What begins with ``~`` pip left."""


Tell = Callable[[str], None]
"""Is told of each thing that was passed over, in a sentence for people."""


Groups = Sequence[str] | None
"""Names of entry-point groups; None stands for every group."""


class EntryPoint(msgspec.Struct, frozen=True):
    """One line of an ``entry_points.txt``.

    Attributes:
        group: Such as ``plughost.plugins``.
        name: Left of the equals sign.
        reference: Right of it: ``module`` or ``module:attribute``.
        distribution: Name of the distribution.
        version: Its version; empty when the metadata do not say.
        metadata: The folder of its metadata; empty when they lie in none.
    """

    group: str
    name: str
    reference: str
    distribution: str
    version: str
    metadata: str


class _Metadata(msgspec.Struct):
    """One folder of metadata on the path.

    Attributes:
        parent: The folder on the path that holds it.
        name: Its own name.
        match: What that name says.
    """

    parent: str
    name: str
    match: re.Match[str]

    @property
    def path(self) -> str:
        return f"{self.parent}{os.sep}{self.name}"

    @property
    def headers(self) -> dict[str, str]:
        """``Name`` and ``Version`` as the distribution writes them; the folder's name has lost dashes and case."""
        text = _read(f"{self.path}{os.sep}METADATA") or _read(f"{self.path}{os.sep}PKG-INFO") or ""
        return dict(
            line.split(": ", 1)
            for line in text.partition("\n\n")[0].splitlines()
            if line.startswith(("Name: ", "Version: "))
        )

    @property
    def is_named(self) -> bool:
        return bool(self.headers.get("Name"))

    @property
    def has_record(self) -> bool:
        return (Path(self.path) / "RECORD").is_file()

    def points(self, groups: Groups, tell: Tell) -> Iterator[EntryPoint]:
        text = _read(f"{self.path}{os.sep}entry_points.txt", tell)
        if text is not None and (groups is None or any(group in text for group in groups)):
            headers = self.headers
            name = headers.get("Name", self.match["name"])
            version = headers.get("Version", self.match["version"] or "")
            yield from parse_entry_points(text, groups, name, version, self.path)


def entry_points(
    groups: Groups, path: Iterable[str] | None = None, tell: Tell = lambda _: None
) -> list[EntryPoint]:
    """Return the entry points of ``groups``; of two versions of a distribution the first on the path counts.

    Metadata without a name, as an interrupted installation leaves them, hide no others. What cannot be read is
    passed over.

    Args:
        groups: Names of entry-point groups; None for all that there are.
        path: Where to look; the import path by default, and then what other finders know, too.
        tell: Is told what was passed over, and why.
    """
    folders = list(dict.fromkeys(sys.path if path is None else path))
    claims: dict[str, list[_Metadata | list[EntryPoint]]] = {}
    for folder in folders:
        try:
            names = _metadata_in(folder, tell)
        except NotADirectoryError:
            for key, points in _in_archive(folder, groups, tell):
                claims.setdefault(key, []).append(points)
            continue
        for name in names:
            if match := _METADATA_FOLDER.match(name):
                metadata = _Metadata(folder or ".", name, match)
                claims.setdefault(canonical(match["name"]), []).append(metadata)
            elif name.startswith("~"):
                tell(
                    f"{folder or '.'}{os.sep}{name} is a left-over of an interrupted installation: delete it"
                )
    if path is None:
        for key, points in _from_other_finders(groups, tell):
            claims.setdefault(key, []).append(points)
    whole = (_first_whole(rivals, tell) for rivals in claims.values())
    return [point for one in whole for point in (one if isinstance(one, list) else one.points(groups, tell))]


def _metadata_in(folder: str, tell: Tell) -> list[str]:
    try:
        # Not Path.iterdir: a path object for each of a thousand names costs more than all the rest.
        return sorted(name for name in os.listdir(folder or ".") if name.endswith("-info"))  # noqa: PTH208
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise
    except OSError as error:
        tell(_unreadable(folder, error))
        return []


def _first_whole(rivals: list[_Metadata | list[EntryPoint]], tell: Tell) -> _Metadata | list[EntryPoint]:
    """The one that counts: the first with a name; of several in its folder, the first with a RECORD as well."""
    if len(rivals) == 1:
        return rivals[0]
    named = [one for one in rivals if isinstance(one, list) or one.is_named]
    for one in rivals:
        if isinstance(one, _Metadata) and one not in named:
            tell(f"{one.path} has no name in its metadata and is passed over: delete it, or install it again")
    first = (named or rivals)[0]
    if isinstance(first, list):
        return first
    beside = [one for one in named if isinstance(one, _Metadata) and one.parent == first.parent]
    return next((one for one in beside if one.has_record), first)


def _in_archive(location: str, groups: Groups, tell: Tell) -> Iterator[tuple[str, list[EntryPoint]]]:
    import importlib_metadata

    try:
        found = importlib_metadata.distributions(path=[location])
        yield from contained(Point.FINDER, lambda: list(_of_all(found, groups, location, tell)))
    except Exception as error:
        tell(f"{location} cannot be searched for plugins: {error_line(error)}")


def _from_other_finders(groups: Groups, tell: Tell) -> Iterator[tuple[str, list[EntryPoint]]]:
    def of_finder(finder: object) -> list[tuple[str, list[EntryPoint]]]:
        find = getattr(finder, "find_distributions", None)
        found = find() if find is not None else None
        return [] if found is None else list(_of_all(found, groups, "", tell))

    for finder in sys.meta_path:
        name = class_name(finder if isinstance(finder, type) else type(finder)).rpartition(".")[2]
        if name in _STANDARD_FINDERS:
            continue
        try:
            yield from contained(Point.FINDER, of_finder, finder)
        except Exception as error:  # somebody's own finder may do anything
            tell(f"finder {name} was asked for plugins and failed: {error_line(error)}")


def _of_all(
    distributions: Iterable[Any], groups: Groups, location: str, tell: Tell
) -> Iterator[tuple[str, list[EntryPoint]]]:
    def facts_of(distribution: Any) -> tuple[str, str, str]:
        """Name, version and entry points."""
        metadata = distribution.metadata
        text = distribution.read_text("entry_points.txt") or ""
        return str(metadata["Name"] or ""), str(metadata["Version"] or ""), str(text)

    for distribution in distributions:
        try:
            name, version, text = contained(Point.FINDER, facts_of, distribution)
        except Exception as error:
            tell(
                f"a distribution in {location or 'a finder'} cannot be read and is passed over: "
                f"{error_line(error)}"
            )
            continue
        if name:
            yield canonical(name), list(parse_entry_points(text, groups, name, version, ""))
        else:
            tell(f"a distribution in {location or 'a finder'} has no name and is passed over")


def parse_entry_points(
    text: str, groups: Groups, distribution: str, version: str, metadata: str
) -> Iterator[EntryPoint]:
    """Yield the entry points of ``groups`` in the text of an ``entry_points.txt``."""
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            group = line.strip("[]").strip()
        elif (groups is None or group in groups) and "=" in line and line[0] not in "#;":
            name, _, reference = line.partition("=")
            yield EntryPoint(group, name.strip(), bare_reference(reference), distribution, version, metadata)


def bare_reference(text: str) -> str:
    """Return ``module:attribute`` without the spaces and extras that an entry point may have."""
    return ":".join(part.strip() for part in text.partition("[")[0].split(":"))


def _unreadable(path: str, error: OSError) -> str:
    reason = error.strerror or error
    return f"{path} cannot be read ({reason}), and its plugins are not found: give this user the right to"


def _read(path: str, tell: Tell = lambda _: None) -> str | None:
    try:
        with open(path, "rb") as file:  # noqa: PTH123  once for each distribution: a path object costs as much again
            return file.read().removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        tell(_unreadable(path, error))
        return None
