"""The time that a process had, as its host counts it before it takes the process for one that hangs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from housed import waits_until
from plughost.core.processes.own_time import OwnTime

SPIN = "print(flush=True)\nwhile True: pass"
SLEEP = "import time; print(flush=True); time.sleep(100)"


@contextmanager
def running(source: str, processors: set[int] | None = None) -> Iterator[int]:
    """A process that runs this, on these processors."""
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as process:
        try:
            if processors is not None:
                os.sched_setaffinity(process.pid, processors)
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


@pytest.mark.parametrize("source", [SPIN, SLEEP])
def test_one_that_runs_or_waits_for_something_has_its_time(source: str) -> None:
    with running(source) as pid:
        own_time = OwnTime(pid)
        assert waits_until(lambda: own_time.passed() > 0.2)


def test_one_that_others_do_not_let_run_has_none_meanwhile() -> None:
    processor = {min(os.sched_getaffinity(0))}
    with running(SPIN, processor) as greedy, running(SPIN, processor) as pid:
        os.setpriority(os.PRIO_PROCESS, greedy, -20 if os.geteuid() == 0 else 0)
        os.setpriority(os.PRIO_PROCESS, pid, 19)
        own_time, began = OwnTime(pid), time.monotonic()
        while time.monotonic() - began < 1.0:
            time.sleep(0.02)
            passed = own_time.passed()
        assert passed < 0.7


def test_one_that_is_gone_has_no_more_patience_spent_on_it() -> None:
    with running(SLEEP) as pid:
        own_time = OwnTime(pid)
    assert waits_until(lambda: own_time.passed() > 0.1)
