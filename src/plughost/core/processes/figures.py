"""What the kernel tells of a process: memory, processor time, threads, open files. Linux only, as the processes are."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from plughost._dataclasses import dataclass

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MOST_BYTES: Final = 1024
# Places in /proc/PID/stat behind the name of the program.
_FLAGS, _EXITING = 6, 0x4
_USER, _SYSTEM, _THREADS, _RESIDENT = 11, 12, 17, 21


@dataclass(frozen=True, slots=True)
class Figures:
    """A process at one moment.

    Attributes:
        at: When, on the host's monotonic clock.
        memory: Bytes of memory it uses.
        cpu_seconds: Seconds of processor time it has used.
        threads: How many threads it has.
        files: How many files it has open; None where that may not be asked.
    """

    at: float
    memory: int
    cpu_seconds: float
    threads: int
    files: int | None

    def share_since(self, before: Figures | None) -> float | None:
        """Return how many processors it used since then; None when there is nothing before."""
        if before is None or self.at <= before.at:
            return None
        return (self.cpu_seconds - before.cpu_seconds) / (self.at - before.at)


class FigureReader:
    """Reads the figures of one process; the file is kept open, so they are never those of another one.

    Args:
        pid: Its number.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._stat = -1
        with suppress(FileNotFoundError):  # it has ended, and was buried, before it was looked at
            self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)

    def read(self, at: float) -> Figures | None:
        """Return its figures now; None when it is gone."""
        try:
            fields = os.pread(self._stat, _MOST_BYTES, 0).rpartition(b")")[2].split()
        except OSError:
            return None
        if len(fields) <= _RESIDENT:
            return None
        files = None
        with suppress(OSError):
            files = len(os.listdir(f"/proc/{self._pid}/fd"))  # noqa: PTH208  only their number is wanted
        return Figures(
            at=at,
            memory=int(fields[_RESIDENT]) * _PAGE,
            cpu_seconds=(int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS,
            threads=int(fields[_THREADS]),
            files=files,
        )

    def is_ending(self) -> bool:
        """Whether it has begun to end, or is gone; also where the kernel does not tell."""
        try:
            fields = os.pread(self._stat, _MOST_BYTES, 0).rpartition(b")")[2].split()
        except OSError:
            return True
        return len(fields) <= _FLAGS or bool(int(fields[_FLAGS]) & _EXITING)

    def close(self) -> None:
        """Let go of the process."""
        if self._stat >= 0:
            os.close(self._stat)


def threads_here() -> int:
    """Return how many threads this process has; one where the kernel does not tell."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else 1


def catches(pid: int, number: int) -> bool:
    """Whether a process does something of its own on a signal; also where the kernel does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(errors="replace")
    except OSError:
        return True
    caught = next((line for line in status.splitlines() if line.startswith("SigCgt:")), "SigCgt: 0")
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)
