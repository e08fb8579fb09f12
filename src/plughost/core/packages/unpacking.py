"""A wheel or zip file becomes a folder that can be imported from: safely, once, and again if it was touched."""

from __future__ import annotations

import lzma
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from plughost._dataclasses import dataclass
from plughost.contracts.files import own_folder
from plughost.exceptions import PluginSourceError

_ENTRY_POINTS = "entry_points.txt"
_LARGEST_ENTRY_POINTS = 1 << 20  # bytes; a file of it is a few lines
_MOST_PARTS = 64  # of one path; each is a folder to be made, and a long path can have thousands

UNREADABLE = (
    zipfile.BadZipFile,
    OSError,
    EOFError,
    NotImplementedError,  # a member's compression is unknown
    RuntimeError,  # a member is encrypted
    ValueError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
)
"""What reading a broken archive may raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpackLimits:
    """How large what is unpacked may be.

    Attributes:
        files: Number of files.
        size: Bytes of all files together, unpacked.
    """

    files: int = 10_000
    size: int = 256 * 1024 * 1024


DEFAULT_LIMITS = UnpackLimits()
"""Room for any plugin; a bomb meets them early."""


def unpack(plugin: str, archive: Path, target: Path, limits: UnpackLimits = DEFAULT_LIMITS) -> Path:
    """Return ``target`` with the contents of ``archive``, which was checked before.

    What is there already is compared with the archive byte for byte and made again when anything differs.
    Entry points of a wheel are left in it: they are read from there, and the unpacked folder, which comes to
    stand on the import path, shall not look like an installed distribution to every other host of the process.

    Raises:
        PluginSourceError: It is not a zip file, holds a path that leads outside, or is too large.
    """
    try:
        with zipfile.ZipFile(archive) as package:
            members = list(_members(plugin, package, limits))
            if not _is_same(package, members, target):
                _replace(package, members, target)
    except UNREADABLE as error:
        raise PluginSourceError(
            f"plugin {plugin!r}: {archive} cannot be unpacked: {error}. It must be a wheel or a plain zip file",
            plugin=plugin,
        ) from error
    return target


def read_entry_points(archive: Path) -> tuple[str, str] | None:
    """Return the name of a wheel's ``.dist-info`` and its entry points; None when the archive is not a wheel."""
    with zipfile.ZipFile(archive) as package:
        for name in package.namelist():
            path = PurePosixPath(name)
            if path.name == _ENTRY_POINTS and len(path.parts) == 2 and path.parts[0].endswith(".dist-info"):
                with package.open(name) as member:
                    text = member.read(_LARGEST_ENTRY_POINTS + 1)
                if len(text) > _LARGEST_ENTRY_POINTS:
                    raise ValueError(f"{name} is larger than {_LARGEST_ENTRY_POINTS} bytes")
                return path.parts[0], text.decode("utf-8-sig", "replace")
        tops = {part for name in package.namelist() for part in PurePosixPath(name).parts[:1]}
    info = next((top for top in tops if top.endswith(".dist-info")), None)
    return None if info is None else (info, "")


def _members(plugin: str, package: zipfile.ZipFile, limits: UnpackLimits) -> Iterator[zipfile.ZipInfo]:
    """Yield what is to be unpacked; the sizes a member claims are held to while it is read."""
    members = [one for one in package.infolist() if not one.filename or not one.is_dir()]
    size = sum(one.file_size for one in members)
    if len(members) > limits.files or size > limits.size:
        raise PluginSourceError(
            f"plugin {plugin!r}: {package.filename} unpacks to {len(members)} files of {size} bytes together; at "
            f"most {limits.files} files and {limits.size} bytes are taken",
            plugin=plugin,
        )
    for member in members:
        path = PurePosixPath(member.filename)
        mode = member.external_attr >> 16
        is_odd = bool(mode) and not stat.S_ISREG(mode) and stat.S_IFMT(mode) != 0
        is_outside = path.is_absolute() or ".." in path.parts or "\\" in member.filename
        if not path.parts or len(path.parts) > _MOST_PARTS or is_outside or ":" in path.parts[0] or is_odd:
            raise PluginSourceError(
                f"plugin {plugin!r}: {package.filename} holds {member.filename!r}, which leads outside, is deeper than "
                f"{_MOST_PARTS} folders, or is not a plain file. The package is not used; do not trust whoever made it",
                plugin=plugin,
            )
        if not (member.filename.endswith(f".dist-info/{_ENTRY_POINTS}") and member.filename.count("/") == 1):
            yield member


def _is_same(package: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path) -> bool:
    if not target.is_dir() or target.is_symlink():
        return False
    # Compiled code beside the source would be run in its place, and whoever wrote it need not be Python.
    for cache in [*target.rglob("__pycache__")]:
        shutil.rmtree(cache, ignore_errors=True)
    there = {
        path.relative_to(target).as_posix()
        for path in target.rglob("*")
        if path.is_symlink() or not path.is_dir()  # a link to a folder holds other code
    }
    if there != {PurePosixPath(one.filename).as_posix() for one in members}:
        return False
    paths = [(one, target / one.filename) for one in members]
    return all(not path.is_symlink() and path.read_bytes() == _contents(package, one) for one, path in paths)


def _contents(package: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with package.open(member) as source:
        # Not all there is: that unpacks what a liar holds, and only then throws away what it had not claimed.
        return source.read(member.file_size)


def _replace(package: zipfile.ZipFile, members: list[zipfile.ZipInfo], target: Path) -> None:
    own_folder(target.parent)
    fresh = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        for member in members:
            path = fresh / member.filename
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(_contents(package, member))
        if target.exists() or target.is_symlink():
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink()
        fresh.rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
