"""A plugin under examination: what its metadata say and, where it could be imported, what it is."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import anyio

from plughost._dataclasses import dataclass
from plughost.contracts.clock import SYSTEM_CLOCK
from plughost.core.calls.declared import HookSetup
from plughost.core.config import LoadedConfig
from plughost.core.finding.discovery import PluginCandidate
from plughost.core.loading.loader import ImportedPlugin, ImportLane
from plughost.core.loading.shape import PluginHandle
from plughost.exceptions import PluginError


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One plugin, examined.

    Attributes:
        candidate: What its metadata say.
        loaded: The configuration it would run with.
        project: Its ``[project]`` table, or the same facts of its installed distribution; empty when it
            belongs to none.
        imported: The plugin itself; None when it could not or should not be imported.
        error: Why it could not be imported.
    """

    candidate: PluginCandidate
    loaded: LoadedConfig
    project: dict[str, Any]
    imported: ImportedPlugin | None = None
    error: PluginError | None = None

    @cached_property
    def hooks(self) -> HookSetup:
        """What the host it would run in declares."""
        return HookSetup.of(self.loaded.config.host)

    @property
    def name(self) -> str:
        """Name of the plugin."""
        return self.candidate.name

    @property
    def is_imported(self) -> bool:
        """Whether its code is here."""
        return self.imported is not None

    @property
    def is_foreign(self) -> bool:
        """Whether it was written for bare pluggy, and knows nothing of plughost."""
        return self.imported is not None and self.imported.handle.is_foreign

    @property
    def handle(self) -> PluginHandle:
        """The plugin behind one face; only where ``is_imported``."""
        if self.imported is None:
            raise RuntimeError(f"plugin {self.name!r} was not imported")
        return self.imported.handle


def is_imported(subject: Subject) -> bool:
    """Whether there is code to look at: what most checks apply to."""
    return subject.is_imported


def examine(candidate: PluginCandidate, loaded: LoadedConfig, project: dict[str, Any]) -> Subject:
    """Import a plugin under its limit and return it as a subject; a failure is part of it."""
    return anyio.run(import_subject, candidate, loaded, project)


async def import_subject(
    candidate: PluginCandidate, loaded: LoadedConfig, project: dict[str, Any]
) -> Subject:
    """Do the same in an event loop that runs already."""
    subject = Subject(candidate=candidate, loaded=loaded, project=project, error=candidate.error)
    if candidate.error is not None or not candidate.finding.reference:
        return subject
    try:
        imported = await ImportLane(SYSTEM_CLOCK).load(candidate, loaded.config.host.load_timeout)
    except PluginError as error:
        return replace(subject, error=error)
    return replace(subject, imported=imported)
