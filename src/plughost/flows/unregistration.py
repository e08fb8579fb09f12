"""How an app goes: rolled back if asked for, disconnected, gone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from plughost.contracts.apps import AppRecord, UnregisterOptions
from plughost.contracts.logs import get_logger
from plughost.exceptions import AppError, AppRefused
from plughost.flows.connections import SharedConnections
from plughost.flows.journal import Journal, Unfinished
from plughost.flows.steps import SagaStep
from plughost.hookspecs import Hooks

_log = get_logger("plughost.apps")


async def roll_back(hooks: Hooks, app_name: str, connection: Any, options: UnregisterOptions) -> None:
    """Have plugins undo what was done for an app, on its way in or out.

    Raises:
        AppError: One tried, and failed.
    """
    app: dict[str, Any] = {"app_name": app_name, "connection": connection, "options": options}
    await hooks.app_rollback_started(**app)
    result = await hooks.rollback_app(**app)
    if result is not None and not result.ok:
        raise AppError(
            f"rolling back app {app_name!r} failed: {result.detail}", app_name=app_name, step="rollback_app"
        )
    await hooks.app_rollback_completed(**app, result=result)


class Unregistration:
    """One app on its way out.

    Up to the rollback it can stay, as it was or marked. After that there is no way back: closing its
    connection may fail, and it is gone nevertheless.

    Attributes:
        trouble: What went wrong while its connection was closed; None when nothing did.
    """

    def __init__(
        self,
        record: AppRecord,
        options: UnregisterOptions,
        *,
        key: str,
        hooks: Hooks,
        connections: SharedConnections,
        journal: Journal,
        started_at: float,
    ) -> None:
        self.trouble: Exception | None = None
        self._record = record
        self._options = options
        self._key = key
        self._hooks = hooks
        self._connections = connections
        self._journal = journal
        self._started_at = started_at

    def steps(self) -> list[SagaStep]:
        """Return the steps that can still fail the unregistration."""

        async def start() -> None:
            try:
                await self._hooks.app_unregistration_started(
                    app_name=self._record.name, options=self._options
                )
            except AppRefused as refusal:
                if self._options.reason == "requested":
                    raise
                _log.warning(
                    "a refusal to unregister an app was passed over",
                    app=self._record.name,
                    reason=refusal.log_reason,
                )

        first = SagaStep("app_unregistration_started", start)

        async def undo() -> None:
            record = self._record
            self._journal.note(
                Unfinished(
                    app_name=record.name,
                    operation="unregister",
                    step="rollback_app",
                    started_at=self._started_at,
                )
            )
            await roll_back(self._hooks, record.name, record.connection, self._options)

        return [first, SagaStep("rollback_app", undo)] if self._options.rollback else [first]

    async def disconnect(self) -> None:
        """Take the app off its connection; never raises for what a plugin did."""

        async def shut_down(connection: Any, shared: bool) -> None:
            if connection is None:
                return
            report = await self._hooks.connection_shutdown.report(
                app_name=self._record.name,
                connection=connection,
                options=replace(self._options, shared=shared),
            )
            errors = [outcome.error for outcome in report.outcomes if isinstance(outcome.error, Exception)]
            self.trouble = errors[0] if errors else None

        try:
            await self._connections.release(self._key, self._record.name, shut_down)
        except Exception as error:  # reported by the caller; the app goes all the same
            self.trouble = error
