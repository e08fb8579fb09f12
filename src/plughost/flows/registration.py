"""How an app comes: the steps of its registration, each named after the hook it stands in."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from plughost.contracts.apps import OperationResult, UnregisterOptions
from plughost.contracts.secret import Secret
from plughost.exceptions import AppError, ConfigError
from plughost.flows.connections import SharedConnections
from plughost.flows.journal import Journal, Unfinished
from plughost.flows.steps import SagaStep, Work
from plughost.flows.unregistration import roll_back
from plughost.hookspecs import Hooks

OPERATIONS: Mapping[str, str] = MappingProxyType(
    {"migrations": "run_migrations", "seeds": "run_seeds", "models": "load_models"}
)
"""The settings of an app that are operations, and their hooks, in the order they run."""


_SWITCHES = ("shared", "required", "backup")
_KNOWN = ("url", *OPERATIONS, "version_table", *_SWITCHES)


def check_settings(app_name: str, config: Mapping[str, Any]) -> None:
    """Refuse settings that would register the app without what they were meant to give it.

    Raises:
        ConfigError: A setting of the host's own is empty, or a key differs from one by a slip of the pen.
    """
    for key, value in config.items():
        path = f"apps.{app_name}.{key}"
        plain = value.reveal() if isinstance(value, Secret) else value
        if key in _KNOWN and isinstance(plain, str) and not plain.strip():
            raise ConfigError(f"{path} is empty: give it a value, or leave it out", path=path)
        if key in _SWITCHES and not isinstance(value, bool):
            raise ConfigError(f"{path} must be true or false", path=path)
        near = (
            []
            if key in _KNOWN
            else [one for one in _KNOWN if one not in config and _is_slip(key.lower(), one)]
        )
        if near:
            raise ConfigError(f"{path} is not a setting of an app. Did you mean {near[0]!r}?", path=path)


def _is_slip(written: str, meant: str) -> bool:
    """Whether one letter too many or too few, a wrong one, or two that changed places make the difference."""
    same = _same_beginning(written, meant)
    one, other = written[same:], meant[same:]
    same = _same_beginning(one[::-1], other[::-1])
    one, other = one[: len(one) - same], other[: len(other) - same]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def _same_beginning(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def connection_key(app_name: str, config: Mapping[str, Any]) -> str:
    """Return what two apps must have in common to share a connection: their url.

    An app without a url, or with ``shared = false``, has a connection of its own.
    """
    url = config.get("url")
    url = url.reveal() if isinstance(url, Secret) else url
    return f"url {url}" if url and config.get("shared", True) else f"app {app_name}"


class Registration:
    """One app on its way in.

    Attributes:
        connection: Its connection, once there is one.
        results: What its operations did, by operation.
    """

    def __init__(
        self,
        name: str,
        config: Mapping[str, Any],
        *,
        hooks: Hooks,
        connections: SharedConnections,
        journal: Journal,
        started_at: float,
        close_limit: float,
    ) -> None:
        self.connection: Any = None
        self.results: dict[str, OperationResult] = {}
        self.key = connection_key(name, config)
        self._name = name
        self._config = config
        self._hooks = hooks
        self._connections = connections
        self._journal = journal
        self._started_at = started_at
        self._close_limit = close_limit
        self._reused = False

    def steps(self, enter: Work, leave: Work) -> list[SagaStep]:
        """Return the whole sequence.

        Args:
            enter: Makes the app visible; part of the last step.
            leave: Takes that back.
        """

        async def registered() -> None:
            await enter()
            await self._hooks.app_registered(
                app_name=self._name, connection=self.connection, config=self._config
            )

        started = partial(self._hooks.app_registration_started, app_name=self._name, config=self._config)
        wanted = [(key, hook) for key, hook in OPERATIONS.items() if self._config.get(key)]
        steps = []

        async def undo_all() -> None:
            await roll_back(self._hooks, self._name, self.connection, self._options(rollback=True))

        for position, (key, hook) in enumerate(wanted):
            # One rollback takes back all operations, so it is the undo of the first of them.
            undo = undo_all if position == 0 and key != "models" else None
            steps.append(SagaStep(hook, self._operation(key, hook), undo, half_done=True))
        return [
            SagaStep("app_registration_started", started),
            SagaStep("open_connection", self._open, self._let_go),
            SagaStep("connection_created", self._tell_connection),
            SagaStep("auto_operations_started", self._tell_operations),
            *steps,
            SagaStep("auto_operations_completed", self._tell_results),
            SagaStep("app_registered", registered, leave, half_done=True),
        ]

    async def _open(self) -> None:
        async def open_it() -> Any:
            return await self._hooks.open_connection(app_name=self._name, config=self._config)

        self.connection, self._reused = await self._connections.acquire(self.key, self._name, open_it)
        if self.connection is None and self._config.get("url"):
            await self._let_go()
            scheme = self.key.removeprefix("url ").partition(":")[0]
            raise self._missing("open_connection", f"opens connections to {scheme!r} urls")

    async def _let_go(self) -> None:
        async def shut_down(connection: Any, shared: bool) -> None:
            if connection is not None:
                await self._hooks.connection_shutdown(
                    app_name=self._name, connection=connection, options=self._options(shared=shared)
                )

        await self._connections.release(self.key, self._name, shut_down)

    async def _tell_connection(self) -> None:
        if self.connection is not None:
            await self._hooks.connection_created(
                app_name=self._name, connection=self.connection, reused=self._reused
            )

    async def _tell_operations(self) -> None:
        await self._hooks.auto_operations_started(
            app_name=self._name, connection=self.connection, config=self._config
        )

    def _operation(self, key: str, hook: str) -> Work:
        async def run() -> None:
            if key != "models":  # an import leaves nothing behind
                self._journal.note(
                    Unfinished(
                        app_name=self._name, operation="register", step=hook, started_at=self._started_at
                    )
                )
            result = await getattr(self._hooks, hook)(
                app_name=self._name, connection=self.connection, config=self._config
            )
            if result is None:
                raise self._missing(hook, f"knows how to do its {key}")
            self.results[key] = result
            if not result.ok:
                raise AppError(
                    f"the {key} of app {self._name!r} failed: {result.detail}", app_name=self._name, step=hook
                )

        return run

    async def _tell_results(self) -> None:
        await self._hooks.auto_operations_completed(
            app_name=self._name, result=MappingProxyType(dict(self.results))
        )

    def _options(self, *, rollback: bool = False, shared: bool = False) -> UnregisterOptions:
        return UnregisterOptions(
            rollback=rollback, shared=shared, limit=self._close_limit, reason="failure", config=self._config
        )

    def _missing(self, step: str, ability: str) -> AppError:
        return AppError(
            f"no running plugin {ability}, which app {self._name!r} needs; "
            f"install and enable one that implements {step} (the plugin 'database' does for SQL databases)",
            app_name=self._name,
            step=step,
        )
