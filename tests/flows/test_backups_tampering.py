"""An archive that is not exactly what was written is refused, and then nothing is touched."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app_host import AppHost
from plughost.contracts.backup import Artifact, BackupProgress
from plughost.exceptions import BackupError
from plughost.flows import archive_format
from plughost.flows.archive_format import seal_of
from plughost.flows.archive_reading import read_archive
from plughost.hookspecs import hookimpl

pytestmark = pytest.mark.anyio

Members = list[tuple[str, bytes]]


class Keeper:
    def __init__(self) -> None:
        self.restored: list[str] = []

    @hookimpl
    def provide_backup_artifacts(self) -> list[Artifact]:
        return [
            Artifact(name="one", stream=lambda: [b"first note"]),
            Artifact(name="two", stream=lambda: [b"second note"]),
        ]

    @hookimpl
    def restore_artifact(self, artifact: Artifact) -> bool:
        self.restored.append(artifact.name)
        return True


class Stage:
    def __init__(self, host: AppHost, keeper: Keeper, archive: Path) -> None:
        self.host, self.keeper, self.archive = host, keeper, archive


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    host = AppHost(tmp_path)
    keeper = Keeper()
    await host.load("keeper", keeper)
    result = await host.backups.run()
    yield Stage(host, keeper, Path(result.location.uri.removeprefix("file://")))
    await host.close()


def read(archive: Path) -> Members:
    plain = zstandard.ZstdDecompressor().stream_reader(archive.read_bytes()).read()
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        return [(member.name, (tar.extractfile(member) or io.BytesIO()).read()) for member in tar]


def write(archive: Path, members: Members) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    archive.write_bytes(sealed(zstandard.ZstdCompressor().compress(plain.getvalue())))


def sealed(stream: bytes) -> bytes:
    return stream + seal_of(hashlib.sha256(stream).digest())


def change_a_piece(members: Members) -> Members:
    return [(name, b"First note" if name == "keeper/one" else data) for name, data in members]


def leave_one_out(members: Members) -> Members:
    return [member for member in members if member[0] != "keeper/two"]


def add_one(members: Members) -> Members:
    return [*members[:-1], ("keeper/three", b"x"), members[-1]]


def add_one_after_the_manifest(members: Members) -> Members:
    return [*members, ("keeper/three", b"x")]


def swap_two(members: Members) -> Members:
    return [members[0], members[2], members[1], members[3]]


def swap_their_contents(members: Members) -> Members:
    return [members[0], ("keeper/one", members[2][1]), ("keeper/two", members[1][1]), members[3]]


def change_the_head(members: Members) -> Members:
    head = json.loads(members[0][1])
    return [("backup.json", json.dumps({**head, "reason": "forged"}).encode()), *members[1:]]


def drop_the_manifest(members: Members) -> Members:
    return members[:-1]


def drop_the_head(members: Members) -> Members:
    return members[1:]


def a_format_of_the_future(members: Members) -> Members:
    head = json.dumps({**json.loads(members[0][1]), "format": 99}).encode()
    manifest = json.loads(members[-1][1])
    manifest["head_sha256"] = hashlib.sha256(head).hexdigest()
    return [("backup.json", head), *members[1:-1], ("manifest.json", json.dumps(manifest).encode())]


EDITS = [
    change_a_piece,
    leave_one_out,
    add_one,
    add_one_after_the_manifest,
    swap_two,
    swap_their_contents,
    change_the_head,
    drop_the_manifest,
    drop_the_head,
    a_format_of_the_future,
]


@pytest.mark.parametrize("edit", EDITS)
async def test_a_tampered_archive_is_refused_before_anything_is_restored(
    stage: Stage, edit: Callable[[Members], Members]
) -> None:
    write(stage.archive, edit(read(stage.archive)))
    with pytest.raises(BackupError):
        await stage.host.backups.verify(stage.archive)
    with pytest.raises(BackupError):
        await stage.host.backups.restore(stage.archive, overwrite=True)
    assert stage.keeper.restored == []


async def test_an_archive_that_was_repacked_and_sealed_anew_is_accepted(stage: Stage) -> None:
    write(stage.archive, read(stage.archive))
    assert len(await stage.host.backups.verify(stage.archive)) == 2


async def test_an_archive_that_was_repacked_without_its_seal_is_refused(stage: Stage) -> None:
    plain = zstandard.ZstdDecompressor().stream_reader(stage.archive.read_bytes()).read()
    stage.archive.write_bytes(zstandard.ZstdCompressor().compress(plain))
    with pytest.raises(BackupError, match="damaged or not complete"):
        await stage.host.backups.verify(stage.archive)


async def test_an_archive_with_something_behind_its_seal_is_refused(stage: Stage) -> None:
    stage.archive.write_bytes(sealed(stage.archive.read_bytes()) + b"x")
    with pytest.raises(BackupError):
        await stage.host.backups.verify(stage.archive)


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "keeper/../../x"])
async def test_names_in_an_archive_never_become_file_names(stage: Stage, name: str, tmp_path: Path) -> None:
    members = read(stage.archive)
    write(stage.archive, [members[0], (name, b"evil"), *members[1:]])
    with pytest.raises(BackupError):
        await stage.host.backups.restore(stage.archive, overwrite=True)
    assert not (tmp_path / "etc").exists()


async def test_a_link_in_an_archive_is_refused(stage: Stage) -> None:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        link = tarfile.TarInfo("backup.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    stage.archive.write_bytes(sealed(zstandard.ZstdCompressor().compress(plain.getvalue())))
    with pytest.raises(BackupError, match="not what it should be"):
        await stage.host.backups.verify(stage.archive)


def silent(_: BackupProgress) -> None: ...


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_single_changed_or_missing_byte_goes_unnoticed(
    whole: bytes, tmp_path: Path, data: st.DataObject
) -> None:
    position = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        broken = whole[:position]
    else:
        flipped = whole[position] ^ data.draw(st.integers(1, 255))
        broken = whole[:position] + bytes([flipped]) + whole[position + 1 :]
    path = tmp_path / "broken"
    path.write_bytes(broken)
    with pytest.raises(BackupError):
        read_archive(path, silent)


HEADERS = 24
"""More bytes than the headers of a zstd frame or a gzip member have; the seal at the end is not longer than 64."""


@pytest.mark.parametrize("has_zstd", [True, False], ids=["zstd", "gzip"])
def test_no_changed_bit_of_the_headers_or_of_the_seal_goes_unnoticed(
    has_zstd: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(archive_format, "zstandard", zstandard if has_zstd else None)
    whole = make_archive(tmp_path)
    path = tmp_path / "broken"
    path.write_bytes(whole)
    read_archive(path, silent)
    unnoticed = []
    for position in [*range(HEADERS), *range(len(whole) - 64, len(whole))]:
        for bit in range(8):
            broken = bytearray(whole)
            broken[position] ^= 1 << bit
            path.write_bytes(broken)
            try:
                read_archive(path, silent)
            except BackupError:
                continue
            unnoticed.append((position, bit))
    assert unnoticed == []


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    return make_archive(tmp_path)


def make_archive(tmp_path: Path) -> bytes:
    async def make() -> str:
        host = AppHost(tmp_path)
        await host.load("keeper", Keeper())
        result = await host.backups.run()
        return result.location.uri

    return Path(anyio.run(make).removeprefix("file://")).read_bytes()
