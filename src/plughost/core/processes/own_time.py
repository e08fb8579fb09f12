"""How long a process had to do something: without the time in which it could have gone on and others had the processor.

By the clock on the wall a busy machine would look like a process that hangs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_LONGEST: Final = 100.0
"""So many times as long it is waited for at most: some processes are never given the processor."""


class OwnTime:
    """The time of a process since this was made; it is looked at again and again.

    Args:
        pid: Number of the process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = self._seen = time.monotonic()
        self._used = self._processor_time()
        self._passed = 0.0

    def passed(self) -> float:
        """Return the seconds that it had: those that it used, or in which it waited for something else."""
        now, used = time.monotonic(), self._processor_time()
        passed, self._seen = now - self._seen, now
        progress, self._used = used - self._used, used
        self._passed += min(passed, progress) if self._wants_to_run() else passed
        return max(self._passed, (now - self._began) / _LONGEST)

    def _processor_time(self) -> float:
        try:
            return time.clock_gettime((~self._pid << 3) | 2)  # the clock that Linux keeps for each process
        except OSError:
            return 0.0  # it is gone

    def _wants_to_run(self) -> bool:
        try:
            threads = Path(f"/proc/{self._pid}/task").iterdir()
            told = ((thread / "stat").read_text(errors="replace") for thread in threads)
            return any(stat.rpartition(")")[2].split()[0] == "R" for stat in told)
        except OSError:
            return False
