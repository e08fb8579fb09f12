"""Plugins that stand in the hooks of apps: one that provides, one that looks on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app_host import AppHost
from plughost.contracts.apps import OperationResult, UnregisterOptions
from plughost.hookspecs import SPEC_ATTRIBUTE, app_registration, app_unregistration, hookimpl
from plughost.hookspecs.health import operation_failed

HOOKS = [
    *(name for name, spec in vars(app_registration).items() if hasattr(spec, SPEC_ATTRIBUTE)),
    *(name for name, spec in vars(app_unregistration).items() if hasattr(spec, SPEC_ATTRIBUTE)),
    operation_failed.__name__,
]

COMING = [
    "app_registration_started",
    "open_connection",
    "connection_created",
    "auto_operations_started",
    "run_migrations",
    "run_seeds",
    "load_models",
    "auto_operations_completed",
    "app_registered",
]
GOING = [
    "app_unregistration_started",
    "app_rollback_started",
    "rollback_app",
    "app_rollback_completed",
    "connection_shutdown",
    "app_unregistered",
]
EVERYTHING: dict[str, str] = {"url": "memory://one", "migrations": "m", "seeds": "s", "models": "o"}


class Trace:
    """Notes every hook that is called, by app; ``act[hook]`` is called in it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.act: dict[str, Callable[[str], Awaitable[None] | None]] = {}

    def of(self, app_name: str) -> list[str]:
        """Return the hooks that were called for one app."""
        return [hook for hook, name in self.calls if name == app_name]


def _noting(hook: str) -> Callable[..., Any]:
    @hookimpl(specname=hook, priority=100)
    async def note(self: Trace, app_name: str) -> None:
        self.calls.append((hook, app_name))
        answer = self.act[hook](app_name) if hook in self.act else None
        if answer is not None:
            await answer

    return note


for _hook in HOOKS:
    setattr(Trace, _hook, _noting(_hook))


class Connection:
    """What the provider opens."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.closed = 0


class Provider:
    """Opens connections to ``memory:`` urls and keeps a schema version for each."""

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.done: list[str] = []
        self.failures: list[tuple[str, str, Exception, Mapping[str, Any]]] = []

    @property
    def open_now(self) -> list[Connection]:
        """Connections that were not closed."""
        return [connection for connection in self.opened if not connection.closed]

    @hookimpl
    async def open_connection(self, config: Mapping[str, Any]) -> Connection | None:
        url = config.get("url", "")
        if not url.startswith("memory:"):
            return None
        self.opened.append(Connection(url))
        return self.opened[-1]

    @hookimpl
    def run_migrations(self, app_name: str) -> OperationResult:
        self.done.append(f"{app_name} migrated")
        return OperationResult(operation="migrations")

    @hookimpl
    def run_seeds(self, app_name: str) -> OperationResult:
        self.done.append(f"{app_name} seeded")
        return OperationResult(operation="seeds")

    @hookimpl
    def load_models(self) -> OperationResult:
        return OperationResult(operation="models")

    @hookimpl
    def rollback_app(self, app_name: str, options: UnregisterOptions) -> OperationResult:
        self.done = [line for line in self.done if not line.startswith(f"{app_name} ")]
        return OperationResult(operation="rollback", detail=options.reason)

    @hookimpl
    def connection_shutdown(self, connection: Connection, options: UnregisterOptions) -> None:
        if not options.shared:
            connection.closed += 1

    @hookimpl
    def operation_failed(
        self, app_name: str, operation: str, error: Exception, context: Mapping[str, Any]
    ) -> None:
        self.failures.append((app_name, operation, error, context))


@dataclass
class Stage:
    """A host with these two plugins in it."""

    host: AppHost
    provider: Provider
    trace: Trace


@asynccontextmanager
async def staged(folder: Path, **options: Any) -> AsyncIterator[Stage]:
    """A host whose apps can have connections and operations, without any database."""
    stage = Stage(AppHost(folder, **options), Provider(), Trace())
    await stage.host.load("provider", stage.provider)
    await stage.host.load("trace", stage.trace)
    yield stage
    stage.trace.act.clear()
    await stage.host.close()
