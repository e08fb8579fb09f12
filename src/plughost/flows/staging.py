"""The folder in which one backup is put together; it goes with the backup, even that of a killed process."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

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
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def remove_abandoned(parent: Path) -> None:
    """Remove the staging folders of processes that are gone."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
