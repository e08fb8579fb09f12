"""How a backup's archive is laid out, and the compression around it.

An archive is a tar file in one compressed stream: ``backup.json`` first (which backup this is, so that a list
need not read on), then ``PLUGIN/ARTIFACT`` for each piece, then ``manifest.json`` with the size and SHA-256
of every piece. The manifest stands last because sums are known only then; an archive that was cut short has
none. Around all that stands the seal: the SHA-256 of every byte before it, at the very end, where both
compressions have room for something that their decoders pass over. It covers what the decoders themselves do
not look at, such as the headers of the compressed stream.

The sums tell damage and careless changes. They do not tell forgery: who can write the archive can write them.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final, cast

import msgspec

from plughost.contracts.backup import ArchiveEntry, BackupPlan
from plughost.exceptions import BackupError

zstandard: ModuleType | None
try:
    zstandard = importlib.import_module("zstandard")
except ImportError:  # a host without the extra: the standard library's gzip does, larger and slower
    zstandard = None

FORMAT: Final = 1
HEAD: Final = "backup.json"
MANIFEST: Final = "manifest.json"
BLOCK: Final = 1 << 20
NOTE_LIMIT: Final = 64 << 20  # bytes of head or manifest that are read at most

_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE_MAGIC: Final = b"\x5e\x2a\x4d\x18"  # a frame of RFC 8878 that decoders pass over
_GZIP_MAGIC: Final = b"\x1f\x8b"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """Which backup an archive holds."""

    format: int
    backup_id: str
    reason: str
    created_at: float
    apps: tuple[str, ...] = ()
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)

    @classmethod
    def of(cls, plan: BackupPlan) -> Head:
        """Return the head of the archive that this plan makes."""
        return cls(
            format=FORMAT,
            backup_id=plan.backup_id,
            reason=plan.reason,
            created_at=plan.created_at,
            apps=plan.apps,
            labels=dict(plan.labels),
        )


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds, and the sum of its head."""

    format: int
    backup_id: str
    head_sha256: str
    entries: tuple[ArchiveEntry, ...]


def suffix() -> str:
    """Return how an archive's name ends, which tells its compression."""
    return ".tar.zst" if zstandard is not None else ".tar.gz"


def member_name(plugin: str, name: str) -> str:
    """Return where an artifact stands in the archive: those of different plugins are kept apart."""
    return f"{plugin}/{name}"


@contextmanager
def compressed(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give a stream that compresses into ``raw``; complete when it is left without an error."""
    if zstandard is not None:
        # One worker thread compresses while this one reads and sums. More of them cost a fifth more processor
        # time, which a machine that serves at the same time needs itself.
        compressor = zstandard.ZstdCompressor(level=3, threads=1, write_checksum=True)
        with compressor.stream_writer(raw, closefd=False) as stream:
            yield cast("IO[bytes]", stream)
        return
    with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=6) as plain:
        yield cast("IO[bytes]", plain)


def seal_of(digest: bytes) -> bytes:
    """Return what ends an archive whose bytes so far have this SHA-256."""
    if zstandard is not None:
        return _zstd_seal(digest)
    return _gzip_seal(digest)


def _zstd_seal(digest: bytes) -> bytes:
    return _SKIPPABLE_MAGIC + len(digest).to_bytes(4, "little") + digest


def _gzip_seal(digest: bytes) -> bytes:
    # An empty member (RFC 1952) with an extra field; the deflate stream of nothing is 03 00, its CRC and size 0.
    field = b"ph" + len(digest).to_bytes(2, "little") + digest
    return (
        b"\x1f\x8b\x08\x04"
        + bytes(5)
        + b"\xff"
        + len(field).to_bytes(2, "little")
        + field
        + b"\x03\x00"
        + bytes(8)
    )


class Decompressed:
    """The bytes in an archive, with a way to tell whether they are all of them."""

    def __init__(self, stream: IO[bytes], covered: _Covered) -> None:
        self._stream, self._covered = stream, covered

    def read(self, size: int) -> bytes:
        """Return up to so many bytes; none at the end."""
        return self._stream.read(size)

    def finish(self) -> None:
        """Read on to the end.

        Raises:
            EOFError: It was cut short, or a byte of it is not the one that was written.
        """
        while self.read(BLOCK):
            pass
        self._covered.finish()


class _Covered:
    """A file without the seal at its end; sums what is read of it."""

    def __init__(self, raw: IO[bytes], seal: Callable[[bytes], bytes]) -> None:
        self._raw, self._seal, self._digest = raw, seal, hashlib.sha256()
        self._left = os.fstat(raw.fileno()).st_size - len(seal(self._digest.digest()))

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(self._left if size < 0 else min(size, self._left)) if self._left > 0 else b""
        self._digest.update(data)
        self._left -= len(data)
        return data

    def finish(self) -> None:
        while self.read(BLOCK):
            pass
        if self._left or self._raw.read() != self._seal(self._digest.digest()):
            raise EOFError("it was cut short, or a byte of it was changed")


@contextmanager
def decompressed(path: Path) -> Iterator[Decompressed]:
    """Give the bytes in an archive.

    Raises:
        BackupError: It is not there, is not an archive, or needs a package that is not installed.
    """
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise BackupError(f"cannot open {path}: {error.strerror}") from error
        magic = raw.read(4)
        raw.seek(0)
        plain: Any
        if magic.startswith(_GZIP_MAGIC):
            covered = _Covered(raw, _gzip_seal)
            plain = gzip.GzipFile(fileobj=cast("IO[bytes]", covered), mode="rb")
        elif magic != _ZSTD_MAGIC:
            raise BackupError(f"{path} is not a backup archive")
        elif zstandard is None:
            raise BackupError(
                f"{path} is compressed with zstd; install the Python package 'zstandard' to read it"
            )
        else:
            covered = _Covered(raw, _zstd_seal)
            machine = zstandard.ZstdDecompressor()
            plain = machine.stream_reader(covered, read_across_frames=True, closefd=False)
        yield Decompressed(stack.enter_context(plain), covered)


def read_errors() -> tuple[type[BaseException], ...]:
    """Return what reading a damaged archive may raise."""
    errors: tuple[type[BaseException], ...] = (
        OSError,
        EOFError,
        ValueError,
        RecursionError,  # heads of heads, notes that nest
        msgspec.MsgspecError,
    )
    return errors if zstandard is None else (*errors, zstandard.ZstdError)


def encode(note: Head | Manifest) -> bytes:
    """Return a head or manifest as it stands in the archive."""
    return msgspec.json.format(msgspec.json.encode(note), indent=2)


def decode(data: bytes, kind: type[Any]) -> Any:
    """Return the head or manifest in these bytes.

    Raises:
        BackupError: It is of a format that this version does not know.
    """
    note = msgspec.json.decode(data, type=kind)
    if note.format != FORMAT:
        raise BackupError(f"the archive has format {note.format}; this version reads format {FORMAT}")
    return note
