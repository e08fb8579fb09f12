"""A folder of archives. Everything here blocks."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from plughost.contracts import Archive, BackupLocation


class ArchiveFolder:
    """Keeps archives under their final names, each complete or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def store(self, archive: Archive) -> BackupLocation:
        """Move a finished archive here, and return when it is durable under its name."""
        final = self.path / archive.filename
        try:
            archive.path.replace(final)
        except OSError:  # another file system: copied under a hidden name, then renamed
            aside = self.path / f".{archive.filename}"
            shutil.copyfile(archive.path, aside)
            aside.chmod(0o600)
            _sync(aside)
            aside.replace(final)
        _sync(self.path)
        return BackupLocation(uri=final.absolute().as_uri(), size=archive.size)

    def archives(self) -> list[Path]:
        """Return the archives, oldest first: their names begin with the time they were made."""
        return sorted(self.path.glob("backup-*.tar.*"))

    def locations(self) -> list[BackupLocation]:
        """Return where the archives are."""
        return [
            BackupLocation(uri=path.absolute().as_uri(), size=path.stat().st_size) for path in self.archives()
        ]

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest archives, and what a killed copy left; return the names that went."""
        gone = [*self.archives()[:-keep], *self.path.glob(".backup-*")]
        for path in gone:
            path.unlink(missing_ok=True)
        return [path.name for path in gone]


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
