"""Archives in folders: kept, found and told apart."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from plughost.contracts.backup import Archive, BackupLocation, BackupSummary
from plughost.contracts.files import sync_to_disk
from plughost.exceptions import BackupError
from plughost.flows.staging import staging_folder


def keep_in(archive: Archive, folder: Path) -> BackupLocation:
    """Give a finished archive its final name in a folder. Blocking.

    It appears under that name complete and durable, or not at all, also from another file system.
    """
    final = folder / archive.filename
    try:
        archive.path.replace(final)
    except OSError:  # another file system: copied aside there, then renamed
        with staging_folder(folder, archive.plan.backup_id) as aside:
            copy = Path(shutil.copyfile(archive.path, aside / archive.filename))
            copy.chmod(0o600)
            sync_to_disk(copy)
            copy.replace(final)
    sync_to_disk(folder)
    return BackupLocation(uri=final.absolute().as_uri(), size=archive.size)


def list_folder(folder: Path) -> list[BackupLocation]:
    """Return the archives in a folder. Blocking."""
    found = sorted(path for path in folder.glob("backup-*.tar.*") if path.is_file())
    return [BackupLocation(uri=path.absolute().as_uri(), size=path.stat().st_size) for path in found]


def summarise(location: BackupLocation) -> BackupSummary:
    """Read the head of an archive, when it is a file. Blocking."""
    path = path_of(location.uri)
    if path is None:
        return BackupSummary(backup_id=location.uri.rpartition("/")[2].partition(".")[0], location=location)
    from plughost.flows.archive_reading import read_head  # late, see ``Backups``

    try:
        head = read_head(path)
    except BackupError as error:
        return BackupSummary(backup_id="", location=location, problem=str(error))
    return BackupSummary(
        backup_id=head.backup_id,
        location=location,
        created_at=head.created_at,
        reason=head.reason,
        apps=head.apps,
    )


def is_file(archive: str | Path) -> bool:
    """Whether that is the path of a file. Blocking."""
    return Path(archive).is_file()


def find_archive(archive: str | Path, known: Iterable[BackupSummary]) -> Path:
    """Return the file that a uri, a file name or an id stands for. Blocking.

    Raises:
        BackupError: There is none, or it is not a file on this machine.
    """
    named = path_of(str(archive))
    if named is not None and named.is_file():
        return named
    for summary in known:
        stored = path_of(summary.location.uri)
        # By the file's name too: the id within an archive that was damaged cannot be read.
        if stored is not None and str(archive) in {
            summary.backup_id,
            stored.name,
            stored.name.partition(".")[0],
        }:
            return stored
    raise BackupError(
        f"there is no archive {str(archive)!r}; `plughost backup list` shows those that are known"
    )


def path_of(uri: str) -> Path | None:
    """Return the file behind a ``file:`` uri; None for any other."""
    parts = urlsplit(uri)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None
