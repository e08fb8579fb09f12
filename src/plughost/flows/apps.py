"""``host.apps``: named parts of a program that share a host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio

from plughost.contracts.apps import AppRecord, AppRegistered, AppState, AppUnregistered, UnregisterOptions
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.error_text import error_text
from plughost.contracts.frozen import frozen
from plughost.contracts.logs import get_logger
from plughost.contracts.plugin import Events
from plughost.contracts.setting_types import is_given_name
from plughost.exceptions import AppError, ConfigError, HookCallError, PlughostError, Refused, did_you_mean
from plughost.flows.connections import SharedConnections
from plughost.flows.journal import Journal, Unfinished
from plughost.flows.registration import Registration, check_settings, connection_key
from plughost.flows.steps import Failure, StepError, run_steps
from plughost.flows.unregistration import Unregistration
from plughost.hookspecs import Hooks

_log = get_logger("plughost.apps")


class Apps(Mapping[str, AppRecord]):
    """The apps of a host, by name; and the only way for them to come and go.

    Different apps may come and go at the same time. A name can be used by one operation at a time; another
    one on the same name is refused at once. Iterating gives the names, in the order the apps were registered.

    Args:
        hooks: The hooks to call.
        events: Where ``AppRegistered`` and ``AppUnregistered`` are published.
        journal_dir: Folder for notes on operations that outlive the process.
        close_limit: Seconds that closing a connection may take.
        clock: Tells when an app was registered.
    """

    def __init__(
        self,
        hooks: Hooks,
        *,
        events: Events,
        journal_dir: Path,
        close_limit: float = 15.0,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._hooks = hooks
        self._events = events
        self._clock = clock
        self._close_limit = close_limit
        self._journal = Journal(journal_dir)
        self._connections = SharedConnections()
        self._records: dict[str, AppRecord] = {}
        self._busy: dict[str, str] = {}
        self._unfinished: dict[str, Unfinished] = {}

    def __getitem__(self, name: str) -> AppRecord:
        record = self._records[name]
        key = connection_key(name, record.config)
        return replace(record, shared_with=self._connections.sharing(key, name))

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._records))

    def __len__(self) -> int:
        return len(self._records)

    @property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """What an earlier process, or a failed undo, left unfinished; ``str()`` of each says what to do."""
        return tuple(self._unfinished.values())

    async def recover(self) -> tuple[Unfinished, ...]:
        """Read what an earlier process left unfinished, log it, and return it. Called once, at start."""
        for entry in self._journal.unfinished():
            self._unfinished[entry.app_name] = entry
            _log.warning(
                "an app was left unfinished by an earlier run",
                app=entry.app_name,
                step=entry.step,
                hint=str(entry),
            )
        return self.unfinished

    async def register(self, name: str, config: Mapping[str, Any] | None = None) -> AppRecord:
        """Open the app's connection, run its operations and add it.

        Args:
            name: How everybody calls it.
            config: ``url``, ``migrations``, ``seeds``, ``models``, ``shared``, ``backup`` (false leaves the app out
                of backups that name no apps), and whatever plugins read.

        Returns:
            The app, as ``host.apps[name]`` has it now.

        Raises:
            AppRefused: A plugin refused it; everything is as it was before.
            ConfigError: The name is empty or not a text of one line, or a setting is empty or misspelt.
            AppError: The name is taken or busy, or a step failed; the steps before it are undone.
        """
        if not is_given_name(name):
            raise ConfigError(f"an app is called by text like 'shop', not {name!r}", path="apps")
        self._check_idle(name, "app_registration_started")
        record = self._records.get(name)
        if record is not None and record.state is not AppState.FAILED:
            raise AppError(
                f"app {name!r} is registered already; unregister it first, or choose another name",
                app_name=name,
                step="app_registration_started",
            )
        settings = frozen(config or {})
        check_settings(name, settings)
        with _Busy(self._busy, name, "being registered"):
            record = self._records.pop(name, None)
            if record is not None:
                await self._unregistration(record, UnregisterOptions(limit=self._close_limit)).disconnect()
            registration = Registration(
                name,
                settings,
                hooks=self._hooks,
                connections=self._connections,
                journal=self._journal,
                started_at=self._clock.time(),
                close_limit=self._close_limit,
            )
            await self._run_registration(name, settings, registration)
        return self[name]

    async def register_all(
        self, configs: Mapping[str, Mapping[str, Any]], *, at_once: int = 8
    ) -> dict[str, Exception]:
        """Register several apps at the same time.

        Returns:
            The errors by name, of those that were not registered; the others are.
        """
        errors: dict[str, Exception] = {}
        limiter = anyio.CapacityLimiter(at_once)

        async def register(name: str, config: Mapping[str, Any]) -> None:
            async with limiter:
                try:
                    await self.register(name, config)
                except PlughostError as error:
                    errors[name] = error

        async with anyio.create_task_group() as group:
            for name, config in configs.items():
                group.start_soon(register, name, config)
        return errors

    async def unregister(self, name: str, rollback: bool = False) -> None:
        """Take an app away.

        Args:
            name: Its name.
            rollback: Undo what its operations did.

        Raises:
            AppRefused: A plugin wants it to stay (for instance because saving it failed); it is as it was.
            AppError: There is no such app, it is busy, or the rollback failed: then the app is still there,
                with ``state`` FAILED, and nothing else was touched.
        """
        if name not in self._records and name not in self._busy:
            raise AppError(
                f"there is no app {name!r}.{did_you_mean(name, self)}",
                app_name=name,
                step="app_unregistration_started",
            )
        await self._unregister(name, UnregisterOptions(rollback=rollback, limit=self._close_limit))

    async def close(self) -> None:
        """Take all apps away without a rollback, the last one first. Called when the host stops."""
        for name in reversed(tuple(self._records)):
            try:
                await self._unregister(name, UnregisterOptions(limit=self._close_limit, reason="shutdown"))
            except AppError as error:
                _log.error("an app could not be unregistered", app=name, error=error_text(error))

    # registration

    def _check_idle(self, name: str, step: str) -> None:
        if name in self._busy:
            raise AppError(
                f"app {name!r} is {self._busy[name]} at this moment; try again when that is over",
                app_name=name,
                step=step,
            )

    async def _run_registration(
        self, name: str, config: Mapping[str, Any], registration: Registration
    ) -> None:
        async def enter() -> None:
            self._journal.done(name)
            self._unfinished.pop(name, None)
            self._records[name] = AppRecord(
                name=name,
                config=config,
                connection=registration.connection,
                state=AppState.REGISTERED,
                results=MappingProxyType(dict(registration.results)),
                registered_at=self._clock.time(),
            )
            await self._events.publish(AppRegistered(self[name]))

        async def leave() -> None:
            self._records.pop(name, None)

        async def failed(failure: Failure) -> None:
            await self._after_failure(name, "register", failure, began)

        began = self._clock.time()
        try:
            await run_steps(registration.steps(enter, leave), failed)
        except StepError as error:
            raise _raised(name, "registered", error) from error.__cause__

    # unregistration

    async def _unregister(self, name: str, options: UnregisterOptions) -> None:
        self._check_idle(name, "app_unregistration_started")
        with _Busy(self._busy, name, "being unregistered"):
            record = self._records[name]
            options = replace(options, config=record.config, shared=bool(self[name].shared_with))
            self._records[name] = replace(record, state=AppState.UNREGISTERING)
            unregistration = self._unregistration(record, options)

            async def failed(failure: Failure) -> None:
                after = record
                if failure.step == "rollback_app":
                    reason = f"its rollback failed: {failure.error}"
                    after = replace(record, state=AppState.FAILED, reason=reason)
                self._records[record.name] = after
                await self._after_failure(record.name, "unregister", failure, began)

            began = self._clock.time()
            try:
                await run_steps(unregistration.steps(), failed)
            except StepError as error:
                raise _raised(record.name, "unregistered", error) from error.__cause__
            with anyio.CancelScope(shield=True):  # there is no way back from here, and hooks have limits
                await unregistration.disconnect()
                if unregistration.trouble is not None:
                    await self._report(
                        Failure("connection_shutdown", unregistration.trouble), name, self._clock.time()
                    )
                self._records.pop(name, None)
                self._journal.done(name)
                self._unfinished.pop(name, None)
                await self._events.publish(AppUnregistered(name, options))
                await self._hooks.app_unregistered(app_name=name, options=options)

    def _unregistration(self, record: AppRecord, options: UnregisterOptions) -> Unregistration:
        return Unregistration(
            record,
            options,
            key=connection_key(record.name, record.config),
            hooks=self._hooks,
            connections=self._connections,
            journal=self._journal,
            started_at=self._clock.time(),
        )

    # failure

    async def _after_failure(self, name: str, operation: str, failure: Failure, began: float) -> None:
        left = failure.not_undone
        if left or (operation == "unregister" and failure.step == "rollback_app"):
            step, problem = next(iter(left.items())) if left else (failure.step, failure.error)
            entry = Unfinished(
                app_name=name,
                operation=operation,
                step=step,
                started_at=began,
                problem=f"undo failed: {problem}",
            )
            self._unfinished[name] = entry
            self._journal.note_if_possible(entry)
        else:
            self._journal.done(name)
        await self._report(failure, name, began)

    async def _report(self, failure: Failure, name: str, began: float) -> None:
        error = failure.error
        if not isinstance(error, Exception):
            error = AppError(
                f"{failure.step} of app {name!r} was cancelled", app_name=name, step=failure.step
            )
        context = {
            "undone": tuple(failure.undone),
            "not_undone": {step: str(problem) for step, problem in failure.not_undone.items()},
            "cancelled": failure.cancelled,
            "duration": self._clock.time() - began,
        }
        _log.error(
            "an operation of an app failed", app=name, step=failure.step, error=error_text(error), **context
        )
        await self._hooks.operation_failed(
            app_name=name, operation=failure.step, error=error, context=frozen(context)
        )


class _Busy:
    """Marks a name as being worked on."""

    def __init__(self, busy: dict[str, str], name: str, what: str) -> None:
        self._busy, self._name, self._what = busy, name, what

    def __enter__(self) -> None:
        self._busy[self._name] = self._what

    def __exit__(self, *_: object) -> None:
        del self._busy[self._name]


def _raised(name: str, done: str, failed: StepError) -> PlughostError:
    """Return what the caller is told: a refusal as it is, everything else as an ``AppError``."""
    error: BaseException = failed.failure.error
    if isinstance(error, Refused | AppError):
        return error
    hook, cause = failed.failure.step, error
    if isinstance(error, HookCallError):
        hook, cause = f"{error.hook} of plugin {error.plugin!r}", error.__cause__ or error
    if isinstance(cause, AppError):
        return cause
    return AppError(
        f"app {name!r} could not be {done}: {hook}: {error_text(cause)}",
        app_name=name,
        step=failed.failure.step,
    )
