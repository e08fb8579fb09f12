"""Whether a host runs on a data folder: for commands that must not work behind its back."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

FILE_NAME = "running.lock"
_MOST_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningHost:
    """A host that runs now; of several processes that serve together, the one that wrote last.

    Attributes:
        pid: Its process; 0 when it cannot be told.
        since: When that started, in seconds since the epoch.
        admin: Where browsers reach its admin pages; empty when it serves none.
        reload: Process that reads the configuration again at SIGHUP; 0 when none does.
        answered: When it last did so, in seconds since the epoch.
        answer: What came of it, for people.
    """

    pid: int = 0
    since: float = 0.0
    admin: str = ""
    reload: int = 0
    answered: float = 0.0
    answer: str = ""


class RunningMark:
    """The mark of one running host, which can tell more as it goes on.

    Args:
        number: Descriptor of the file.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._told = RunningHost(pid=os.getpid(), since=time.time())
        self.tell()

    def tell(self, **more: Any) -> None:
        """Add to what commands on this machine can read; see ``RunningHost``."""
        self._told = replace(self._told, **more)
        text = json.dumps(asdict(self._told)).encode()
        os.pwrite(self._number, text, 0)
        os.truncate(self._number, len(text))


@contextmanager
def marked_as_running(data_dir: Path) -> Iterator[RunningMark]:
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
        yield RunningMark(number)
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
        with suppress(msgspec.MsgspecError):
            return msgspec.json.decode(os.pread(number, _MOST_BYTES, 0), type=RunningHost)
        return RunningHost()
    finally:
        os.close(number)
