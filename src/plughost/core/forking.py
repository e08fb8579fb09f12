"""A fork waits until no host is starting in another thread.

A module that is being imported is locked for all threads but one. A process that is forked meanwhile has the lock and
not the thread, so whatever imports that module there would wait for ever: CPython gives a forked process the lock of
its import system anew, but not those of single modules.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from plughost.exceptions import HostNotReadyError

_LONGEST = 10.0
"""Seconds a fork waits at most: a start that hangs must not hold a server up."""

_in_a_start: ContextVar[bool] = ContextVar("in the midst of a host's start", default=False)
_changed = threading.Condition()
_under_way = 0


@contextmanager
def no_forks() -> Iterator[None]:
    """While a host is made or starts: other threads that fork wait for the end of this.

    What the start itself does, in its own thread or in threads that it waits for, may fork.
    """
    global _under_way
    with _changed:
        _under_way += 1
    before = _in_a_start.set(True)
    try:
        yield
    finally:
        _in_a_start.reset(before)
        with _changed:
            _under_way -= 1
            _changed.notify_all()


def refuse_forked(process: int, host: str = "the host") -> None:
    """Refuse what needs the threads of a host that started in another process than this one.

    Raises:
        HostNotReadyError: This process was forked from that one.
    """
    if process != os.getpid():
        raise HostNotReadyError(
            f"{host} was started before this process was forked, and threads do not survive that: start it in each"
            " process (`plughost.adapters.threads.HostOfProcess` does)"
        )


def _before_a_fork() -> None:
    _changed.acquire()  # until the fork is done, so that nothing starts meanwhile
    if not _in_a_start.get():
        _changed.wait_for(lambda: _under_way == 0, _LONGEST)


def _in_the_child() -> None:
    global _changed, _under_way
    _changed, _under_way = threading.Condition(), 0


if hasattr(os, "register_at_fork"):  # not where processes cannot fork
    os.register_at_fork(
        before=_before_a_fork, after_in_parent=lambda: _changed.release(), after_in_child=_in_the_child
    )
