"""The plugin: it notes what the hooks tell, in order, and off the event loop."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TextIO

import click
from msgspec import Struct

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import (
    AuthAttempt,
    BackupResult,
    CommandLine,
    PluginFailure,
    PluginRecord,
    Principal,
    RestoreResult,
    UnregisterOptions,
    User,
    json_option,
)
from plughost_audit.chain import START, Chain, verify
from plughost_audit.head import Head, parse_head, write_head


class AuditConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``[plugins.audit.config]``.

    Attributes:
        path: The file of records; None is ``audit.jsonl`` in the plugin's own folder.
        key_variable: Name of an environment variable that holds the key of the digests; empty for none.
    """

    path: Path | None = None
    key_variable: str = ""

    def key(self) -> bytes:
        """Return the key.

        Raises:
            ValueError: The variable is not set.
        """
        if not self.key_variable:
            return b""
        if not os.environ.get(self.key_variable):
            raise ValueError(f"the environment variable {self.key_variable} is not set, and it holds the key")
        return os.environ[self.key_variable].encode()


class AuditPlugin(Plugin):
    """Notes who signed in, which users, apps and plugins came and went, and what failed."""

    name = "audit"
    version = "1.0.0"
    Config: ClassVar[type[Any] | None] = AuditConfig

    async def check_config(self, config: AuditConfig) -> None:
        """See whether the key is there."""
        config.key()

    async def start(self, context: PluginContext) -> None:
        """Follow the chain that is there and go on with it."""
        path = context.config.path or context.data_dir / "audit.jsonl"
        self._chain = Chain(path, context.config.key())

    async def stop(self) -> None:
        """Close the file."""
        self._chain.close()

    def _note(self, kind: str, **data: Any) -> None:
        self._chain.append(kind, time.time(), data)

    @hookimpl(blocking=True)
    def after_auth(self, attempt: AuthAttempt, principal: Principal) -> None:
        """Somebody signed in."""
        self._note("after_auth", user=principal.user_id, username=attempt.username, address=attempt.address)

    @hookimpl(blocking=True)
    def auth_failed(self, attempt: AuthAttempt, reason: str) -> None:
        """Somebody could not sign in."""
        self._note("auth_failed", username=attempt.username, address=attempt.address, reason=reason)

    @hookimpl(blocking=True)
    def after_logout(self, principal: Principal, session_handle: str) -> None:
        """Somebody signed out."""
        self._note("after_logout", user=principal.user_id, session=session_handle)

    @hookimpl(blocking=True)
    def after_user_create(self, user: User) -> None:
        """A user came."""
        self._note("after_user_create", user=user.user_id, username=user.username, roles=user.roles)

    @hookimpl(blocking=True)
    def after_user_update(self, user: User, changed: tuple[str, ...]) -> None:
        """A user changed; which fields, not what is in them."""
        self._note("after_user_update", user=user.user_id, changed=changed, roles=user.roles)

    @hookimpl(blocking=True)
    def after_user_delete(self, user: User) -> None:
        """A user went."""
        self._note("after_user_delete", user=user.user_id, username=user.username)

    @hookimpl(blocking=True)
    def app_registered(self, app_name: str) -> None:
        """An app came."""
        self._note("app_registered", app=app_name)

    @hookimpl(blocking=True)
    def app_unregistered(self, app_name: str, options: UnregisterOptions) -> None:
        """An app went."""
        self._note("app_unregistered", app=app_name, rollback=options.rollback, reason=options.reason)

    @hookimpl(blocking=True)
    def operation_failed(self, app_name: str, operation: str, error: Exception) -> None:
        """An operation on an app failed."""
        self._note("operation_failed", app=app_name, step=operation, error=f"{type(error).__name__}: {error}")

    @hookimpl(blocking=True)
    def after_backup(self, result: BackupResult) -> None:
        """A backup was made."""
        self._note(
            "after_backup", backup=result.plan.backup_id, uri=result.location.uri, sha256=result.sha256
        )

    @hookimpl(blocking=True)
    def after_restore(self, result: RestoreResult) -> None:
        """A backup was restored."""
        self._note("after_restore", backup=result.plan.backup_id, restored=result.restored)

    @hookimpl(blocking=True)
    def plugin_started(self, plugin: PluginRecord) -> None:
        """A plugin became ready."""
        self._note("plugin_started", plugin=plugin.name, version=plugin.version)

    @hookimpl(blocking=True)
    def plugin_failed(self, plugin: PluginRecord, phase: str, error: PluginFailure) -> None:
        """A plugin failed."""
        self._note("plugin_failed", plugin=plugin.name, phase=phase, error=error.message)

    @hookimpl(blocking=True)
    def plugin_stopped(self, plugin: PluginRecord) -> None:
        """A plugin was stopped."""
        self._note("plugin_stopped", plugin=plugin.name)

    @hookimpl
    def register_commands(self) -> Sequence[click.Command]:
        """Give the command ``audit``."""
        return [audit]


@click.group()
def audit() -> None:
    """Look at the record of what happened."""


@audit.command("verify")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--head", "copy", type=click.File(), help="A copy of the head, kept elsewhere, that the chain must reach."
)
@json_option
@click.pass_obj
def verify_command(line: CommandLine, file: Path | None, copy: TextIO | None) -> None:
    """Follow the chain of FILE (default: the configured one) to its end. Exits 3 when it is broken."""
    path, key = _place(line, file)
    broken, last = verify(path, key)
    if broken is None and copy is not None:
        try:
            broken, last = verify(path, key, parse_head(copy.read(), key))
        except ValueError as error:
            raise click.UsageError(f"--head: {error}") from error
    document = {
        "file": str(path),
        "ok": broken is None,
        "records": last.number if last else 0,
        "broken": broken,
    }
    whole = f"{path} is whole: {document['records']} records"
    said = whole if broken is None else f"{path} line {broken.line}: {broken.problem}"
    line.show(document, said)
    if broken is not None:
        raise click.exceptions.Exit(3)


@audit.command("seal")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.pass_obj
def seal_command(line: CommandLine, file: Path | None) -> None:
    """Give the chain of FILE a new head, once, after an older version or another key wrote the one it has.

    Nothing then shows whether its end was cut off before: compare with a copy of the old head first.
    """
    path, key = _place(line, file)
    broken, last = verify(path, key, Head(0, START))
    if broken is not None or last is None:
        raise click.ClickException(f"{path}: {broken.problem if broken else 'there is no record'}")
    write_head(path, Head(last.number, last.digest), key)
    line.show({"file": str(path), "records": last.number}, f"{path} is sealed at record {last.number}")


def _place(line: CommandLine, file: Path | None) -> tuple[Path, bytes]:
    """Return the file of records and the key."""
    host = line.host()
    section: Mapping[str, Any] = host.config.plugins["audit"].config if "audit" in host.config.plugins else {}
    path = file or Path(section.get("path") or host.data_dir / "audit" / "audit.jsonl")
    return path, AuditConfig(key_variable=section.get("key_variable", "")).key()
