"""The configuration of a host while it runs: what was read, what its fleet wants, and what was switched by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plughost.core.config.again import merged, pending
from plughost.core.config.loaded import LoadedConfig
from plughost.core.config.overlay import overlaid
from plughost.exceptions import ConfigError


class RunningConfig:
    """What a host goes on with; ``now`` is all of it.

    Args:
        read: What it read at first.
    """

    def __init__(self, read: LoadedConfig) -> None:
        self.read = read
        self._below = read
        self._wanted: Mapping[str, Mapping[str, Any]] = {}
        self._origin = ""
        self._switches: dict[str, bool] = {}
        self.now = read

    def switch(self, name: str, *, enabled: bool) -> None:
        """Note that a plugin was switched by hand: it stays so until its switch is written anew."""
        self._switches[name] = enabled
        self.now = self.now.switched(name, enabled=enabled)

    def configure(self, name: str, changes: Mapping[str, Any]) -> None:
        """Note that settings of a plugin were written into the file."""
        self._below = self._below.configured(name, changes)
        self._lay()

    def lay_over(self, wanted: Mapping[str, Mapping[str, Any]], origin: str) -> Mapping[str, str]:
        """Take other settings of plugins in the place of those that were laid over before.

        Returns:
            Dotted name -> origin of each that the environment decides otherwise.

        Raises:
            ConfigError: They do not fit to what the host has of a plugin; nothing has changed.
        """
        try:
            _, kept = overlaid(self._below, wanted, origin)
        except ValueError as error:
            raise ConfigError(str(error), origin=origin) from error
        for name in [*self._switches]:
            if wanted.get(name, {}).get("enabled") is not self._wanted.get(name, {}).get("enabled"):
                del self._switches[name]  # whoever changed it later said the last word
        self._wanted, self._origin = wanted, origin
        self._lay()
        return kept

    def read_again(self, read: LoadedConfig) -> tuple[str, ...]:
        """Follow what was read anew; returns the settings that hold from the next start of the host only."""
        later = pending(self.now, read)
        for name in [*self._switches]:
            if read.plugin(name).enabled is not self.read.plugin(name).enabled:
                del self._switches[name]  # whoever changed the file said the last word
        self._below, self.read = merged(self._below, read), read
        self._lay()
        return later

    def _lay(self) -> None:
        self.now, _ = overlaid(self._below, self._wanted, self._origin)
        for name, enabled in self._switches.items():
            self.now = self.now.switched(name, enabled=enabled)
