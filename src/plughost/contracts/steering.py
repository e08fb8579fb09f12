"""What a plugin may do with the host as a whole, where that is its purpose; the host provides it as a service."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec.structs import replace

from plughost._dataclasses import dataclass
from plughost.contracts.plugin import PluginContext
from plughost.contracts.records import PluginRecord
from plughost.exceptions import NotCrossableError, ServiceError

_Config = TypeVar("_Config", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class CallCounts:
    """What plugins of a host were asked for, and how often they failed; of some stretch of time.

    Attributes:
        calls: Hook calls of each plugin, and requests at routes of plugins.
        failures: How many of them raised, passed their limit, or were answered with a status from 500 on.
    """

    calls: int = 0
    failures: int = 0

    def __add__(self, more: CallCounts) -> CallCounts:
        """Return both together."""
        return CallCounts(self.calls + more.calls, self.failures + more.failures)

    def __sub__(self, before: CallCounts) -> CallCounts:
        """Return what came after ``before``."""
        return CallCounts(self.calls - before.calls, self.failures - before.failures)

    @property
    def share(self) -> float:
        """Which share of the calls failed, from 0 to 1."""
        return self.failures / self.calls if self.calls else 0.0


class HostSteering(Protocol):
    """The host, to be looked at and steered: ``context.use(HostSteering)``."""

    @property
    def name(self) -> str:
        """Name of the host."""

    @property
    def working_directory(self) -> Path:
        """The folder in which the program was when the host was made, wherever it is now."""

    @property
    def worker(self) -> int | None:
        """Which of the processes that serve this host together it is, from 0; None when it is the only one."""

    @property
    def errand(self) -> bool:
        """Whether it was started for one command and ends with it."""

    @property
    def running(self) -> bool:
        """Whether all plugins that start with it have had their turn, and it does not stop yet."""

    @property
    def ready(self) -> bool:
        """Whether it runs, and every required plugin and app does."""

    @property
    def draining(self) -> bool:
        """Whether no more work is to be sent here, though it serves what comes."""

    def drain(self, *, on: bool) -> None:
        """Have ``/readyz`` say that no more work is to be sent here, or that it may be; nothing stops."""

    @property
    def plugins(self) -> Mapping[str, PluginRecord]:
        """A record of every plugin that was found, by name."""

    @property
    def counts(self) -> CallCounts:
        """What plugins were asked for since the host started, and how often they failed."""

    @property
    def follows_fleet(self) -> bool:
        """Whether its deployer lets a fleet steer its plugins."""

    def lay_over(self, plugins: Mapping[str, Mapping[str, Any]], origin: str) -> Mapping[str, str]:
        """Lay settings of plugins over those of the file and under those of the environment; nothing runs yet.

        They take the place of those that were laid over before, and stay when the file is read again.

        Args:
            plugins: Tables as under ``[plugins]``, by name of a plugin.
            origin: How reports call where they come from.

        Returns:
            Dotted name -> origin of each setting that was not changed, because a variable of the environment has it.

        Raises:
            ConfigError: They do not fit to what the host has of a plugin; nothing has changed.
        """

    async def bring_plugin(self, name: str, *, again: bool = False) -> PluginRecord:
        """Start or stop a plugin as its switch says now; with ``again`` one that runs is reloaded.

        Raises:
            PluginError: It failed, or another setting keeps it out; the old one goes on where that is possible.
        """

    async def enable_plugin(self, name: str) -> PluginRecord:
        """Start a plugin that its switch keeps out, until this host ends.

        Raises:
            PluginError: It failed, or another setting keeps it out.
        """

    async def disable_plugin(self, name: str) -> bool:
        """Stop a plugin and keep it out until it is enabled or the host ends; returns whether it was running."""

    async def reload_plugin(self, name: str) -> PluginRecord:
        """Replace a running plugin with a new instance, without losing a hook call; changed code is read again.

        Raises:
            PluginError: The new start failed; the old one goes on where that is possible.
        """


def working_directory_of(context: PluginContext) -> Path:
    """Return the folder where relative paths in a plugin's settings begin.

    It is where the program was when its host was made: another plugin may change the folder at any time, and nobody's
    files move with it.
    """
    try:
        return context.use(HostSteering).working_directory
    except (ServiceError, NotCrossableError):
        return Path.cwd()  # in a process of its own no other plugin changes it


def with_paths(context: PluginContext, config: _Config, *settings: str) -> _Config:
    """Return a plugin's configuration in which relative paths in these settings became absolute ones."""
    base = working_directory_of(context)
    given = {name: getattr(config, name) for name in settings}
    return replace(config, **{name: type(path)(base / path) for name, path in given.items() if path})
