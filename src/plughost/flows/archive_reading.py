"""An archive is read from end to end and believed only when every sum in it is right."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path
from typing import IO, Final, cast

from plughost._dataclasses import dataclass
from plughost.contracts.backup import ArchiveEntry, BackupProgress, OnProgress
from plughost.exceptions import BackupError
from plughost.flows.archive_format import (
    BLOCK,
    HEAD,
    MANIFEST,
    NOTE_LIMIT,
    Decompressed,
    Head,
    Manifest,
    decode,
    decompressed,
    member_name,
    read_errors,
)

_LONGEST_HEAD: Final = 1 << 16  # bytes of a pax head or a long name
_HEADS: Final = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
    | {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a whole and unharmed archive holds.

    Attributes:
        head: Which backup it is.
        entries: Its pieces.
        files: Where the pieces were put, in the order of ``entries``; empty when they were only checked.
    """

    head: Head
    entries: tuple[ArchiveEntry, ...]
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class _Found:
    name: str
    size: int
    sha256: str


def read_head(path: Path) -> Head:
    """Return which backup an archive holds, without reading on. Blocking.

    Raises:
        BackupError: It is not an archive, or damaged at its very beginning.
    """
    with _trusting_nothing(path), decompressed(path) as stream, _open_tar(stream) as tar:
        member = tar.next()
        if member is None or member.name != HEAD:
            raise BackupError(f"{path} is not a backup archive: it does not begin with {HEAD}")
        head: Head = decode(_read_note(tar, member), Head)
        return head


def read_archive(path: Path, on_progress: OnProgress, into: Path | None = None) -> Contents:
    """Read a whole archive; put its pieces into a folder, if one is given. Blocking.

    The names in the archive never become file names. Whoever wants to stop it raises from ``on_progress``.

    Raises:
        BackupError: It is incomplete, or anything in it is not as its manifest says.
    """
    with _trusting_nothing(path), decompressed(path) as stream, _open_tar(stream) as tar:
        progress = _Progress(on_progress, path)
        notes: dict[str, bytes] = {}
        found: list[_Found] = []
        files: list[Path] = []
        for member in tar:
            if MANIFEST in notes:
                raise BackupError(f"{path} goes on after its manifest: something was added")
            if member.name in {HEAD, MANIFEST}:
                notes[member.name] = _read_note(tar, member)
                continue
            target = None if into is None else into / f"piece-{len(found)}"
            source = _plain(tar, member)
            if source is None:
                raise BackupError(f"the archive holds {member.name!r}, which is not a plain file")
            digest = hashlib.sha256()
            size = 0
            if target is None:
                number = os.open(os.devnull, os.O_WRONLY)
            else:
                number = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(number, "wb") as sink:
                while block := source.read(BLOCK):
                    digest.update(block)
                    sink.write(block)
                    size += len(block)
                    progress.advance(member.name, len(block))
            found.append(_Found(member.name, size, digest.hexdigest()))
            if target is not None:
                files.append(target)
        stream.finish()
        return _compare(path, notes, found, tuple(files))


def _compare(path: Path, notes: dict[str, bytes], found: list[_Found], files: tuple[Path, ...]) -> Contents:
    for name in (HEAD, MANIFEST):
        if name not in notes:
            raise BackupError(f"{path} is not complete: {name} is missing")
    manifest: Manifest = decode(notes[MANIFEST], Manifest)
    if hashlib.sha256(notes[HEAD]).hexdigest() != manifest.head_sha256:
        raise BackupError(f"{path} was changed: {HEAD} is not what the manifest says")
    promised = [
        _Found(member_name(entry.plugin, entry.name), entry.size, entry.sha256) for entry in manifest.entries
    ]
    if [piece.name for piece in promised] != [piece.name for piece in found]:
        raise BackupError(f"{path} was changed: it does not hold the pieces that its manifest names")
    wrong = [piece.name for piece, real in zip(promised, found, strict=True) if piece != real]
    if wrong:
        raise BackupError(f"{path} was changed or damaged: the sum of {', '.join(wrong)} is wrong")
    return Contents(decode(notes[HEAD], Head), manifest.entries, files)


def _read_note(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = _plain(tar, member) if member.size <= NOTE_LIMIT else None
    if source is None:
        raise BackupError(f"{member.name} in the archive is not what it should be")
    return source.read()


def _open_tar(stream: Decompressed) -> tarfile.TarFile:
    return tarfile.open(mode="r|", fileobj=cast("IO[bytes]", stream), bufsize=BLOCK, tarinfo=_Member)


class _Member(tarfile.TarInfo):
    """A member without surprises: tarfile reads heads of any size into memory, and makes up the bytes of holes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Member:
        """Return the member of a header; refuse a head that is longer than any of ours."""
        member = super().frombuf(buf, encoding, errors)
        if member.type == tarfile.GNUTYPE_SPARSE:
            raise BackupError("the archive holds a member with holes, which no backup has")
        if member.type in _HEADS and (member.type != tarfile.XHDTYPE or member.size > _LONGEST_HEAD):
            # One for all members is copied for each member that follows, so even short ones cost more and more.
            raise BackupError(f"the archive has a head of {member.size} bytes, which no backup has")
        return member

    def _refuse_holes(self, *_: object) -> None:
        raise BackupError(f"the archive holds {self.name!r} with holes, which no backup has")

    # The three ways to write holes into a pax head. Where tarfile calls them otherwise, _plain refuses.
    _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_holes


def _plain(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    """Return what a plain file without holes holds; None when it is anything else."""
    return tar.extractfile(member) if member.isreg() and not member.issparse() else None


class _trusting_nothing:  # noqa: N801 - reads as a statement
    """Turns whatever a damaged archive makes its readers raise into one error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, (*read_errors(), tarfile.TarError)):
            if isinstance(error, OSError) and error.errno is not None:
                raise BackupError(f"reading {self._path} failed: {error}") from error
            raise BackupError(f"{self._path} is damaged or not complete: {error}") from error


class _Progress:
    """Counts the bytes that were checked; how many there will be is not known before."""

    def __init__(self, on_progress: OnProgress, path: Path) -> None:
        self._on_progress, self._done = on_progress, 0

    def advance(self, name: str, count: int) -> None:
        self._done += count
        self._on_progress(BackupProgress(phase="verify", name=name, done=self._done))
