"""What only the host's own process holds: a process that it forks lets go of it.

Plugins' processes end when nobody holds the other end of their leash any more, and a child of the host may outlive it.
"""

from __future__ import annotations

import os
from contextlib import suppress

_held: set[int] = set()


def hold(descriptor: int) -> None:
    """Keep a descriptor from the processes that this one forks."""
    _held.add(descriptor)


def let_go(descriptor: int) -> None:
    """It is about to be closed."""
    _held.discard(descriptor)


def _in_a_child() -> None:
    if not _held:
        return
    with suppress(OSError):
        # Not closed: whoever has them in his hand here closes them once more, and then they may be others.
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in _held:
            os.dup2(null, descriptor, inheritable=False)
        os.close(null)
    _held.clear()


if hasattr(os, "register_at_fork"):  # not where processes cannot fork
    os.register_at_fork(after_in_child=_in_a_child)
