"""Which of the processes that share a session database writes now: one at a time, in turn.

SQLite can lock its file alone, but whoever finds it locked sleeps and may find it locked again and again. Here
nobody is passed twice: who writes must hold the second of two locks, and only the holder of the first may take
it. That also keeps two connections from writing or checkpointing at the same moment, which can damage a WAL
database before SQLite 3.51.3.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from plughost.contracts import SYSTEM_CLOCK
from plughost.exceptions import StoreUnavailableError

LONGEST_WAIT: Final = 5.0
_PAUSE: Final = 0.0005


class WriterTurns:
    """The turns of one database file; ``with turns:`` is one of them. The kernel ends that of a process that dies.

    Args:
        path: The database file; the lock files lie beside it and stay, because removing one would race.
        longest_wait: Seconds after which a turn is given up; five when None.

    Raises:
        StoreUnavailableError: The lock files cannot be made; or, when a turn begins, another process did not end
            its own in time.
    """

    def __init__(self, path: Path, longest_wait: float | None = None) -> None:
        self._path = path
        self._longest_wait = LONGEST_WAIT if longest_wait is None else longest_wait
        self._descriptors: list[int] = []
        try:
            for ending in ("queue", "lock"):
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._descriptors.append(os.open(f"{path}.{ending}", flags, 0o600))
        except OSError as error:
            self.close()
            raise StoreUnavailableError(f"{path}.{ending} cannot be made: {error.strerror}") from error

    def close(self) -> None:
        """Let the lock files go."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def __enter__(self) -> None:
        deadline = SYSTEM_CLOCK.monotonic() + self._longest_wait
        queue, lock = self._descriptors
        self._take(queue, deadline)
        try:
            self._take(lock, deadline)
        finally:
            fcntl.flock(queue, fcntl.LOCK_UN)
        os.pwrite(lock, b"%-16d\n" % os.getpid(), 0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptors[1], fcntl.LOCK_UN)

    def _take(self, descriptor: int, deadline: float) -> None:
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if SYSTEM_CLOCK.monotonic() >= deadline:
                    holder = (
                        os.pread(self._descriptors[1], 16, 0).decode(errors="replace").strip() or "unknown"
                    )
                    raise StoreUnavailableError(
                        f"process {holder} has held {self._path} for {self._longest_wait:g} s: if it hangs, end"
                        " it; if it is an older plughost, which does not share the file, stop it"
                    ) from None
            time.sleep(_PAUSE)  # in the thread that writes, which has nothing else to do
