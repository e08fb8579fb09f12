"""The folder in which one backup is put together; it goes with the backup, even that of a killed process."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from plughost.contracts.files import own_folder

PREFIX: Final = ".plughost-staging-"
_LOCK: Final = "in-use"


@contextmanager
def staging_folder(parent: Path, name: str) -> Iterator[Path]:
    """Make a folder below ``parent``, and remove it with everything in it at the end. Blocking.

    A killed process leaves its folder behind, so those of processes that are gone are removed first. Alive is
    who holds the lock on a file in it: the kernel gives that back however a process ends.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_abandoned(parent)
    folder = parent / f"{PREFIX}{name}"
    while True:
        own_folder(folder)
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if (folder / _LOCK).exists():
            break
        os.close(descriptor)  # another process took it for abandoned in between
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(parent: Path) -> None:
    """Remove the staging folders of processes that are gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            descriptor = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:
            with suppress(OSError):
                folder.rmdir()  # its process was killed before it could lock; not empty: not ours
            continue
        try:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)
