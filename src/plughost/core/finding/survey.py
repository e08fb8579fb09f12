"""A configuration becomes the list of candidates: what `list` and `doctor` show and what a host loads.

Only metadata are read, so this works whatever a plugin's code would do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec
from msgspec.structs import replace

from plughost.core.config import LoadedConfig
from plughost.core.config.paths import canonical
from plughost.core.finding.discovery import Limits, PluginCandidate, Wish, discover
from plughost.core.finding.in_environments import from_environments
from plughost.core.finding.packaged import from_packages, is_package
from plughost.core.finding.sources import (
    Finding,
    file_without_plugin,
    from_configuration,
    from_directory,
    from_entry_points,
    from_place,
)
from plughost.exceptions import PluginSourceError
from plughost.hookspecs import PROJECT

IN_PROCESS = "PLUGHOST_IN_PROCESS"
"""Variable with names of plugins that run inside the host although the configuration says otherwise."""


def survey(
    loaded: LoadedConfig,
    refusals: Mapping[str, PluginSourceError] = MappingProxyType({}),
    folders: Sequence[Path] = (),
) -> list[PluginCandidate]:
    """Return every plugin that is installed, in the plugin directory or configured, with its verdict.

    Args:
        loaded: The configuration.
        refusals: Name of a plugin to why its url could not be fetched.
        folders: Folders and files of plugins that somebody named by hand; they come before all others.
    """
    limits = Limits.of(loaded.config.host)
    groups = loaded.config.host.plugin_groups
    named = [replace(one, source="package") for folder in folders for one in from_place(folder, groups)]
    taken = {canonical(finding.name) for finding in named}
    others = (finding for finding in _findings(loaded, refusals) if canonical(finding.name) not in taken)
    # One wish for each plugin that is spoken of, however the places that do so spell its name
    host = loaded.config.host
    required = (name for name in host.required if name not in loaded.config.apps)  # apps can be required too
    listed = (name for name in (*required, *host.disabled) if loaded.section_of(name) is None)
    wishes = {name: _wish(loaded, name) for name in (*loaded.config.plugins, *listed)}
    findings = [*named, *others]
    found = {canonical(finding.name) for finding in findings}
    if host.plugin_dir is not None:
        missing = [name for name in wishes if canonical(name) not in found]
        hollow = (file_without_plugin(loaded.located(host.plugin_dir), name) for name in missing)
        findings += filter(None, hollow)
    return discover(findings, wishes, limits)


def _findings(loaded: LoadedConfig, refusals: Mapping[str, PluginSourceError]) -> Iterator[Finding]:
    config = loaded.config
    groups = config.host.plugin_groups
    yield from from_packages(loaded, refusals)
    yield from from_environments(loaded, groups)
    installed = [
        # What a program on bare pluggy finds is its plugin, and may be there for its templates or its import alone.
        replace(one, needs_no_hook=config.host.project != PROJECT and one.group != "plughost.plugins")
        for one in from_entry_points(groups)
    ]
    owners = {finding.reference.partition(":")[0]: finding for finding in installed}
    for finding in from_configuration(
        (name, section.module)
        for name, section in config.plugins.items()
        if section.module is not None and section.environment is None and not is_package(section)
    ):
        owner = owners.get(finding.reference.partition(":")[0])
        yield (
            finding
            if owner is None
            else replace(finding, distribution=owner.distribution, version=owner.version)
        )
    yield from installed
    if config.host.plugin_dir is not None:
        for finding in from_directory(loaded.located(config.host.plugin_dir), groups):
            if config.host.autoload_plugin_dir or loaded.section_of(finding.name) is not None:
                yield finding


def _wish(loaded: LoadedConfig, name: str) -> Wish:
    section = loaded.plugin(name)
    # What a person who hunts a fault wants inside the host, whatever the configuration says.
    inside = {canonical(one.strip()) for one in loaded.environ.get(IN_PROCESS, "").split(",")}
    process, confine = section.process, section.process.confine
    if confine is not None:
        places = {way: tuple(map(loaded.located, getattr(confine, way))) for way in ("read", "write")}
        process = msgspec.structs.replace(process, confine=msgspec.structs.replace(confine, **places))
    return Wish(
        enabled=section.enabled,
        required=loaded.is_required(name),
        mentioned=True,
        config=section.config if loaded.section_of(name) is not None else None,
        distribution=section.distribution or "",
        enforce=section.enforce,
        isolation="none" if canonical(name) in inside else section.isolation,
        process=process,
    )
