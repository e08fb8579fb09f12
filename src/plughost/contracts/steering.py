"""What a plugin may do with the host as a whole, where that is its purpose; the host provides it as a service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from plughost.contracts.records import PluginRecord


class HostSteering(Protocol):
    """The host, to be looked at and steered: ``context.use(HostSteering)``."""

    @property
    def name(self) -> str:
        """Name of the host."""

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
    def plugins(self) -> Mapping[str, PluginRecord]:
        """A record of every plugin that was found, by name."""

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
