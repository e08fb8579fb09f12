"""``plughost backup``: save what plugins keep, look at what was saved, and bring it back."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio
import click

from plughost.cli.exits import ExitCode, leave, leave_with_problems
from plughost.cli.logs import configure_logging
from plughost.cli.program import Program, within_host
from plughost.cli.tables import local_time, seconds, table
from plughost.contracts.backup import ArchiveEntry, BackupProgress, BackupSummary, OnProgress
from plughost.contracts.commands import json_option
from plughost.contracts.masking import masked_text
from plughost.core.running import running_host
from plughost.exceptions import BackupError
from plughost.host import Host

T = TypeVar("T")
_UNITS = ("B", "kB", "MB", "GB", "TB")


@click.group()
def backup() -> None:
    """Back up what plugins keep; list, verify and restore backups."""


@backup.command("run")
@json_option
@click.option("--app", "apps", multiple=True, metavar="NAME", help="Back up only this app; may be repeated.")
@click.pass_obj
def run_backup(program: Program, apps: tuple[str, ...]) -> None:
    """Make a backup now. The apps of the configuration are registered first, as at every start."""

    async def work(host: Host) -> Mapping[str, Any]:
        unknown = [name for name in apps if name not in host.apps and name not in host.app_errors]
        if unknown:
            click.echo(f"Error: there is no app {unknown[0]!r} in the configuration", err=True)
            leave(ExitCode.FAILED)
        with _bar(program, "Saving") as on_progress:
            result = await host.backups.run(apps=apps, on_progress=on_progress)
        return {
            "backup_id": result.plan.backup_id,
            "uri": masked_text(result.location.uri),
            "stored_by": result.location.plugin,
            "size": result.size,
            "sha256": result.sha256,
            "duration": result.duration,
            "entries": result.entries,
        }

    document = _with_host(program, work, register_apps=True)
    text = f"{document['uri']}\n{_entries(document['entries'])}\n{_size(document['size'])} in "
    program.show(document, text + seconds(document["duration"]))


@backup.command("list")
@json_option
@click.pass_obj
def list_backups(program: Program) -> None:
    """List the backups, newest first. Exits 3 when one cannot be read."""

    async def work(host: Host) -> tuple[BackupSummary, ...]:
        return await host.backups.list()

    found = _with_host(program, work)
    documents = [
        {
            "backup_id": backup.backup_id,
            "uri": masked_text(backup.location.uri),
            "size": backup.location.size,
            "created_at": backup.created_at,
            "reason": backup.reason,
            "apps": backup.apps,
            "problem": backup.problem,
        }
        for backup in found
    ]
    rows = [
        (
            backup.backup_id or "-",
            local_time(backup.created_at),
            backup.reason or "-",
            _size(backup.location.size),
            backup.problem or masked_text(backup.location.uri),
        )
        for backup in found
    ]
    text = table(("BACKUP", "MADE", "WHY", "SIZE", ""), rows) if found else "There are no backups."
    program.show({"backups": documents}, text)
    leave_with_problems([backup for backup in found if backup.problem])


@backup.command("verify")
@json_option
@click.argument("archive")
@click.pass_obj
def verify(program: Program, archive: str) -> None:
    """Verify the whole of ARCHIVE (a path, or a name or id of the list) and compare every sum.

    Exits 3 when one is wrong.
    """

    async def work(host: Host) -> Mapping[str, Any]:
        path = await host.backups.find(archive)
        try:
            with _bar(program, "Checking") as on_progress:
                entries = await host.backups.verify(path, on_progress=on_progress)
        except BackupError as error:
            return {"archive": str(path), "ok": False, "problem": str(error), "entries": ()}
        return {"archive": str(path), "ok": True, "problem": "", "entries": entries}

    document = _with_host(program, work)
    good = f"{document['archive']} is whole\n{_entries(document['entries'])}"
    program.show(document, good if document["ok"] else document["problem"])
    leave_with_problems(not document["ok"])


@backup.command("restore")
@json_option
@click.argument("archive")
@click.option("--yes", is_flag=True, help="Overwrite what is there now.")
@click.pass_obj
def restore(program: Program, archive: str, yes: bool) -> None:
    """Restore what is in ARCHIVE (a path, or a name or id of the list).

    Nothing is touched unless every sum in the archive is right, and nothing that is there is overwritten without
    --yes. Exits 3 when there are pieces that no plugin took. Refuses to overwrite while a process of the host runs.
    """

    async def work(host: Host) -> Mapping[str, Any]:
        with _bar(program, "Checking") as on_progress:
            result = await host.backups.restore(archive, overwrite=yes, on_progress=on_progress)
        return {
            "archive": result.plan.archive,
            "backup_id": result.plan.backup_id,
            "restored": result.restored,
            "skipped": result.skipped,
            "duration": result.duration,
        }

    if yes and (running := running_host(program.load_config().data_dir)) is not None:
        raise click.ClickException(
            f"this host runs (process {running.process}), and would go on with what is replaced under it: stop it"
            " first, then restore"
        )
    document = _with_host(program, work)
    lines = [f"restored {name}" for name in document["restored"]]
    lines += [f"nobody took {name}" for name in document["skipped"]]
    program.show(document, "\n".join(lines))
    leave_with_problems(document["skipped"])


def _with_host(program: Program, work: Callable[[Host], Awaitable[T]], *, register_apps: bool = False) -> T:
    configure_logging(program.environ, program.verbosity)
    host = Host(config=program.config_path, environ=program.environ, register_apps=register_apps)
    return anyio.run(within_host, host, work)


@contextmanager
def _bar(program: Program, label: str) -> Iterator[OnProgress]:
    """A progress bar on standard error, when a person looks at it; it is told from a worker thread."""
    if program.as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def on_progress(progress: BackupProgress) -> None:
            if progress.phase in {"write", "verify"}:
                bar.length = progress.total or max(progress.done, 1)
                bar.update(progress.done - bar.pos)

        yield on_progress


def _entries(entries: tuple[ArchiveEntry, ...]) -> str:
    rows = [(f"{entry.plugin}/{entry.name}", _size(entry.size), entry.sha256[:16]) for entry in entries]
    return table(("PIECE", "SIZE", "SHA-256"), rows)


def _size(value: float | None) -> str:
    if value is None:
        return "-"
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
