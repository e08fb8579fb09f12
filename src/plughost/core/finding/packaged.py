"""Plugins that the configuration names by a path or a url: folders, wheels and zip files that are not installed.

``[plugins.NAME] path = "x.whl"`` or ``url = "https://..."`` with ``sha256 = "..."``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from msgspec.structs import replace

from plughost.contracts.config import PluginSection
from plughost.contracts.records import PluginState
from plughost.core.config import LoadedConfig
from plughost.core.config.paths import canonical
from plughost.core.finding.discovery import Limits, Wish, verdict_of
from plughost.core.finding.installed import parse_entry_points
from plughost.core.finding.sources import MANIFEST, Finding, from_folder
from plughost.core.packages.package import Package
from plughost.core.packages.urls import shown
from plughost.exceptions import PluginSourceError

STORE = ".packages"
"""Folder below the host's data folder; the dot keeps it apart from those of plugins."""

_INFO_FOLDER = r"(?P<name>[^-]+)-(?P<version>[^-]+)\.dist-info$"


def is_package(section: PluginSection) -> bool:
    """Whether the configuration says where the code of this plugin lies."""
    return section.path is not None or section.url is not None


def package_of(name: str, section: PluginSection, loaded: LoadedConfig) -> Package:
    """Return the package that a table of the configuration names; whether it is there is another question."""
    store = loaded.data_dir / STORE
    if section.url is not None:
        digest = str(section.sha256).lower()
        suffix = ".whl" if shown(section.url).endswith(".whl") else ".zip"
        path, place = store / f"{digest}{suffix}", shown(section.url)
    else:
        path = loaded.located(section.path or "").absolute()
        place = str(section.path)
    return Package(plugin=name, place=place, path=path, sha256=section.sha256, store=store)


def packages_to_fetch(loaded: LoadedConfig) -> Iterator[tuple[Package, str]]:
    """Yield the packages named by a url that are not here yet, with the url; only of plugins that may be loaded."""
    for name, section in loaded.config.plugins.items():
        if section.url is not None:
            package = package_of(name, section, loaded)
            if _may_load(package, section, loaded) and not package.path.is_file():
                yield package, section.url


def from_packages(loaded: LoadedConfig, refusals: Mapping[str, PluginSourceError]) -> Iterator[Finding]:
    """Findings of plugins that the configuration names by path or url; what is wrong with one is in it.

    Args:
        loaded: The configuration.
        refusals: Name of a plugin to why its url could not be fetched just now.
    """
    for name, section in loaded.config.plugins.items():
        if is_package(section):
            package = package_of(name, section, loaded)
            blank = Finding(name=name, reference="", source="package", origin=package.place)
            try:
                yield _found(blank, package, section, loaded, refusals)
            except PluginSourceError as error:
                yield replace(blank, problem=str(error))


def _found(
    blank: Finding,
    package: Package,
    section: PluginSection,
    loaded: LoadedConfig,
    refusals: Mapping[str, PluginSourceError],
) -> Finding:
    if not _may_load(package, section, loaded):
        # Not so much as opened.
        return replace(blank, distribution=_told_distribution(package, loaded))
    if blank.name in refusals:
        raise refusals[blank.name]
    if section.url is not None and not package.path.is_file():
        raise PluginSourceError(
            f"plugin {blank.name!r}: {package.place} was not fetched yet; the host does so when it starts "
            f"(`plughost run --once`)",
            plugin=blank.name,
        )
    folder = package.open()
    groups = loaded.config.host.plugin_groups
    if not package.path.is_dir() and (wheel := _entry_points_of(package)) is not None:
        declared = list(_of_wheel(*wheel, folder, groups))
    else:
        declared = list(from_folder(_project_in(folder), groups))
    found = chosen(blank.name, declared, section, package.place, package.path)
    return replace(found, name=blank.name, source="package", origin=package.place, package=package)


def chosen(
    name: str, declared: list[Finding], section: PluginSection, place: str, root: Path | None = None
) -> Finding:
    """Return the one of several findings of a place that a table of the configuration means.

    Args:
        name: Name of the table.
        declared: What the place declares.
        section: The table; a ``module`` in it settles the matter.
        place: The place, for messages.
        root: Where the code lies when nothing declared says so.

    Raises:
        PluginSourceError: The place has no plugin of that name, or one that cannot be used.
    """
    root = next((finding.folder for finding in declared if finding.folder is not None), root)
    if section.module is not None:
        about = declared[0] if declared else Finding(name=name, reference="", source="package", origin="")
        return replace(about, reference=section.module, folder=root, problem="")
    broken = next((finding for finding in declared if finding.problem), None)
    if broken is not None:
        raise PluginSourceError(f"plugin {name!r}: {place}: {broken.problem}", plugin=name)
    fitting = [finding for finding in declared if canonical(finding.name) == canonical(name)]
    if not fitting:
        there = ", ".join(repr(finding.name) for finding in declared) or "none"
        raise PluginSourceError(
            f"plugin {name!r}: {place} declares no plugin of that name, but {there}. Name its table after "
            f"the entry point, or set module under [plugins.{name}]",
            plugin=name,
        )
    return fitting[0]


def _entry_points_of(package: Package) -> tuple[str, str] | None:
    # Late: most plugins are installed.
    from plughost.core.packages.unpacking import UNREADABLE, read_entry_points

    try:
        return read_entry_points(package.path)
    except UNREADABLE as error:
        raise PluginSourceError(
            f"plugin {package.plugin!r}: {package.place} is not a whole zip file: {error}",
            plugin=package.plugin,
        ) from error


def _of_wheel(info: str, text: str, folder: Path, groups: Sequence[str]) -> Iterator[Finding]:
    match = re.match(_INFO_FOLDER, info)
    name, version = (match["name"].replace("_", "-"), match["version"]) if match else ("", "")
    points = list(parse_entry_points(text, groups, name, version, ""))
    for point in points:
        yield Finding(
            name=point.name,
            reference=point.reference,
            source="package",
            origin="",
            distribution=name,
            version=version,
            folder=folder,
        )
    if not points:
        yield Finding(
            name="", reference="", source="package", origin="", distribution=name, version=version, folder=folder
        )  # fmt: skip


def _project_in(folder: Path) -> Path:
    """The folder with the manifest: archives of repositories hold one folder with everything in it."""
    inner = [path for path in folder.iterdir() if path.is_dir()]
    if not (folder / MANIFEST).is_file() and len(inner) == 1 and (inner[0] / MANIFEST).is_file():
        return inner[0]
    return folder


def _may_load(package: Package, section: PluginSection, loaded: LoadedConfig) -> bool:
    """Whether it may be fetched and opened; when that has told its distribution, it is judged once more."""
    about = Finding(
        name=package.plugin,
        reference="",
        source="package",
        origin=package.place,
        distribution=_told_distribution(package, loaded),
    )
    verdict = verdict_of(about, Wish(enabled=section.enabled), Limits.of(loaded.config.host))
    return verdict.state is PluginState.DISCOVERED


def _told_distribution(package: Package, loaded: LoadedConfig) -> str:
    """The distribution as far as it can be told from outside: by a wheel's file name, or a folder's manifest."""
    name = PurePosixPath(urlsplit(package.place).path).name
    if name.endswith(".whl"):
        return name.partition("-")[0]
    if package.path.is_dir():
        declared = from_folder(_project_in(package.path), loaded.config.host.plugin_groups)
        return next((finding.distribution for finding in declared), "")
    return ""
