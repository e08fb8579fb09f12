"""The apps of the configuration: registered when the host starts, and why when one was not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from plughost.contracts.apps import AppState
from plughost.contracts.error_text import error_text
from plughost.contracts.health import HealthCheck
from plughost.core.config import LoadedConfig
from plughost.exceptions import ConfigError
from plughost.flows.apps import Apps


class ConfiguredApps:
    """Registers what ``[apps]`` names.

    Args:
        loaded: The configuration.
        apps: Where they are registered.
    """

    def __init__(self, loaded: LoadedConfig, apps: Apps) -> None:
        self._loaded = loaded
        self._apps = apps
        self._errors: dict[str, Exception] = {}

    @property
    def errors(self) -> Mapping[str, Exception]:
        """Why apps were not registered, by name."""
        return MappingProxyType(self._errors)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the apps without which the host is not ready."""
        config = self._loaded.config
        return tuple(
            name
            for name, settings in config.apps.items()
            if settings.get("required") is True or name in config.host.required
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of required apps that are not there, or whose rollback failed."""
        return tuple(
            name
            for name in self.required
            if name not in self._apps or self._apps[name].state is AppState.FAILED
        )

    @property
    def unsaved(self) -> Mapping[str, Exception]:
        """Why apps that belong into backups cannot be saved now, by name."""
        lost = {name: error for name, error in self._errors.items() if name not in self._apps}
        return {name: error for name, error in lost.items() if name not in self.kept_out}

    @property
    def kept_out(self) -> frozenset[str]:
        """Names of the apps, configured or not, that say ``backup = false``."""
        known = {**self._loaded.config.apps, **{name: app.config for name, app in self._apps.items()}}
        return frozenset(name for name, settings in known.items() if settings.get("backup") is False)

    async def register(self) -> None:
        """Say what an earlier process left unfinished, then register all; what fails is in ``errors``."""
        await self._apps.recover()
        configs: dict[str, Mapping[str, Any]] = {}
        for name in self._loaded.config.apps:
            try:
                configs[name] = self._loaded.app_config(name)
            except ConfigError as error:
                self._errors[name] = error
        self._errors |= await self._apps.register_all(configs)

    def settings(self) -> dict[str, Mapping[str, Any]]:
        """Return the settings of all configured apps, references followed.

        Raises:
            ConfigError: A reference leads nowhere.
        """
        return {name: self._loaded.app_config(name) for name in self._loaded.config.apps}

    def checks(self) -> Iterator[HealthCheck]:
        """Yield a failed check for each configured app that is not there."""
        for name, error in self._errors.items():
            if name not in self._apps:
                yield HealthCheck(name=f"app {name}", status="fail", detail=error_text(error))
