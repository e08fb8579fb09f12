"""Putting a file in the place of another in one step: a reader sees the old one or the new one, never a half."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import tempfile
from pathlib import Path
from urllib.parse import quote

_DRAFT = ".draft"
_MODE_OF_A_NEW_FILE = 0o600  # it may come to hold what is nobody else's business


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def lacks_room(error: OSError) -> bool:
    """Whether something could not be written for want of room: on a disk, in a quota, or of what a file may have."""
    return error.errno in _FULL


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Write ``data`` beside ``path``, then put it in its place; its folder must be there.

    The file keeps its mode and, where that is allowed, its owner; a new one is its owner's alone. What a process that
    was killed had only begun to write beside it is removed by the next that writes.

    Args:
        path: The file; a symbolic link is replaced, not followed.
        data: All it holds afterwards.
        durable: Whether it must survive a power failure: it is then synced, and its folder too.

    Raises:
        OSError: It cannot be written; the file is as it was before.
    """
    descriptor, draft = _new_draft(path)
    try:
        with os.fdopen(descriptor, "wb") as written:
            _copy_permissions(path, written.fileno())
            written.write(data)
            written.flush()
            if durable:
                os.fsync(written.fileno())
            draft.replace(path)  # before it is closed: with that the lock is gone
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a disk that is full does not say whose file had no room
        raise
    # What processes that were killed began to write goes too: the kernel has given back their locks.
    begin, end = f".{path.name}.", _DRAFT
    beside = [each for each in os.listdir(path.parent) if each.startswith(begin) and each.endswith(end)]  # noqa: PTH208
    for left in [each for each in beside if re.fullmatch(r"[a-z0-9_]{8}", each[len(begin) : -len(end)])]:
        with contextlib.suppress(OSError):  # somebody writes it, or removed it
            descriptor = os.open(path.parent / left, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (path.parent / left).unlink()
            finally:
                os.close(descriptor)
    if durable:
        sync_to_disk(path.parent)


def _new_draft(path: Path) -> tuple[int, Path]:
    """Make a file to write to, locked for as long as it is open, so that others see that somebody writes it."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_DRAFT, dir=path.parent)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody removes it either
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return descriptor, Path(name)
        os.close(descriptor)  # it was taken for left behind before it was locked


def sync_to_disk(path: Path) -> None:
    """Return when a file, or the names in a folder, would survive a power failure.

    Raises:
        OSError: It cannot be opened or written.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_OF_THE_HOST = frozenset({"apps", "backups", ".packages"})
"""Folders that a host has beside those of its plugins."""


def folder_named(parent: Path, name: str) -> Path:
    """Return the folder in ``parent`` that belongs to ``name``: right in it whatever the name is, and no other name's.

    What would lead elsewhere is quoted as in a URL, and a name that the host has there itself is given a sign that is
    quoted in all other names. Plugins of other programs have names of all kinds.
    """
    if name.lower() in _OF_THE_HOST:
        return parent / f"%{name}"
    plain = name.strip(".") and not any(sign in name for sign in "/\\\0%")
    return parent / (
        name if plain else quote(name, safe="", errors="surrogatepass").replace(".", "%2E") or "%"
    )


def own_folder(folder: Path) -> Path:
    """Make a folder, unless it is there, that leads nowhere else and that nobody else may write to; return it.

    Folders above it may be links: where all data is to lie is the deployer's to choose.

    Raises:
        OSError: It is a symbolic link, or no folder; or it cannot be made.
    """
    if folder.is_symlink():
        raise PermissionError(
            f"{folder} is a symbolic link, and whoever made it chooses what is read and written there: put a folder in "
            f"its place, or mount one"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & 0o002:
        folder.chmod(mode & ~0o002)
    return folder


def own_secret(path: Path) -> Path:
    """Make a file with a secret, unless it is there: once, whole, and readable by nobody else; return it.

    Processes that do so at the same moment come to the same secret.

    Raises:
        OSError: It is a symbolic link, or cannot be made.
    """
    if path.is_symlink():
        raise PermissionError(
            f"{path} is a symbolic link, and whoever made it knows the secret: remove it, or name the file that it"
            " leads to as secret_file"
        )
    if path.exists():
        return path
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    replace_file(draft, f"{secrets.token_urlsafe(48)}\n".encode(), durable=True)
    try:
        with contextlib.suppress(FileExistsError):  # another process was first; then its secret counts
            os.link(draft, path)
    finally:
        draft.unlink()
    sync_to_disk(path.parent)
    return path


def close_to_others(path: Path, *, make: bool) -> None:
    """See to it that a file which decides over access is its owner's alone: neither a link nor open to others.

    Args:
        path: The file. A mode that lets others read or write it is taken back.
        make: Whether to make it when it is not there.

    Raises:
        OSError: It is a symbolic link, no plain file, or belongs to somebody else; or it cannot be opened.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_CREAT if make else 0)
    try:
        descriptor = os.open(path, flags, _MODE_OF_A_NEW_FILE)
    except FileNotFoundError:
        if make:
            raise
        return
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise PermissionError("it is a symbolic link: somebody else could choose what is read") from error
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
            raise PermissionError("it is not a file of its own: something else, or linked from elsewhere")
        if found.st_uid not in (os.geteuid(), 0):
            raise PermissionError("it belongs to somebody else, who could write to it")
        if found.st_mode & 0o077:
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & 0o700)
    finally:
        os.close(descriptor)


def _copy_permissions(path: Path, descriptor: int) -> None:
    try:
        known = path.lstat()
    except FileNotFoundError:
        os.fchmod(descriptor, _MODE_OF_A_NEW_FILE)
        return
    with contextlib.suppress(PermissionError):  # not ours to give away: then it is ours now
        os.fchown(descriptor, known.st_uid, known.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(known.st_mode))
