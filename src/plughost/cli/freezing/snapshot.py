"""The set of plugins at one moment, as it is written to a file and read from it."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import tomlkit

from plughost.core.config import LoadedConfig
from plughost.core.config.toml_text import parse_toml
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.finding.packaged import is_package, package_of
from plughost.core.packages.digests import digest_of_files
from plughost.exceptions import ConfigError

FORMAT = 1

_PASSING = frozenset({"", "host.safe_mode"})
"""Settings under which a plugin counts as enabled: safe mode is for one start, and not how the host is meant to be."""

_UNSTEADY = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""Files of a ``.dist-info`` that differ from one installation of the same wheel to the next."""


class FrozenPlugin(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One plugin as it was.

    Attributes:
        name: Name of the plugin.
        enabled: Whether the configuration let it be loaded.
        distribution: Distribution it was installed by; empty for one that was not installed.
        version: Version of that distribution, or of the folder or package.
        editable: Whether the distribution was installed from a folder that is being worked on: there is no
            version of it to go back to.
        path: For a plugin that is not installed: its folder or package.
        url: Where its package was fetched from.
        sha256: Digest of its files as they were installed, or of its folder or package; empty for an editable one.
    """

    name: str
    enabled: bool = True
    distribution: str = ""
    version: str = ""
    editable: bool = False
    path: str = ""
    url: str = ""
    sha256: str = ""


class FrozenHost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The plugins of a host.

    Attributes:
        format: Version of this layout.
        host: Name of the host.
        plughost: Version of plughost.
        plugins: In alphabetical order; those that come with plughost are left out.
    """

    format: int = FORMAT
    host: str
    plughost: str
    plugins: tuple[FrozenPlugin, ...] = ()


def take_snapshot(loaded: LoadedConfig, candidates: list[PluginCandidate]) -> FrozenHost:
    """Return the plugins that are there; reads metadata and files, and imports nothing."""
    return FrozenHost(
        host=loaded.config.host.name,
        plughost=importlib.metadata.version("plughost"),
        plugins=tuple(_frozen(loaded, candidates)),
    )


def write_snapshot(snapshot: FrozenHost) -> str:
    """Return the text of the file."""
    plain = msgspec.to_builtins(snapshot)
    document = tomlkit.document()
    document.add(tomlkit.comment("The plugins of a host: `plughost restore FILE` brings them back."))
    for key in ("format", "host", "plughost"):
        document.add(key, plain[key])
    tables = tomlkit.aot()
    for one in plain["plugins"]:
        table = tomlkit.table()
        table.update(one)
        tables.append(table)
    if plain["plugins"]:
        document.add("plugins", tables)
    return tomlkit.dumps(document)


def read_snapshot(path: Path) -> FrozenHost:
    """Read a file that ``write_snapshot`` made.

    Raises:
        ConfigError: It is something else, or was made by a newer plughost.
    """
    try:
        snapshot = msgspec.convert(parse_toml(path.read_text(encoding="utf-8-sig")), FrozenHost)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a file of `plughost freeze`: {error}", origin=str(path)) from error
    if snapshot.format > FORMAT:
        raise ConfigError(
            f"{path} was made by a newer plughost (layout {snapshot.format}, this one reads {FORMAT}): upgrade first",
            origin=str(path),
        )
    return snapshot


def _frozen(loaded: LoadedConfig, candidates: list[PluginCandidate]) -> Iterator[FrozenPlugin]:
    for candidate in candidates:
        section = loaded.plugin(candidate.name)
        about: dict[str, Any] = {"name": candidate.name, "enabled": candidate.setting in _PASSING}
        if is_package(section):
            package = package_of(candidate.name, section, loaded)
            about |= {"version": candidate.finding.version, "sha256": _digest(package.path)}
            about |= {"url": section.url} if section.url is not None else {"path": str(section.path)}
        elif candidate.finding.environment is not None:
            about |= {"version": candidate.finding.version, "path": str(section.environment)}
        elif candidate.finding.source == "directory":
            path = Path(candidate.finding.origin)
            # As a configuration of this project would say it, so that a snapshot fits on another machine.
            said = path.relative_to(loaded.directory) if path.is_relative_to(loaded.directory) else path
            about |= {
                "version": candidate.finding.version,
                "path": str(said),
                "sha256": _digest(path),
            }
        elif candidate.finding.distribution in {"", "plughost"}:
            continue  # comes with plughost, or with the application's own code
        else:
            editable = is_editable(candidate.finding.distribution)
            installed = {
                "distribution": candidate.finding.distribution,
                "version": candidate.finding.version,
                "editable": editable,
                "sha256": "" if editable else digest_of_distribution(candidate.finding.distribution),
            }
            about |= installed
        yield FrozenPlugin(**about)


def is_editable(distribution: str) -> bool:
    """Whether a distribution was installed from a folder that is being worked on."""
    said = importlib.metadata.distribution(distribution).read_text("direct_url.json")
    return bool(said) and json.loads(said or "{}").get("dir_info", {}).get("editable", False)


def digest_of_distribution(distribution: str) -> str:
    """Return a digest of a distribution's files as they are now: names and contents, compiled code left out."""
    total = hashlib.sha256()
    for file in sorted(importlib.metadata.files(distribution) or (), key=str):
        path = PurePosixPath(str(file))
        if path.suffix != ".pyc" and path.name not in _UNSTEADY and ".." not in path.parts:
            try:
                with Path(str(file.locate())).open("rb") as stream:
                    content = base64.b64encode(hashlib.file_digest(stream, "sha256").digest()).decode()
            except OSError:
                content = "missing"
            total.update(f"{path}\0{content}\0".encode())
    return total.hexdigest()


def _digest(path: Path) -> str:
    try:
        return digest_of_files(path)
    except OSError:
        return ""
