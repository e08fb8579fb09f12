"""Which hosts run on a data folder: for commands that must not work behind their back, or that ask them."""

from __future__ import annotations

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from plughost.contracts.files import replace_file
from plughost.contracts.logs import get_logger

_log = get_logger("plughost.running")

_LOCK, _TOLD = ".lock", ".json"


class RunningHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that runs now; each of several processes that serve together is one.

    Attributes:
        pid: Its process.
        since: When it began to read its configuration, in seconds since the epoch.
        admin: Where browsers reach its admin pages; empty when it serves none.
        reload: Process that reads the configuration again at SIGHUP; 0 when none does.
        answered: When it last did so, in seconds since the epoch.
        answer: What came of it, for people.
    """

    pid: int
    since: float = 0.0
    admin: str = ""
    reload: int = 0
    answered: float = 0.0
    answer: str = ""

    @property
    def process(self) -> int:
        """The process that people know: the one that looks after it, where there is one."""
        return self.reload or self.pid

    def follows(self, moment: float) -> bool:
        """Return whether it has read its configuration since ``moment``."""
        return self.since >= moment or self.answered >= moment


class RunningMark:
    """The mark of one running host, which can tell more as it goes on.

    Args:
        lock: The file that is locked while the host runs.
        told: What is told of it from the beginning.
    """

    def __init__(self, lock: Path, told: RunningHost) -> None:
        self._path = lock.with_suffix(_TOLD)
        self._told = told
        self.tell()

    def tell(self, **more: Any) -> None:
        """Add to what commands on this machine can read; see ``RunningHost``.

        Where that cannot be written, the log says so: that a host runs is shown by the lock, and a disk that is full
        must neither keep a host from starting nor end one that is asked to read its configuration again.
        """
        self._told = replace(self._told, **more)
        try:
            replace_file(self._path, msgspec.json.encode(self._told))
        except OSError as error:
            _log.warning("commands cannot be told of this host", path=str(self._path), reason=str(error))


@contextmanager
def marked_as_running(data_dir: Path, **told: Any) -> Iterator[RunningMark]:
    """Let others see, for the length of the block, that a host runs on this folder; several may do so at once.

    The mark is a lock on a file of this process's own, so it ends with the process, however that ends, and no
    host writes over what another one tells.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        lock = data_dir / f"running.{os.getpid()}.{secrets.token_hex(4)}{_LOCK}"
        number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(number, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):  # who looked between the two lines took it for a dead host's
            if os.path.samestat(os.fstat(number), lock.stat()):
                break
        os.close(number)
    try:
        yield RunningMark(lock, RunningHost(**{"pid": os.getpid(), "since": time.time(), **told}))
    finally:
        _remove(lock)
        os.close(number)


def running_hosts(data_dir: Path) -> list[RunningHost]:
    """Return the hosts that run on this folder, the one that can be asked most first."""
    alive: list[RunningHost] = []
    for lock in filter(_is_alive, data_dir.glob(f"running.*{_LOCK}")):
        try:
            alive.append(msgspec.json.decode(lock.with_suffix(_TOLD).read_bytes(), type=RunningHost))
        except (OSError, msgspec.MsgspecError):
            alive.append(RunningHost(pid=int(lock.name.split(".")[1])))
    return sorted(alive, key=lambda host: (not host.admin, not host.reload, -host.since))


def running_host(data_dir: Path) -> RunningHost | None:
    """Return the first of the hosts that run on this folder, or None."""
    return next(iter(running_hosts(data_dir)), None)


def _is_alive(lock: Path) -> bool:
    """Return whether somebody holds the lock; what a process that was killed left behind is removed."""
    try:
        number = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared: two who look do not take each other for it.
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        _remove(lock)
    except BlockingIOError:
        return True
    finally:
        os.close(number)
    return False


def _remove(lock: Path) -> None:
    for path in (lock.with_suffix(_TOLD), lock):
        path.unlink(missing_ok=True)
