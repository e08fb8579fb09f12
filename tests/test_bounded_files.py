"""What lies in files costs work in proportion to its length, too: archives, packages, folders of plugins.

The same measure as in ``test_bounded_work``: lines and calls are counted, on a thousand bytes and on a million.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import IO

import pytest
import zstandard

from bounded import steps_of
from plughost.contracts.backup import BackupProgress
from plughost.core.finding.discovery import Limits, Wish, discover
from plughost.core.finding.installed import parse_entry_points
from plughost.core.finding.sources import MANIFEST, Finding, from_directory, from_file
from plughost.core.packages.unpacking import read_entry_points, unpack
from plughost.exceptions import BackupError, PluginSourceError
from plughost.flows.archive_format import seal_of
from plughost.flows.archive_reading import read_archive, read_head

SMALL, LARGE = 1_000, 1_000_000
FILES = 50_000
"""Bytes where each few dozen of them are a file to be looked for on the disk, so that a million would take minutes."""
GROUP = "plughost.plugins"
"""The group of entry points that a host reads when nothing else is said."""


def ignore(progress: BackupProgress) -> None: ...


def seal(plain: bytes, path: Path) -> Path:
    packed = zstandard.ZstdCompressor(write_checksum=True).compress(plain)
    path.write_bytes(packed + seal_of(hashlib.sha256(packed).digest()))
    return path


def plain_member(at: int) -> bytes:
    return tarfile.TarInfo(f"cache/{at}").tobuf(tarfile.PAX_FORMAT)


def named_at_length(at: int) -> bytes:
    return tarfile.TarInfo(f"cache/{at}/{'x' * 400}").tobuf(tarfile.PAX_FORMAT)


def with_words(kind: bytes, words: int) -> Callable[[int], bytes]:
    """Return members that have heads of their own with so many words, none of them used twice."""

    def member(at: int) -> bytes:
        pax = "".join(f"20 w{at * words + word:09}=aaaaa\n"[-20:] for word in range(words)).encode()
        head = tarfile.TarInfo("head")
        head.type, head.size = kind, len(pax)
        return head.tobuf(tarfile.USTAR_FORMAT) + pax.ljust(-len(pax) // 512 * -512, b"\0") + plain_member(at)

    return member


def only_a_head(kind: bytes) -> Callable[[int], bytes]:
    def member(at: int) -> bytes:
        head = tarfile.TarInfo(f"head-{at}")
        head.type, head.size = kind, 9
        return head.tobuf(tarfile.USTAR_FORMAT) + b"9 word=a\n".ljust(512, b"\0")

    return member


MEMBERS: dict[str, Callable[[int], bytes]] = {
    "plain": plain_member,
    "long names": named_at_length,
    "words for one": with_words(tarfile.XHDTYPE, 20),
    "words for all": with_words(tarfile.XGLTYPE, 20),
    "heads of heads": only_a_head(tarfile.XHDTYPE),
    "names of names": only_a_head(tarfile.GNUTYPE_LONGNAME),
    "links": only_a_head(tarfile.GNUTYPE_LONGLINK),
}


@pytest.mark.parametrize("read", [read_head, lambda path: read_archive(path, ignore)], ids=["head", "all"])
@pytest.mark.parametrize("members", MEMBERS.values(), ids=MEMBERS)
def test_each_member_of_an_archive_costs_the_same(tmp_path, read, members):
    counted = []
    for size in (SMALL, LARGE):
        plain = b""
        for at in range(size // len(members(1)) or 1):
            plain += members(at)
        path = seal(plain + bytes(1024), tmp_path / f"{size}.tar.zst")
        counted.append(steps_of(lambda one=path: read(one), BackupError))
    assert counted[1] <= 2 * counted[0] * LARGE // SMALL


def test_heads_of_heads_are_a_damaged_archive(tmp_path):
    plain = b"".join(map(only_a_head(tarfile.XHDTYPE), range(2_000)))
    with pytest.raises(BackupError, match="damaged"):
        read_head(seal(plain + bytes(1024), tmp_path / "a.tar.zst"))


def test_a_head_for_all_members_is_refused(tmp_path):
    plain = with_words(tarfile.XGLTYPE, 1)(0)
    with pytest.raises(BackupError, match="head"):
        read_archive(seal(plain + bytes(1024), tmp_path / "a.tar.zst"), ignore)


@pytest.mark.parametrize("depth", [900, 20_000])
def test_a_note_that_nests_is_a_damaged_archive(tmp_path, depth):
    note = b'{"format":1,"host":' + b"[" * depth
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        info = tarfile.TarInfo("backup.json")
        info.size = len(note)
        tar.addfile(info, io.BytesIO(note))
    with pytest.raises(BackupError):
        read_head(seal(plain.getvalue(), tmp_path / "a.tar.zst"))


def package(size: int, target: IO[bytes], name: Callable[[int], str]) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for at in range(size // (120 + 2 * len(name(0))) or 1):
            archive.writestr(name(at), b"")


NAMES: dict[str, Callable[[int], str]] = {
    "files": lambda at: f"lamp_{at:06}.py",
    "folders": lambda at: f"lamp/{at:06}/",
    "deep": lambda at: f"{at:06}/" + "a/" * 30 + "b",
    "deeper": lambda at: f"{at:06}/" + "a/" * 900 + "b",
    "long": lambda at: f"{at:06}" + "a" * 30_000,
    "parts": lambda at: f"{at:06}.dist-info",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_each_file_of_a_package_costs_the_same(tmp_path, name):
    counted = []
    for size in (2 * SMALL, FILES):
        path = tmp_path / f"{size}.zip"
        with path.open("wb") as file:
            package(size, file, name)
        into = tmp_path / f"into-{size}"

        def door(path: Path = path, into: Path = into) -> object:
            return read_entry_points(path), unpack("lamp", path, into), unpack("lamp", path, into)

        counted.append(steps_of(door, PluginSourceError) / path.stat().st_size)
    assert counted[1] <= 4 * counted[0]


def manifest(names: list[str], folder: Path) -> Path:
    (folder / "lamps").mkdir(parents=True)
    points = "\n".join(f'{name} = "lamp"' for name in names)
    (folder / "lamps" / MANIFEST).write_text(
        f'[project]\nname = "lamps"\n[project.entry-points."{GROUP}"]\n{points}'
    )
    return folder


SPELLED: dict[str, Callable[[int], str]] = {
    "others": lambda at: f"lamp-{at:x}",
    "of one length": lambda at: f"{at:06}",
    "one name in many spellings": lambda at: "a" + "".join("-_"[at >> bit & 1] + "a" for bit in range(17)),
}
LISTS: dict[str, Callable[[list[str]], tuple[dict[str, Wish], Limits]]] = {
    "nothing": lambda names: ({}, Limits()),
    "each allowed": lambda names: ({}, Limits(allow=frozenset(names))),
    "each disabled": lambda names: ({}, Limits(disabled=frozenset(names))),
    "each wished for": lambda names: ({name: Wish(mentioned=True) for name in names}, Limits()),
    "as many others wished for": lambda names: ({f"{name}0123456789": Wish() for name in names}, Limits()),
}


def found(findings: Callable[[], Iterable[Finding]], wishes: dict[str, Wish], limits: Limits) -> object:
    return discover(findings(), wishes, limits)


@pytest.mark.parametrize("spelled", SPELLED.values(), ids=SPELLED)
@pytest.mark.parametrize("lists", LISTS.values(), ids=LISTS)
def test_each_name_of_a_plugin_in_a_folder_costs_the_same(tmp_path, spelled, lists):
    counted = []
    for size in (SMALL, FILES):
        names = [spelled(at) for at in range(size // (len(spelled(1)) + 10))]
        findings = partial(from_directory, manifest(names, tmp_path / str(size)), [GROUP])
        wishes, limits = lists(names)
        counted.append(steps_of(partial(found, findings, wishes, limits)) / len(names))
    assert counted[1] <= 2 * counted[0]


@pytest.mark.parametrize(
    "piece", ["(", "[", "def f():\n ", "x = (", "class Plugin(Plugin):\n pass\n", "\n", "-", "f''"]
)
def test_each_byte_of_a_single_file_costs_the_same(tmp_path, piece):
    counted = []
    for size in (SMALL, LARGE):
        (tmp_path / "lamp.py").write_text(piece * (size // len(piece)))
        counted.append(steps_of(lambda: list(from_file(tmp_path / "lamp.py"))))
    assert counted[1] <= 2 * counted[0] * LARGE // SMALL


def entry_points_in(text: str) -> object:
    return list(parse_entry_points(text, [GROUP], "lamps", "1", ""))


@pytest.mark.parametrize("piece", ["[a]\n", "a=b\n", "[", "=", " ", "\n", "[plughost.plugins]\n", "#"])
def test_each_byte_of_a_list_of_entry_points_costs_the_same(piece):
    few, many = (
        steps_of(partial(entry_points_in, piece * (size // len(piece))), ValueError)
        for size in (SMALL, LARGE)
    )
    assert many <= 2 * few * LARGE // SMALL
