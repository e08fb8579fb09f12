"""Whether a host runs on a data folder: for commands that must not work behind its back."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "running.lock"


@dataclass(frozen=True, slots=True)
class RunningHost:
    """A host that runs now.

    Attributes:
        pid: Process that wrote last; of several that serve together, one of them. 0 when it cannot be told.
        since: When that started, in seconds since the epoch.
    """

    pid: int
    since: float


@contextmanager
def marked_as_running(data_dir: Path) -> Iterator[None]:
    """Let others see, for the length of the block, that a host runs on this folder; several may do so at once.

    The mark is a shared lock on a file, so it ends with the process, however that ends.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    mark = data_dir / FILE_NAME
    if mark.is_symlink():
        mark.unlink()  # what it leads to would be written over
    number = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_SH)
        os.truncate(number, 0)
        os.pwrite(number, json.dumps({"pid": os.getpid(), "since": time.time()}).encode(), 0)
        yield
    finally:
        os.close(number)


def running_host(data_dir: Path) -> RunningHost | None:
    """Return the host that runs on this folder, or None."""
    try:
        number = os.open(data_dir / FILE_NAME, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        with suppress(BlockingIOError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        with suppress(ValueError, KeyError, TypeError):
            told = json.loads(os.pread(number, 1024, 0))
            return RunningHost(int(told["pid"]), float(told["since"]))
        return RunningHost(0, 0.0)
    finally:
        os.close(number)
