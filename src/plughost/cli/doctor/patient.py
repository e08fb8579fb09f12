"""An installation as its metadata show it; nothing of a plugin is imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from plughost._dataclasses import dataclass
from plughost.cli.program import Program
from plughost.core.config import LoadedConfig
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.finding.sources import Finding, from_directory, from_entry_points
from plughost.core.finding.survey import survey
from plughost.exceptions import ConfigError
from plughost.host import Host


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What the doctor looks at.

    Attributes:
        loaded: The configuration; that of an empty file when it cannot be read.
        error: Why it cannot be read.
        candidates: Every plugin, judged.
        data_dir: Where plugins keep their data.
    """

    loaded: LoadedConfig
    error: ConfigError | None
    candidates: tuple[PluginCandidate, ...]
    data_dir: Path

    def findings(self) -> Iterator[Finding]:
        """Every place that says it holds a plugin, also several of one name."""
        groups = self.loaded.config.host.plugin_groups
        yield from from_entry_points(groups)
        plugin_dir = self.plugin_dir
        if plugin_dir is not None:
            yield from from_directory(plugin_dir, groups)

    @property
    def plugin_dir(self) -> Path | None:
        """The folder of plugins that are not installed; None when none is configured."""
        configured = self.loaded.config.host.plugin_dir
        return None if configured is None else self.loaded.located(configured)


def admit(program: Program) -> Patient:
    """Look at an installation; a configuration that cannot be read is a finding and not the end."""
    try:
        host, error = program.host(errand=True), None
    except ConfigError as caught:
        host, error = Host(config={}, environ={}), caught
    loaded = host.loaded_config
    return Patient(loaded=loaded, error=error, candidates=tuple(survey(loaded)), data_dir=host.data_dir)
