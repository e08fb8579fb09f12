"""What ``host.hooks`` looks like to a type checker and to an editor.

A hook's declaration is the only place where its arguments are written. The functions below turn a spec into
the type of the call: the arguments stay, and the result becomes what the spec's mode makes of it. None of
this exists when the program runs: the dispatcher puts the real hooks into the attributes of a ``Hooks``
object.

Calls take keyword arguments only, as in pluggy; a parameter specification cannot say that, so a positional
argument is refused when the call is made and not before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from plughost.contracts.auth import Allow, Deny, Verdict
    from plughost.contracts.hooks import HookReport
    from plughost.hookspecs import (
        app_registration,
        app_unregistration,
        auth,
        backup,
        cache,
        contributions,
        health,
        plugins,
        sessions,
        users,
    )

P = ParamSpec("P")
T = TypeVar("T")


class Hook(Generic[P, T]):
    """One hook, as it is called: ``await hook(argument=...)``."""

    if TYPE_CHECKING:

        async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
            """Call the implementations as the mode says; return what it makes of their answers."""

        async def report(self, *args: P.args, **kwargs: P.kwargs) -> HookReport:
            """Make the same call and return what each implementation did."""


class SyncHook(Generic[P, T]):
    """One set-up time hook, as it is called: ``hook(argument=...)``, without ``await``."""

    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
            """Call the implementations as the mode says; return what it makes of their answers."""

        def report(self, *args: P.args, **kwargs: P.kwargs) -> HookReport:
            """Make the same call and return what each implementation did."""


if TYPE_CHECKING:

    def broadcast(spec: Callable[P, None]) -> Hook[P, None]:
        """The type of a ``broadcast`` hook: it returns nothing."""

    def collect(spec: Callable[P, T | None]) -> Hook[P, list[T]]:
        """The type of a ``collect`` hook: it returns the answers that are not None."""

    def first(spec: Callable[P, T | None]) -> Hook[P, T | None]:
        """The type of a ``first`` hook: it returns the first answer that is not None, or None."""

    def waterfall(spec: Callable[P, T | None]) -> Hook[P, T]:
        """The type of a ``waterfall`` hook: it returns the value as the last one left it."""

    def decide(spec: Callable[P, Verdict]) -> Hook[P, Allow | Deny]:
        """The type of a ``decide`` hook: it returns a verdict, and never ``Abstain``."""

    def collect_sync(spec: Callable[P, T | None]) -> SyncHook[P, list[T]]:
        """The type of a ``collect`` hook that is called at set-up time, without ``await``."""


class Hooks:
    """The hooks of a host: ``await host.hooks.before_auth(attempt=...)``.

    Each declared hook is an attribute of the object. Hooks that an application or a plugin declared by itself
    are there too; a type checker sees them as ``Any``, or as what a subclass like this one says of them.
    """

    if TYPE_CHECKING:
        # auth
        before_auth = waterfall(auth.before_auth)
        authenticate = decide(auth.authenticate)
        after_auth = broadcast(auth.after_auth)
        auth_failed = broadcast(auth.auth_failed)
        before_logout = broadcast(auth.before_logout)
        after_logout = broadcast(auth.after_logout)
        # users
        before_user_create = waterfall(users.before_user_create)
        create_user = first(users.create_user)
        after_user_create = broadcast(users.after_user_create)
        before_user_update = waterfall(users.before_user_update)
        update_user = first(users.update_user)
        after_user_update = broadcast(users.after_user_update)
        before_user_delete = waterfall(users.before_user_delete)
        delete_user = first(users.delete_user)
        after_user_delete = broadcast(users.after_user_delete)
        find_user = first(users.find_user)
        # backup
        before_backup = waterfall(backup.before_backup)
        provide_backup_artifacts = collect(backup.provide_backup_artifacts)
        store_backup = first(backup.store_backup)
        after_backup = broadcast(backup.after_backup)
        backup_failed = broadcast(backup.backup_failed)
        list_backups = collect(backup.list_backups)
        before_restore = waterfall(backup.before_restore)
        restore_artifact = first(backup.restore_artifact)
        after_restore = broadcast(backup.after_restore)
        # app registration
        app_registration_started = broadcast(app_registration.app_registration_started)
        open_connection = first(app_registration.open_connection)
        connection_created = broadcast(app_registration.connection_created)
        auto_operations_started = broadcast(app_registration.auto_operations_started)
        run_migrations = first(app_registration.run_migrations)
        run_seeds = first(app_registration.run_seeds)
        load_models = first(app_registration.load_models)
        auto_operations_completed = broadcast(app_registration.auto_operations_completed)
        app_registered = broadcast(app_registration.app_registered)
        # app unregistration
        app_unregistration_started = broadcast(app_unregistration.app_unregistration_started)
        app_rollback_started = broadcast(app_unregistration.app_rollback_started)
        rollback_app = first(app_unregistration.rollback_app)
        app_rollback_completed = broadcast(app_unregistration.app_rollback_completed)
        connection_shutdown = broadcast(app_unregistration.connection_shutdown)
        app_unregistered = broadcast(app_unregistration.app_unregistered)
        # failure and health
        operation_failed = broadcast(health.operation_failed)
        health_check = collect(health.health_check)
        # plugins
        plugin_started = broadcast(plugins.plugin_started)
        plugin_failed = broadcast(plugins.plugin_failed)
        plugin_stopped = broadcast(plugins.plugin_stopped)
        # sessions
        session_created = broadcast(sessions.session_created)
        session_rotated = broadcast(sessions.session_rotated)
        session_ended = broadcast(sessions.session_ended)
        describe_device = first(sessions.describe_device)
        # cache
        cache_event = broadcast(cache.cache_event)
        warm_cache = collect(cache.warm_cache)
        # contributions
        register_routes = collect_sync(contributions.register_routes)
        register_middleware = collect_sync(contributions.register_middleware)
        register_admin_panels = collect_sync(contributions.register_admin_panels)
        register_commands = collect_sync(contributions.register_commands)
        register_jobs = collect_sync(contributions.register_jobs)
        describe_metrics = collect(contributions.describe_metrics)

        def __getattr__(self, name: str) -> Any: ...
