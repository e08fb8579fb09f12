"""``host.backups``: what plugins keep, saved in one archive and given back."""

from __future__ import annotations

import functools
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
import anyio.to_thread

from plughost.contracts.arguments import several
from plughost.contracts.backup import (
    Archive,
    ArchiveEntry,
    Artifact,
    BackupLocation,
    BackupPlan,
    BackupProgress,
    BackupResult,
    BackupSummary,
    OnProgress,
    RestorePlan,
    RestoreResult,
)
from plughost.contracts.clock import SYSTEM_CLOCK, Clock
from plughost.contracts.error_text import error_text
from plughost.contracts.hooks import Outcome
from plughost.contracts.logs import get_logger
from plughost.exceptions import BackupError, HookCallError
from plughost.flows.backup_files import find_archive, is_file, keep_in, list_folder, summarise
from plughost.flows.spooling import spool
from plughost.flows.staging import staging_folder
from plughost.hookspecs import Hooks

if TYPE_CHECKING:
    from plughost.flows.archive_reading import Contents

T = TypeVar("T")
_log = get_logger("plughost.backups")


class Backups:
    """Makes backups and restores them; one at a time.

    It implements ``BackupService``.

    Args:
        hooks: The hooks to call.
        directory: Where archives are put together, and where they stay when no plugin stores them.
        kept_out: Gives the names of the apps that are saved only when they are named.
        unsaved: Gives what apps cannot be saved, by name, and why: a backup that lacks one without saying so is
            worse than none.
        configs: Gives the configuration of the apps that the host knows, by name, for restorations.
        clock: Tells when a backup was made.
    """

    def __init__(
        self,
        hooks: Hooks,
        *,
        directory: Path,
        kept_out: Callable[[], Iterable[str]] = tuple,
        unsaved: Callable[[], Mapping[str, Exception]] = dict,
        configs: Callable[[], Mapping[str, Mapping[str, Any]]] = dict,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._hooks = hooks
        self._directory = directory
        self._kept_out = kept_out
        self._unsaved = unsaved
        self._configs = configs
        self._clock = clock
        self._turn = anyio.Lock()

    async def run(
        self,
        *,
        reason: str = "manual",
        apps: Iterable[str] = (),
        only: Iterable[str] = (),
        labels: Mapping[str, str] | None = None,
        on_progress: OnProgress | None = None,
    ) -> BackupResult:
        """Make a backup and return where it is.

        Args:
            reason: ``manual``, ``scheduled``, ``unregistration`` or ``failure``.
            apps: Names of the apps to save; empty saves all.
            only: Names of the plugins whose artifacts to keep; empty keeps all.
            labels: What people want to find it by.
            on_progress: Is told how far it is; called from a worker thread.

        Raises:
            BackupError: It was not made; nothing of it is left.
        """
        plan = BackupPlan(
            backup_id=self._new_id(),
            reason=reason,
            apps=several("apps", apps),
            without=tuple(sorted(self._kept_out())),
            only=several("only", only),
            labels=MappingProxyType(dict(labels or {})),
            created_at=self._clock.time(),
        )
        async with self._turn:
            return await self._run(plan, on_progress or _silent)

    async def list(self) -> tuple[BackupSummary, ...]:
        """Return the backups that are there, newest first: those the host keeps and those plugins stored."""
        answers = await self._hooks.list_backups()
        stored = [location for answer in answers for location in answer]

        def summaries() -> tuple[BackupSummary, ...]:
            locations = {location.uri: location for location in [*list_folder(self._directory), *stored]}
            found = [summarise(location) for location in locations.values()]
            return tuple(sorted(found, key=lambda summary: summary.created_at or 0.0, reverse=True))

        return await anyio.to_thread.run_sync(summaries)

    async def find(self, archive: str | Path) -> Path:
        """Return the file that a path, a uri, a file name or an id stands for.

        Raises:
            BackupError: There is none on this machine.
        """
        if await anyio.to_thread.run_sync(is_file, archive):
            return Path(archive)
        return find_archive(archive, await self.list())

    async def verify(
        self, archive: str | Path, *, on_progress: OnProgress | None = None
    ) -> tuple[ArchiveEntry, ...]:
        """Read a whole archive and return its manifest when every sum in it is right.

        Args:
            archive: Its path, its uri, or the name or id that ``list`` shows.
            on_progress: Is told how far it is; called from a worker thread.

        Raises:
            BackupError: It is not complete, or something in it was changed.
        """
        path = await self.find(archive)
        contents = await _in_thread(functools.partial(_read, path), on_progress or _silent)
        return contents.entries

    async def restore(
        self, archive: str | Path, *, overwrite: bool = False, on_progress: OnProgress | None = None
    ) -> RestoreResult:
        """Check an archive and give its pieces back to the plugins that gave them.

        Args:
            archive: Its path, its uri, or the name or id that ``list`` shows.
            overwrite: Whether what is there now may be lost.
            on_progress: Is told how far it is; called from a worker thread.

        Raises:
            BackupError: The archive is not right (then nothing was touched), a plugin refused, or it could
                not restore a piece; the message says which pieces are back.
        """
        async with self._turn, AsyncExitStack() as stack:
            started = self._clock.monotonic()
            path = await self.find(archive)
            folder = await _enter(stack, self._directory, self._new_id())
            contents = await _in_thread(functools.partial(_read, path, into=folder), on_progress or _silent)
            plan = RestorePlan(
                archive=str(path),
                backup_id=contents.head.backup_id,
                entries=contents.entries,
                overwrite=overwrite,
                apps=MappingProxyType(dict(self._configs())),
            )
            return await self._restore(plan, contents, started, on_progress or _silent)

    # making one

    async def _run(self, plan: BackupPlan, on_progress: OnProgress) -> BackupResult:
        started = self._clock.monotonic()
        try:
            plan = await self._hooks.before_backup(plan=plan)
            for name, error in self._unsaved().items():
                if plan.wants(name):
                    raise BackupError(f"app {name!r} cannot be saved: {error_text(error)}")
            archive, location = await self._make(plan, on_progress)
        except BaseException as error:
            raised = error if isinstance(error, Exception) else BackupError("the backup was cancelled")
            with anyio.CancelScope(shield=True):
                await self._hooks.backup_failed(plan=plan, error=raised)
            _log.error("a backup failed", backup=plan.backup_id, reason=plan.reason, error=_said(raised))
            if raised is not error:
                raise
            raise _backup_error(raised) from error
        result = BackupResult(
            plan=plan,
            location=location,
            entries=archive.entries,
            size=archive.size,
            sha256=archive.sha256,
            duration=self._clock.monotonic() - started,
        )
        await self._hooks.after_backup(result=result)
        return result

    async def _make(self, plan: BackupPlan, on_progress: OnProgress) -> tuple[Archive, BackupLocation]:
        from plughost.flows.archive_writing import write_archive  # late: most hosts make no backup

        async with AsyncExitStack() as stack:
            folder = await _enter(stack, plan.staging_dir or self._directory, plan.backup_id)
            staged = replace(plan, staging_dir=folder)
            on_progress(BackupProgress(phase="collect"))
            artifacts = [await spool(artifact, folder) for artifact in await self._collect(staged)]
            archive = await _in_thread(
                functools.partial(write_archive, staged, tuple(artifacts), folder), on_progress
            )
            archive = replace(archive, plan=plan)
            on_progress(BackupProgress(phase="store", done=archive.size, total=archive.size))
            report = await self._hooks.store_backup.report(archive=archive)
            for outcome in report.outcomes:
                if outcome.kind == "value" and outcome.value is not None:
                    return archive, replace(outcome.value, plugin=outcome.plugin)
            return archive, await anyio.to_thread.run_sync(keep_in, archive, self._directory)

    async def _collect(self, plan: BackupPlan) -> Sequence[Artifact]:
        report = await self._hooks.provide_backup_artifacts.report(plan=plan)
        artifacts: list[Artifact] = []
        for outcome in report.outcomes:
            if not plan.only or outcome.plugin in plan.only:
                _refuse_loss(outcome)
                artifacts += [replace(artifact, plugin=outcome.plugin) for artifact in outcome.value or ()]
        given = Counter((artifact.plugin, artifact.name) for artifact in artifacts)
        twice = {f"{plugin}/{name}" for (plugin, name), times in given.items() if times > 1}
        if twice:
            raise BackupError(
                f"{', '.join(sorted(twice))} was given twice; the name of an artifact is unique"
            )
        if not artifacts:
            raise BackupError(
                "there is nothing to save: no plugin gave an artifact for what was asked for; "
                "are the apps registered? `plughost hooks provide_backup_artifacts` shows who is asked"
            )
        return artifacts

    # the way back

    async def _restore(
        self, plan: RestorePlan, contents: Contents, started: float, on_progress: OnProgress
    ) -> RestoreResult:
        names = [(entry.plugin, entry.name) for entry in contents.entries]
        files = dict(zip(names, contents.files, strict=True))
        restored: list[str] = []
        skipped: list[str] = []
        try:
            plan = await self._hooks.before_restore(plan=plan)
            for entry in plan.entries:
                on_progress(BackupProgress(phase="restore", name=entry.name, done=len(restored)))
                artifact = Artifact(
                    name=entry.name,
                    path=files[entry.plugin, entry.name],
                    size=entry.size,
                    media_type=entry.media_type,
                    plugin=entry.plugin,
                    app_name=entry.app_name,
                    labels=entry.labels,
                )
                report = await self._hooks.restore_artifact.report(artifact=artifact, plan=plan)
                for outcome in () if report.result else report.outcomes:
                    _refuse_loss(outcome)
                (restored if report.result else skipped).append(entry.name)
        except Exception as error:
            done = f"; back already: {', '.join(restored)}" if restored else "; nothing was changed"
            raise BackupError(f"{_said(error)}{done}") from error
        result = RestoreResult(
            plan=plan,
            restored=tuple(restored),
            skipped=tuple(skipped),
            duration=self._clock.monotonic() - started,
        )
        await self._hooks.after_restore(result=result)
        return result

    # lists

    def _new_id(self) -> str:
        moment = datetime.fromtimestamp(self._clock.time(), UTC)
        return f"backup-{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


# What reads and writes archives takes a third as long to import as the rest of a host, and most make none.


def _read(path: Path, on_progress: OnProgress, into: Path | None = None) -> Contents:
    from plughost.flows.archive_reading import read_archive

    return read_archive(path, on_progress, into=into)


class _Stopped(Exception):
    """The caller does not want the result any more."""


async def _in_thread(work: Callable[[OnProgress], T], on_progress: OnProgress) -> T:
    """Run blocking work that reports its progress; a cancellation stops it at its next report."""
    stop = threading.Event()
    finished = anyio.Event()

    def tell(progress: BackupProgress) -> None:
        if stop.is_set():
            raise _Stopped
        on_progress(progress)

    async def watch() -> None:
        try:
            await finished.wait()
        except BaseException:
            stop.set()
            raise

    outcome: list[T] = []
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            outcome.append(await anyio.to_thread.run_sync(work, tell))
        except Exception as error:  # raised below, outside of the group that would wrap it
            failure = error
        finished.set()
    await anyio.lowlevel.checkpoint_if_cancelled()
    if failure is not None:
        raise failure
    return outcome[0]


async def _enter(stack: AsyncExitStack, parent: Path, name: str) -> Path:
    sync = ExitStack()
    folder = await anyio.to_thread.run_sync(sync.enter_context, staging_folder(parent, name))

    async def leave(*_: object) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(sync.close)

    stack.push_async_exit(leave)
    return folder


def _silent(_: BackupProgress) -> None:
    """Tell nobody."""


def _refuse_loss(outcome: Outcome) -> None:
    """Refuse to go on without what a plugin failed to do; a call goes on where the plugin does not enforce."""
    if outcome.error is not None:
        raise BackupError(f"plugin {outcome.plugin!r} failed: {error_text(outcome.error)}") from outcome.error


def _said(error: BaseException) -> str:
    cause = error.__cause__ if isinstance(error, HookCallError) else None
    return error_text(cause if isinstance(cause, BackupError) else error)


def _backup_error(error: Exception) -> BackupError:
    if isinstance(error, BackupError):
        return error
    if isinstance(error, OSError):
        return BackupError(
            f"the backup was not made: {error_text(error)}; is there room, and may the host write there?"
        )
    return BackupError(_said(error))
