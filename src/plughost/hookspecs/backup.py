"""Backups and the way back.

A backup goes ``before_backup``, ``provide_backup_artifacts``, ``store_backup``, then ``after_backup``, or
``backup_failed`` from wherever it broke; `list_backups` finds what was stored. The way back goes
``before_restore``, ``restore_artifact`` for each piece, ``after_restore``.
"""

from __future__ import annotations

from collections.abc import Sequence

from plughost.contracts.backup import (
    Archive,
    Artifact,
    BackupLocation,
    BackupPlan,
    BackupResult,
    RestorePlan,
    RestoreResult,
)
from plughost.hookspecs._markers import hookspec


@hookspec(mode="waterfall", timeout=60.0, on_error="abort")
def before_backup(plan: BackupPlan) -> BackupPlan | None:
    """A backup is about to be made; look at the plan, change it or stop it.

    Called first; the place to make things quiet and to say where the archive shall be put together. Each
    implementation is given what the one before it returned.

    Args:
        plan: What shall be saved, and why.

    Returns:
        The plan to go on with; None leaves it as it is.

    Refusing:
        Raise anything; nothing is saved, and ``backup_failed`` is called with it.

    Failure:
        An error or a time-out stops the backup.

    Example:
        from dataclasses import replace
        from pathlib import Path

        @hookimpl
        def before_backup(plan: BackupPlan) -> BackupPlan | None:
            return replace(plan, staging_dir=Path("backups"))
    """


@hookspec(mode="collect", timeout=300.0, on_error="abort")
def provide_backup_artifacts(plan: BackupPlan) -> Sequence[Artifact] | None:
    r"""Give what this plugin wants to have saved.

    Called after ``before_backup``; all implementations are asked. An artifact is a file, or a function that
    opens its bytes; it is read only when its turn comes, so nothing need be in memory.

    Args:
        plan: What shall be saved, as ``before_backup`` left it.

    Returns:
        The artifacts, each name once; those of different plugins are kept apart. None or an empty sequence
        when there is nothing to save.

    Refusing:
        Raise anything; the backup stops: one that lacks a piece without saying so is worse than none.

    Failure:
        An error or a time-out, also while a stream is read, stops the backup; ``backup_failed`` is called.

    Example:
        from collections.abc import Iterator, Sequence

        def notes() -> Iterator[bytes]:
            yield b"first note\n"
            yield b"second note\n"

        @hookimpl
        def provide_backup_artifacts() -> Sequence[Artifact]:
            return [Artifact(name="notes.txt", stream=notes, media_type="text/plain")]
    """


@hookspec(mode="first", timeout=300.0, on_error="abort")
def store_backup(archive: Archive) -> BackupLocation | None:
    """Put this archive where it stays.

    Called when the archive is complete and its sums are known. The first implementation that returns a
    location has stored it; later ones are not asked.

    Args:
        archive: The closed file in the staging folder, and its manifest. It may be moved away.

    Returns:
        Where it is, once it is durable under its final name; None when this plugin does not store archives.
        When nobody stores it, it stays in the host's own folder.

    Refusing:
        Raise anything; the archive is removed, and ``backup_failed`` is called.

    Failure:
        An error or a time-out fails the backup; no other store is tried.

    Example:
        from pathlib import Path

        @hookimpl(blocking=True)
        def store_backup(archive: Archive) -> BackupLocation | None:
            final = archive.path.replace(Path("/backups") / archive.filename)
            return BackupLocation(uri=final.as_uri(), size=archive.size)
    """


@hookspec(mode="broadcast", timeout=60.0, concurrent=True)
def after_backup(result: BackupResult) -> None:
    """A backup was made and stored.

    Called when the archive is durable; the place for retention, and to go on with what was made quiet.

    Args:
        result: What was saved, where it is, and its sums.

    Refusing:
        Nobody can stop it any more.

    Failure:
        Reported; the others are still told, and the backup stays.

    Example:
        sizes: list[int] = []

        @hookimpl
        def after_backup(result: BackupResult) -> None:
            sizes.append(result.size)
    """


