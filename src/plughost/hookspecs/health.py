"""When something failed, and whether all is well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plughost.contracts.health import HealthCheck, HealthReport
from plughost.hookspecs._markers import hookspec


@hookspec(mode="broadcast", timeout=30.0, concurrent=True)
def operation_failed(app_name: str, operation: str, error: Exception, context: Mapping[str, Any]) -> None:
    """A step of an app's registration or unregistration failed.

    Called once for a failure, after the steps before it were undone.

    Args:
        app_name: The app's name.
        operation: The step that failed: the name of the hook it stood in, such as ``run_migrations``.
        error: What went wrong.
        context: What else is known: ``undone`` and ``not_undone`` tell of the steps before it, ``cancelled``
            whether nothing failed but somebody called it off, and ``duration`` the seconds it took.

    Refusing:
        There is nothing to stop: it is over.

    Failure:
        Reported; the others are still told.

    Example:
        alerts: list[str] = []

        @hookimpl
        def operation_failed(app_name: str, operation: str, error: Exception) -> None:
            alerts.append(f"{operation} of {app_name} failed: {error}")
    """


@hookspec(mode="collect", timeout=2.0, concurrent=True)
def health_check(app_name: str | None, health_status: HealthReport) -> HealthCheck | Mapping[str, Any] | None:
    """Say how it is from where you stand.

    Called for the host and for each app, every ``health_interval`` and whenever somebody asks. All
    implementations are asked; each answer becomes a check under the plugin's name, and the report is as bad
    as its worst check.

    Args:
        app_name: The app that is looked at; None for the host as a whole.
        health_status: What the host itself has found so far.

    Returns:
        Figures by name. Two names are read as what they say: ``status`` (``pass``, ``warn`` or ``fail``;
        ``pass`` when it is missing) and ``detail`` (one sentence for a person). Or a ``HealthCheck``, which
        says the same. None when there is nothing to say about this app.

    Refusing:
        There is nothing to stop; return ``status="fail"`` to say that the work is not being done.

    Failure:
        An error, a time-out or an answer that cannot be read becomes a check of that plugin with status
        ``warn``: whether the work is being done is not known.

    Example:
        import shutil

        @hookimpl(blocking=True)
        def health_check(app_name: str | None) -> Mapping[str, Any] | None:
            if app_name is not None:
                return None
            free = shutil.disk_usage("/").free
            return {"status": "pass" if free > 1_000_000_000 else "warn", "free_bytes": free}
    """
