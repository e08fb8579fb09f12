"""Artifacts become one archive: written aside, in constant memory, synced before it counts."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from plughost.contracts.backup import Archive, ArchiveEntry, Artifact, BackupPlan, BackupProgress, OnProgress
from plughost.flows.archive_format import (
    BLOCK,
    FORMAT,
    HEAD,
    MANIFEST,
    Head,
    Manifest,
    compressed,
    encode,
    member_name,
    seal_of,
    suffix,
)


def write_archive(
    plan: BackupPlan,
    artifacts: Sequence[Artifact],
    folder: Path,
    on_progress: OnProgress,
) -> Archive:
    """Write all artifacts into one file in ``folder``. Blocking; every artifact must have a path.

    Whoever wants to stop it raises from ``on_progress``. The file is complete and synced when this returns.

    Raises:
        OSError: An artifact cannot be read, or there is no room.
    """
    path = folder / f"archive{suffix()}"
    total = sum((artifact.path or Path()).stat().st_size for artifact in artifacts)
    progress = _Progress(on_progress, total)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb", buffering=BLOCK) as file:
        raw = _Summed(file)
        with compressed(raw) as stream:  # type: ignore[arg-type]
            entries = _write_members(stream, plan, artifacts, progress)
        raw.write(seal_of(raw.digest.digest()))
        file.flush()
        os.fsync(file.fileno())
    return Archive(
        plan=plan,
        path=path,
        filename=f"{plan.backup_id}{suffix()}",
        size=raw.size,
        sha256=raw.digest.hexdigest(),
        entries=entries,
    )


def _write_members(
    stream: IO[bytes], plan: BackupPlan, artifacts: Sequence[Artifact], progress: _Progress
) -> tuple[ArchiveEntry, ...]:
    head = encode(Head.of(plan))
    with tarfile.TarFile(mode="w", fileobj=stream, format=tarfile.PAX_FORMAT, copybufsize=BLOCK) as tar:
        _add_note(tar, HEAD, head, plan.created_at)
        entries: list[ArchiveEntry] = []
        for artifact in artifacts:
            with (artifact.path or Path()).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                source = _Read(file, partial(progress.advance, artifact.name))
                member = _member(member_name(artifact.plugin, artifact.name), size, plan.created_at)
                tar.addfile(member, source)  # type: ignore[arg-type]
            entries.append(
                ArchiveEntry(
                    name=artifact.name,
                    plugin=artifact.plugin,
                    size=size,
                    sha256=source.digest.hexdigest(),
                    media_type=artifact.media_type,
                    app_name=artifact.app_name,
                    labels=dict(artifact.labels),
                )
            )
        manifest = Manifest(
            format=FORMAT,
            backup_id=plan.backup_id,
            head_sha256=hashlib.sha256(head).hexdigest(),
            entries=tuple(entries),
        )
        _add_note(tar, MANIFEST, encode(manifest), plan.created_at)
    return manifest.entries


def _add_note(tar: tarfile.TarFile, name: str, data: bytes, modified: float) -> None:
    tar.addfile(_member(name, len(data), modified), io.BytesIO(data))


def _member(name: str, size: int, modified: float) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(modified), 0o600
    return member


class _Summed:
    """A file that sums what is written to it."""

    def __init__(self, file: IO[bytes]) -> None:
        self.digest = hashlib.sha256()
        self.size = 0
        self._file = file

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


class _Read:
    """A file that sums and reports what is read from it."""

    def __init__(self, file: IO[bytes], tell: Callable[[int], None]) -> None:
        self.digest = hashlib.sha256()
        self._file, self._tell = file, tell

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self._tell(len(data))
        return data


class _Progress:
    """Counts the bytes of a phase."""

    def __init__(self, on_progress: OnProgress, total: int) -> None:
        self._on_progress, self._total, self._done = on_progress, total, 0

    def advance(self, name: str, count: int) -> None:
        self._done += count
        self._on_progress(BackupProgress(phase="write", name=name, done=self._done, total=self._total))
