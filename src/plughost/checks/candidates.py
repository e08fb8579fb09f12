"""What `check` is to look at: a folder, an installed plugin, or all of them."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from plughost.core.config import LoadedConfig
from plughost.core.config.paths import match_name
from plughost.core.config.toml_text import parse_toml
from plughost.core.finding.discovery import PluginCandidate, Wish, discover
from plughost.core.finding.other_groups import read_elsewhere
from plughost.core.finding.sources import MANIFEST, from_folder
from plughost.core.finding.survey import survey
from plughost.exceptions import PluginNotFoundError, did_you_mean

_HEADERS = {
    "description": ("Summary",),
    "requires-python": ("Requires-Python",),
    "license": ("License-Expression", "License"),
}


def candidates_of(target: str | None, loaded: LoadedConfig) -> list[PluginCandidate]:
    """Return the candidates that ``target`` names.

    Args:
        target: A folder with a ``pyproject.toml``, or the name of a plugin; None for all that would load.
        loaded: The configuration.

    Raises:
        PluginNotFoundError: It is neither.
    """
    if target is None:
        return [one for one in survey(loaded) if one.wanted or one.error is not None]
    folder = Path(target)
    if (folder / MANIFEST).is_file():
        findings = list(from_folder(folder.resolve(), loaded.config.host.plugin_groups))
        wishes = {
            finding.name: Wish(config=loaded.plugin(finding.name).config)
            for finding in findings
            if loaded.section_of(finding.name) is not None
        }
        return discover(findings, wishes)
    return [find_candidate(target, loaded)]


def find_candidate(name: str, loaded: LoadedConfig) -> PluginCandidate:
    """Return the candidate of that name.

    Raises:
        PluginNotFoundError: Not found.
    """
    candidates = {candidate.name: candidate for candidate in survey(loaded)}
    found = candidates.get(match_name(name, candidates))
    if found is None:
        hint = read_elsewhere(name, loaded) or did_you_mean(name, candidates)
        raise PluginNotFoundError(
            f"there is no plugin {name!r}.{hint} `plughost list` shows all"
            + f"; a folder to check needs a {MANIFEST}" * (os.sep in name or Path(name).is_dir()),
            plugin=name,
        )
    return found


def lives_elsewhere(candidate: PluginCandidate) -> bool:
    """Whether it is installed in an environment that this process does not run in, and cannot be imported here."""
    environment = candidate.finding.environment
    return environment is not None and not environment.is_current


def command_there(candidate: PluginCandidate, command: str) -> str:
    """Return the command line that looks at a plugin where it is installed."""
    environment = candidate.finding.environment
    python = "python" if environment is None else str(environment.python)
    return f"`{python} -m plughost {command} {candidate.name}`"


def project_of(candidate: PluginCandidate, folder: Path | None = None) -> dict[str, Any]:
    """Return the ``[project]`` table of a plugin's folder, or the same facts of its distribution."""
    home = folder or (Path(candidate.finding.origin) if candidate.finding.source == "directory" else None)
    if home is not None:
        manifest = home / MANIFEST
        try:
            table = parse_toml(manifest.read_text(encoding="utf-8")).get("project", {})
        except (OSError, ValueError):
            return {}
        if not isinstance(table, dict):
            return {}
        dynamic = table.get("dynamic", ())
        return table if "dependencies" in dynamic else {"dependencies": []} | table
    if not candidate.finding.distribution:
        return {}
    try:
        metadata = importlib.metadata.metadata(candidate.finding.distribution)
    except importlib.metadata.PackageNotFoundError:
        return {}
    project: dict[str, Any] = {
        key: next((metadata[name] for name in names if name in metadata), "")
        for key, names in _HEADERS.items()
    }
    return project | {"dependencies": metadata.get_all("Requires-Dist") or []}
