"""Plugins in virtual environments of their own: ``[plugins.NAME] environment = ".venvs/NAME"``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from plughost.contracts.config import PluginSection
from plughost.core.config import LoadedConfig
from plughost.core.finding.packaged import chosen
from plughost.core.finding.sources import Finding, from_entry_points
from plughost.core.finding.virtual_environment import VirtualEnvironment
from plughost.exceptions import PluginSourceError


def environment_of(section: PluginSection, loaded: LoadedConfig) -> VirtualEnvironment | None:
    """Return the environment that a table of the configuration names; None when it names none."""
    return (
        None
        if section.environment is None
        else VirtualEnvironment.at(loaded.located(section.environment).absolute())
    )


def from_environments(loaded: LoadedConfig, groups: Sequence[str]) -> Iterator[Finding]:
    """Findings of plugins that the configuration says have an environment; what is wrong with one is in it."""
    for name, section in loaded.config.plugins.items():
        environment = environment_of(section, loaded)
        if environment is not None:
            blank = Finding(
                name=name,
                reference="",
                source="environment",
                origin=str(section.environment),
                environment=environment,
            )
            try:
                problem = environment.problem
                if not problem and not environment.has("plughost") and not environment.shares_packages:
                    problem = "has no plughost in it, which runs the plugin there"
                if problem:
                    raise PluginSourceError(
                        f"plugin {blank.name!r}: the environment {blank.origin} {problem}. Make it with "
                        f"`plughost env create {blank.name} --for DISTRIBUTION`, "
                        f"or correct [plugins.{blank.name}] environment",
                        plugin=blank.name,
                    )
                declared = list(from_entry_points(groups, environment.import_path))
                found = chosen(blank.name, declared, section, f"the environment {blank.origin}")
                yield replace(
                    found, name=blank.name, source="environment", origin=blank.origin, environment=environment
                )
            except PluginSourceError as error:
                yield replace(blank, problem=str(error))
