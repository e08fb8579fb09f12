"""An app comes: connection, automatic operations, registered.

In this order for each app: ``app_registration_started``, ``open_connection`` (unless an app with the same url
is already connected), ``connection_created``, ``auto_operations_started``, ``run_migrations``, ``run_seeds``,
``load_models`` (those that the app's configuration names), ``auto_operations_completed``, ``app_registered``.
A failure at any step undoes the steps before it and calls ``operation_failed``. Different apps are registered
at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plughost.contracts.apps import OperationResult
from plughost.hookspecs._markers import hookspec


@hookspec(mode="broadcast", timeout=30.0)
def app_registration_started(app_name: str, config: Mapping[str, Any]) -> None:
    """An app is about to be registered; look at it or refuse it.

    Called first, before anything was done for the app.

    Args:
        app_name: The app's name.
        config: Its configuration. There may be secrets in it.

    Refusing:
        Raise ``AppRefused``; the app is not registered.

    Failure:
        Any other error or a time-out is reported; the registration goes on.

    Example:
        @hookimpl
        def app_registration_started(app_name: str, config: Mapping[str, Any]) -> None:
            if str(config.get("url", "")).startswith("http:"):
                raise AppRefused(f"App {app_name!r} must not use a connection without encryption.")
    """


@hookspec(mode="first", timeout=30.0, on_error="abort")
def open_connection(app_name: str, config: Mapping[str, Any]) -> Any | None:
    """Open the connection of this app.

    Called after ``app_registration_started``, unless an app with the same url is connected: then its
    connection is shared. The first implementation that returns a connection is the provider; later ones are
    not asked.

    Args:
        app_name: The app that needs it.
        config: Its configuration; ``url`` says where to.

    Returns:
        The connection, which has been tried; None when this plugin does not know such urls.

    Refusing:
        Raise anything; the app is not registered.

    Failure:
        An error or a time-out fails the registration; no other provider is tried. Never put the url's
        password in an error.

    Example:
        import sqlite3

        @hookimpl(blocking=True)
        def open_connection(config: Mapping[str, Any]) -> sqlite3.Connection | None:
            scheme, _, path = str(config.get("url", "")).partition(":///")
            return sqlite3.connect(path, check_same_thread=False) if scheme == "sqlite" else None
    """


@hookspec(mode="broadcast", timeout=30.0)
def connection_created(app_name: str, connection: Any, reused: bool) -> None:
    """An app has its connection.

    Called after ``open_connection``, or instead of it when the connection of another app is shared; not
    called for an app without a connection.

    Args:
        app_name: The app's name.
        connection: What the provider returned.
        reused: Whether it was open before, for another app.

    Refusing:
        Nobody can stop it; refuse in ``app_registration_started``.

    Failure:
        Reported; the others are still told, and the registration goes on.

    Example:
        opened: list[str] = []

        @hookimpl
        def connection_created(app_name: str, reused: bool) -> None:
            if not reused:
                opened.append(app_name)
    """


@hookspec(mode="broadcast", timeout=30.0)
def auto_operations_started(app_name: str, connection: Any, config: Mapping[str, Any]) -> None:
    """Migrations, seeds and models of an app are about to run.

    Called after ``connection_created`` and before ``run_migrations``, also when the app's configuration names
    none.

    Args:
        app_name: The app's name.
        connection: Its connection; None when it has none.
        config: Its configuration.

    Refusing:
        Nobody can stop it; refuse in ``app_registration_started``.

    Failure:
        Reported; the others are still told, and the operations run.

    Example:
        import time

        began: dict[str, float] = {}

        @hookimpl
        def auto_operations_started(app_name: str) -> None:
            began[app_name] = time.monotonic()
    """


@hookspec(mode="first", timeout=300.0, on_error="abort")
def run_migrations(app_name: str, connection: Any, config: Mapping[str, Any]) -> OperationResult | None:
    """Bring the schema of this app up to date.

    Called after ``auto_operations_started`` when the app's configuration has ``migrations``. The first
    implementation that returns a result has done it; later ones are not asked. It must do no harm to run it
    again.

    Args:
        app_name: The app's name.
        connection: Its connection.
        config: Its configuration; ``migrations`` says which.

    Returns:
        What was done, once it is durable; None when this plugin does not know such a connection.

    Refusing:
        Raise anything; the app is not registered.

    Failure:
        An error, a time-out or a result that is not ``ok`` undoes the registration; no other provider is
        tried.

    Example:
        @hookimpl(blocking=True)
        def run_migrations(connection: Any) -> OperationResult | None:
            connection.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
            return OperationResult(operation="migrations", detail="table notes is there")
    """


@hookspec(mode="first", timeout=300.0, on_error="abort")
def run_seeds(app_name: str, connection: Any, config: Mapping[str, Any]) -> OperationResult | None:
    """Put the data that this app starts with into its database.

    Called after ``run_migrations`` when the app's configuration has ``seeds``. The first implementation that
    returns a result has done it; later ones are not asked. It must do no harm to run it again.

    Args:
        app_name: The app's name.
        connection: Its connection.
        config: Its configuration; ``seeds`` says which.

    Returns:
        What was done, once it is durable; None when this plugin does not know such a connection.

    Refusing:
        Raise anything; the app is not registered.

    Failure:
        An error, a time-out or a result that is not ``ok`` undoes the registration; no other provider is
        tried.

    Example:
        @hookimpl(blocking=True)
        def run_seeds(connection: Any) -> OperationResult | None:
            added = connection.execute("INSERT OR IGNORE INTO notes VALUES (1, 'hello')").rowcount
            connection.commit()
            return OperationResult(operation="seeds", figures={"added": added})
    """


@hookspec(mode="first", timeout=300.0, on_error="abort")
def load_models(app_name: str, connection: Any, config: Mapping[str, Any]) -> OperationResult | None:
    """Make the models of this app known.

    Called after ``run_seeds`` when the app's configuration has ``models``. The first implementation that
    returns a result has done it; later ones are not asked.

    Args:
        app_name: The app's name.
        connection: Its connection.
        config: Its configuration; ``models`` says which.

    Returns:
        What was loaded; None when this plugin does not know such a connection.

    Refusing:
        Raise anything; the app is not registered.

    Failure:
        An error, a time-out or a result that is not ``ok`` undoes the registration; no other provider is
        tried.

    Example:
        import importlib

        @hookimpl(blocking=True)
        def load_models(config: Mapping[str, Any]) -> OperationResult | None:
            module = importlib.import_module(config["models"])
            return OperationResult(operation="models", detail=f"{module.__name__} is imported")
    """


@hookspec(mode="broadcast", timeout=30.0, concurrent=True)
def auto_operations_completed(app_name: str, result: Mapping[str, OperationResult]) -> None:
    """Migrations, seeds and models of an app have run.

    Called after the last of them; not called when one failed.

    Args:
        app_name: The app's name.
        result: What was done, by operation (``migrations``, ``seeds``, ``models``), in the order they ran.
            Empty when the app's configuration names none.

    Refusing:
        Nobody can stop it any more.

    Failure:
        Reported; the others are still told, and the registration goes on.

    Example:
        migrated: set[str] = set()

        @hookimpl
        def auto_operations_completed(app_name: str, result: Mapping[str, OperationResult]) -> None:
            if "migrations" in result:
                migrated.add(app_name)
    """


@hookspec(mode="broadcast", timeout=30.0, concurrent=True)
def app_registered(app_name: str, connection: Any, config: Mapping[str, Any]) -> None:
    """An app was registered.

    Called last, when ``host.apps`` has it.

    Args:
        app_name: The app's name.
        connection: Its connection; None when it has none.
        config: Its configuration.

    Refusing:
        Nobody can stop it any more.

    Failure:
        Reported; the others are still told, and the app stays.

    Example:
        apps: set[str] = set()

        @hookimpl
        def app_registered(app_name: str) -> None:
            apps.add(app_name)
    """
