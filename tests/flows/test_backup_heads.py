"""What an archive claims is believed only as far as it goes: heads are short, and no member has holes."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from plughost.contracts.backup import BackupProgress
from plughost.exceptions import BackupError
from plughost.flows.archive_format import seal_of
from plughost.flows.archive_reading import read_archive, read_head

READERS: list[Callable[[Path], object]] = [read_head, lambda path: read_archive(path, ignore)]


def ignore(progress: BackupProgress) -> None: ...


def archive(path: Path, plain: bytes, repeated: int = 0) -> Path:
    """Write an archive with a right seal around these bytes and so many MiB of zeros."""
    compressor = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    packed = compressor.compress(plain)
    for _ in range(repeated):
        packed += compressor.compress(b"0" * (1 << 20))
    packed += compressor.flush()
    path.write_bytes(packed + seal_of(hashlib.sha256(packed).digest()))
    return path


def header(kind: bytes, size: int) -> bytes:
    info = tarfile.TarInfo("backup.json")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK]
)
def test_a_head_of_many_megabytes_is_refused_before_it_is_read(tmp_path, read, kind):
    path = archive(tmp_path / "a.tar.zst", header(kind, 64 << 20), repeated=64)
    tracemalloc.start()
    try:
        with pytest.raises(BackupError, match="head"):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "pax",
    [
        {"GNU.sparse.size": str(1 << 60), "GNU.sparse.numblocks": "0", "GNU.sparse.map": ""},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 60)},
        {"GNU.sparse.size": str(1 << 60), "GNU.sparse.map": "0,1"},
    ],
)
def test_a_member_with_holes_is_refused(tmp_path, read, pax):
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("backup.json")
        info.size, info.pax_headers = 512, pax
        tar.addfile(info, io.BytesIO(b"0\n".ljust(512, b"\0")))
    with pytest.raises(BackupError):
        read(archive(tmp_path / "a.tar.zst", plain.getvalue()))


@pytest.mark.parametrize("read", READERS)
def test_an_old_member_with_holes_is_refused(tmp_path, read):
    path = archive(tmp_path / "a.tar.zst", header(tarfile.GNUTYPE_SPARSE, 512) + bytes(2048))
    with pytest.raises(BackupError, match="holes"):
        read(path)