@hookspec(mode="broadcast", timeout=60.0, concurrent=True)
def backup_failed(plan: BackupPlan, error: Exception) -> None:
    """A backup was not made.

    Called instead of ``after_backup``, from whatever step it broke in; no archive is left behind.

    Args:
        plan: What should have been saved.
        error: What went wrong.

    Refusing:
        There is nothing to stop: it is over.

    Failure:
        Reported; the others are still told.

    Example:
        alerts: list[str] = []

        @hookimpl
        def backup_failed(plan: BackupPlan, error: Exception) -> None:
            alerts.append(f"Backup {plan.backup_id} failed: {error}")
    """


@hookspec(mode="collect", timeout=60.0, concurrent=True)
def list_backups() -> Sequence[BackupLocation] | None:
    """Say which archives this plugin has stored.

    Called when somebody asks for a list, by whoever implements ``store_backup``; all implementations are
    asked.

    Returns:
        Where they are; None or an empty sequence when there are none.

    Refusing:
        There is nothing to stop.

    Failure:
        Reported; its archives are missing from the list.

    Example:
        from pathlib import Path

        @hookimpl(blocking=True)
        def list_backups() -> Sequence[BackupLocation]:
            found = Path("/backups").glob("*.tar.zst")
            return [BackupLocation(uri=path.as_uri(), size=path.stat().st_size) for path in found]
    """


@hookspec(mode="waterfall", timeout=60.0, on_error="abort")
def before_restore(plan: RestorePlan) -> RestorePlan | None:
    """A backup is about to be restored; look at the plan, change it or stop it.

    Called when the archive's sums have been checked and before anything is written. Each implementation is
    given what the one before it returned.

    Args:
        plan: What shall be restored from where, and whether it may overwrite.

    Returns:
        The plan to go on with; None leaves it as it is.

    Refusing:
        Raise anything; nothing is restored.

    Failure:
        An error or a time-out stops the restoration.

    Example:
        from dataclasses import replace

        @hookimpl
        def before_restore(plan: RestorePlan) -> RestorePlan | None:
            wanted = tuple(entry for entry in plan.entries if not entry.name.endswith(".log"))
            return replace(plan, entries=wanted)
    """


@hookspec(mode="first", timeout=300.0, on_error="abort")
def restore_artifact(artifact: Artifact, plan: RestorePlan) -> bool | None:
    """Put this piece back.

    Called once for each artifact of the plan, in the order of the archive. The first implementation that
    returns True has taken it; later ones are not asked. ``artifact.plugin`` says who gave it.

    Args:
        artifact: The piece, with its bytes to read from ``path`` or ``stream``; its sum was checked before.
        plan: What is being restored, and whether it may overwrite.

    Returns:
        True once it is durably back; None when it is not this plugin's.

    Refusing:
        Raise anything, for instance when something is there that ``plan.overwrite`` does not allow to
        replace.

    Failure:
        An error or a time-out stops the restoration and is raised to whoever asked, with the artifact's name.

    Example:
        from pathlib import Path

        @hookimpl(blocking=True)
        def restore_artifact(artifact: Artifact, plan: RestorePlan) -> bool | None:
            if artifact.plugin != "notes" or artifact.path is None:
                return None
            target = Path("notes.txt")
            if target.exists() and not plan.overwrite:
                raise FileExistsError(f"{target} exists; restore with overwrite=True to replace it")
            target.write_bytes(artifact.path.read_bytes())
            return True
    """


@hookspec(mode="broadcast", timeout=60.0, concurrent=True)
def after_restore(result: RestoreResult) -> None:
    """A backup was restored.

    Called when all artifacts had their turn; the place to read again what was read before.

    Args:
        result: What is back, and what nobody took.

    Refusing:
        Nobody can stop it any more.

    Failure:
        Reported; the others are still told.

    Example:
        remembered = {"notes": "as they were before"}

        @hookimpl
        def after_restore(result: RestoreResult) -> None:
            if result.restored:
                remembered.clear()
    """
