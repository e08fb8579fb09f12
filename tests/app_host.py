"""Apps and backups with real hooks and real plugins, without the rest of a host."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.logs import get_logger
from plughost.core.calls.dispatch import HookDispatcher
from plughost.core.calls.policy import CallPolicy
from plughost.core.events import EventBus
from plughost.exceptions import ServiceError
from plughost.flows.apps import Apps
from plughost.flows.backups import Backups
from plughost.hookspecs import CATALOGUE


class Context:
    """What a plugin is given."""

    def __init__(self, host: AppHost, name: str, config: object) -> None:
        self.name, self.host_name, self.config = name, "test", config
        self.log = get_logger(f"plughost.plugins.{name}")
        self.hooks, self.events = host.hooks, host.events
        self._host = host

    @property
    def data_dir(self) -> Path:
        folder = self._host.folder / "plugins" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def use(self, service: type[Any]) -> Any:
        if service not in self._host.services:
            raise ServiceError(f"nobody provides {service.__name__}")
        return self._host.services[service]

    def cron(self, expression: str, function: Callable[[], Any], *, name: str | None = None) -> None:
        self._host.jobs[name or expression] = function


class AppHost:
    """The part of a host that this family needs."""

    def __init__(
        self, folder: Path, *, clock: Clock = SYSTEM_CLOCK, policy: CallPolicy | None = None
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.dispatcher = HookDispatcher(policy=policy or CallPolicy(), clock=clock)
        for family in CATALOGUE:
            self.dispatcher.add_hookspecs(family)
        self.hooks = self.dispatcher.hooks
        self.events = EventBus(clock=clock)
        self.services: dict[type[Any], Any] = {}
        self.jobs: dict[str, Callable[[], Any]] = {}
        self.configs: dict[str, Mapping[str, Any]] = {}
        self.apps = Apps(self.hooks, events=self.events, journal_dir=folder / "apps", clock=clock)
        self.backups = Backups(
            self.hooks,
            directory=folder / "backups",
            configs=lambda: {**self.configs, **{name: app.config for name, app in self.apps.items()}},
            clock=clock,
        )
        self._plugins: list[Any] = []

    async def load(self, name: str, plugin: Any, config: Mapping[str, Any] | None = None) -> Any:
        """Start a plugin and register its hooks."""
        if hasattr(plugin, "start"):
            kind = getattr(plugin, "Config", None)
            typed = msgspec.convert(config or {}, kind) if kind else config or {}
            await plugin.start(Context(self, name, typed))
        self.dispatcher.register(name, plugin)
        self._plugins.append(plugin)
        return plugin

    async def close(self) -> None:
        """Take the apps away and stop the plugins."""
        await self.apps.close()
        for plugin in reversed(self._plugins):
            if hasattr(plugin, "stop"):
                await plugin.stop()


@asynccontextmanager
async def app_host(folder: Path, **options: Any) -> AsyncIterator[AppHost]:
    """A host that is closed at the end."""
    host = AppHost(folder, **options)
    try:
        yield host
    finally:
        await host.close()
