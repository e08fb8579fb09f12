"""An app goes: rolled back if asked for, disconnected, gone.

In this order for each app: ``app_unregistration_started``; with ``rollback=True`` also
``app_rollback_started``, ``rollback_app``, ``app_rollback_completed``; then ``connection_shutdown``,
``app_unregistered``. When the host stops, all apps go this way without a rollback, the last one first.
"""

from __future__ import annotations

from typing import Any

from plughost.contracts.apps import OperationResult, UnregisterOptions
from plughost.hookspecs._markers import hookspec


@hookspec(mode="broadcast", timeout=30.0)
def app_unregistration_started(app_name: str, options: UnregisterOptions) -> None:
    """An app is about to go; everything of it is still there.

    Called first; the last moment to save what a rollback would destroy.

    Args:
        app_name: The app's name.
        options: How it leaves: with a rollback or without, and why.

    Refusing:
        Raise ``AppRefused``, for instance because what a rollback would destroy could not be saved; the app
        stays as it is. When the host stops nobody can keep an app from leaving.

    Failure:
        Any other error or a time-out is reported; the others are still told, and the app goes on leaving.

    Example:
        leaving: dict[str, str] = {}

        @hookimpl
        def app_unregistration_started(app_name: str, options: UnregisterOptions) -> None:
            leaving[app_name] = options.reason
    """


@hookspec(mode="broadcast", timeout=300.0)
def app_rollback_started(app_name: str, connection: Any, options: UnregisterOptions) -> None:
    r"""What an app's operations did is about to be undone.

    Called after ``app_unregistration_started`` when a rollback was asked for, and when a registration that
    failed is undone (``options.reason`` is ``failure`` then). The rollback waits until everyone was told, so
    there is time for an emergency backup.

    Args:
        app_name: The app's name.
        connection: Its connection.
        options: How it leaves.

    Refusing:
        Nobody can stop it; ask for an unregistration without a rollback.

    Failure:
        Reported; the others are still told, and the rollback goes on.

    Example:
        @hookimpl(blocking=True)
        def app_rollback_started(app_name: str, connection: Any) -> None:
            with open(f"{app_name}.sql", "w") as dump:
                dump.writelines(f"{line}\n" for line in connection.iterdump())
    """


@hookspec(mode="first", timeout=300.0, on_error="abort")
def rollback_app(app_name: str, connection: Any, options: UnregisterOptions) -> OperationResult | None:
    """Undo what the operations of this app did.

    Called after ``app_rollback_started``. The first implementation that returns a result has done it; later
    ones are not asked.

    Args:
        app_name: The app's name.
        connection: Its connection.
        options: How it leaves; ``options.config`` is the app's configuration.

    Returns:
        What was undone, once it is durable; None when this plugin does not know such a connection.

    Refusing:
        Raise anything; what was done stays done, and the app is marked as failed.

    Failure:
        An error, a time-out or a result that is not ``ok`` is reported through ``operation_failed``, and the
        app is marked; no other provider is tried, and nothing else is touched.

    Example:
        @hookimpl(blocking=True)
        def rollback_app(connection: Any) -> OperationResult | None:
            connection.execute("DROP TABLE IF EXISTS notes")
            return OperationResult(operation="rollback", detail="table notes is gone")
    """


@hookspec(mode="broadcast", timeout=300.0)
def app_rollback_completed(
    app_name: str, connection: Any, options: UnregisterOptions, result: OperationResult | None
) -> None:
    """What an app's operations did was undone.

    Called after ``rollback_app``; not called when it failed.

    Args:
        app_name: The app's name.
        connection: Its connection, still open.
        options: How it leaves.
        result: What was undone; None when no plugin had anything to undo.

    Refusing:
        Nobody can stop it any more.

    Failure:
        Reported; the others are still told, and the app goes on leaving.

    Example:
        undone: list[str] = []

        @hookimpl
        def app_rollback_completed(app_name: str, result: OperationResult | None) -> None:
            if result is not None:
                undone.append(f"{app_name}: {result.detail}")
    """


@hookspec(mode="broadcast", timeout=15.0)
def connection_shutdown(app_name: str, connection: Any, options: UnregisterOptions) -> None:
    """An app lets its connection go; whoever opened it closes it.

    Called after the rollback, or after ``app_unregistration_started`` when there is none; not called for an
    app without a connection.

    Args:
        app_name: The app's name.
        connection: Its connection.
        options: ``options.shared`` is True while other apps are on it: then leave it open. ``options.limit``
            is how many seconds closing it may take.

    Refusing:
        Nobody can stop it.

    Failure:
        Reported; the others are still told, and the app goes on leaving.

    Example:
        @hookimpl(blocking=True)
        def connection_shutdown(connection: Any, options: UnregisterOptions) -> None:
            if not options.shared:
                connection.close()
    """


@hookspec(mode="broadcast", timeout=30.0, concurrent=True)
def app_unregistered(app_name: str, options: UnregisterOptions) -> None:
    """An app is gone.

    Called last, when ``host.apps`` does not have it any more.

    Args:
        app_name: The name it had.
        options: How it left.

    Refusing:
        Nobody can stop it any more.

    Failure:
        Reported; the others are still told, and the app stays gone.

    Example:
        apps = {"shop"}

        @hookimpl
        def app_unregistered(app_name: str) -> None:
            apps.discard(app_name)
    """
