"""Where plugins may come from. Each source turns into findings: names and places, nothing imported."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from plughost.core.loading.installed import entry_points

Source = Literal["entry point", "configuration", "directory", "package", "code"]

MANIFEST = "pyproject.toml"


class Openable(Protocol):
    """A package that can be checked and unpacked."""

    def open(self) -> Path:
        """Check it, and return the folder with its contents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that says it is a plugin.

    Attributes:
        name: The plugin's name.
        reference: ``module`` or ``module:attribute``; empty when the manifest is broken.
        source: Which kind of place it was found in.
        origin: The place itself, for people.
        distribution: The distribution it belongs to; empty when none.
        version: That distribution's version; empty when unknown.
        folder: For a plugin directory or package: what must be on the path to import it.
        package: What its code must be checked against before every start; None when nothing is.
        problem: Why it cannot be used; empty when it can.
    """

    name: str
    reference: str
    source: Source
    origin: str
    distribution: str = ""
    version: str = ""
    folder: Path | None = None
    package: Openable | None = None
    problem: str = ""


def groups_for(host_name: str) -> tuple[str, ...]:
    """Entry-point groups that a host of that name reads."""
    return tuple(dict.fromkeys(("plughost.plugins", f"{host_name}.plugins")))


def from_entry_points(groups: Sequence[str], path: Iterable[str] | None = None) -> Iterator[Finding]:
    """Findings of installed distributions."""
    for point in entry_points(groups, path):
        yield Finding(
            name=point.name,
            reference=point.reference,
            source="entry point",
            origin=f"{point.group}: {point.name} = {point.reference}",
            distribution=point.distribution,
            version=point.version,
        )


def from_configuration(modules: Iterable[tuple[str, str]]) -> Iterator[Finding]:
    """Findings of ``[plugins.NAME] module = "..."``: pairs of name and reference."""
    for name, reference in modules:
        yield Finding(
            name=name,
            reference=reference,
            source="configuration",
            origin=f"[plugins.{name}] module = {reference!r}",
        )


def from_directory(directory: Path, groups: Sequence[str]) -> Iterator[Finding]:
    """Findings of a plugin directory: each folder in it with a ``pyproject.toml`` holds one distribution's plugins.

    A folder without a manifest is nobody's business; one with a broken manifest becomes a finding that says so.
    """
    if not directory.is_dir():
        return
    for folder in sorted(directory.iterdir()):
        if (folder / MANIFEST).is_file():
            yield from from_folder(folder, groups)


def from_folder(folder: Path, groups: Sequence[str]) -> Iterator[Finding]:
    """Findings of one plugin folder."""
    try:
        declared = list(_declared(folder, groups))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, TypeError) as error:
        yield _broken(folder, f"its {MANIFEST} cannot be read: {error}")
        return
    if not declared:
        yield _broken(
            folder,
            f"its {MANIFEST} declares no plugin: add "
            f'[project.entry-points."{groups[0]}"] with NAME = "module:Class"',
        )
    yield from declared


def _declared(folder: Path, groups: Sequence[str]) -> Iterator[Finding]:
    project = _table(tomllib.loads((folder / MANIFEST).read_text(encoding="utf-8")), "project")
    points = _table(project, "entry-points")
    for group in groups:
        for name, reference in _table(points, group).items():
            if not isinstance(reference, str):
                raise TypeError(
                    f"entry point {name!r} must be a text such as 'module:Class', not {reference!r}"
                )
            yield Finding(
                name=name,
                reference=reference,
                source="directory",
                origin=str(folder),
                distribution=str(project.get("name", "")),
                version=str(project.get("version", "")),
                folder=_code_root(folder),
            )


def _table(parent: dict[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise TypeError(f"{key} must be a table, not {value!r}")
    return value


def _code_root(folder: Path) -> Path:
    return folder / "src" if (folder / "src").is_dir() else folder


def _broken(folder: Path, problem: str) -> Finding:
    return Finding(name=folder.name, reference="", source="directory", origin=str(folder), problem=problem)
