"""Looking at a plugin's process from another one than its host's: what ``plughost stack`` and ``info`` do.

The host is not disturbed: figures come from the kernel. To learn where a process stands, the page that it shares with
its host is opened through ``/proc``, and the process is signalled to write its stacks there.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from plughost._dataclasses import dataclass
from plughost.core.processes.figures import FigureReader, Figures, catches
from plughost.core.wire.page import FlightReader, page_name

_PATIENCE: Final = 1.0
_LOOK_AGAIN: Final = 0.02


@dataclass(frozen=True, slots=True)
class Stack:
    """Where a process stood.

    Attributes:
        pid: Its number.
        text: Its stacks, for people; empty when it did not write them down in time, as one that is stopped.
        is_cut: Whether there was no room for all of them.
    """

    pid: int
    text: str
    is_cut: bool


def stacks_of(host: int, plugin: str) -> list[Stack]:
    """Return where the processes of a plugin stand; several while it is being reloaded, none when it has none.

    Args:
        host: Number of the host's process.
        plugin: Name of the plugin.

    Raises:
        PermissionError: The host belongs to somebody else.
    """
    return [_ask(pid, page) for pid, page in _processes(host, plugin)]


def figures_of(host: int, plugin: str) -> dict[int, Figures]:
    """Return what the kernel tells of the processes of a plugin now, by their numbers.

    Args:
        host: Number of the host's process.
        plugin: Name of the plugin.

    Raises:
        PermissionError: The host belongs to somebody else.
    """
    found: dict[int, Figures] = {}
    for pid, _ in _processes(host, plugin):
        reader = FigureReader(pid)
        figures = reader.read(time.monotonic())
        reader.close()
        if figures is not None:
            found[pid] = figures
    return found


def _processes(host: int, plugin: str) -> Iterator[tuple[int, FlightReader]]:
    """Yield number and page of each process of a plugin once; the page is closed when the next one is asked for."""
    found: set[int] = set()
    for page in _pages(host, plugin):
        try:
            pid = page.owner()
            if pid not in found and _is_below(pid, host):
                found.add(pid)
                yield pid, page
        finally:
            page.close()


def _pages(host: int, plugin: str) -> Iterator[FlightReader]:
    name = f"/memfd:{page_name(plugin)} (deleted)"
    for entry in Path(f"/proc/{host}/fd").iterdir():
        with suppress(FileNotFoundError):
            if os.readlink(entry) == name:  # noqa: PTH115  a link of /proc leads nowhere
                yield FlightReader(os.open(entry, os.O_RDONLY | os.O_CLOEXEC))


def _is_below(pid: int, host: int) -> bool:
    """Whether the host's template began it: what a page says of itself is a stranger's word."""
    with suppress(OSError, ValueError, IndexError):
        return _parent(_parent(pid)) == host
    return False


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _ask(pid: int, page: FlightReader) -> Stack:
    before = page.stacks()
    with suppress(ProcessLookupError):
        stands_for = os.pidfd_open(pid)
        try:
            if catches(pid, signal.SIGUSR1):  # else it would be killed by the question
                signal.pidfd_send_signal(stands_for, signal.SIGUSR1)
        finally:
            os.close(stands_for)
    end, written, last = time.monotonic() + _PATIENCE, "", ""
    # A line is written in pieces, and the writer may lose its turn between two of them.
    while time.monotonic() < end and not (written and written == last and written.endswith("\n")):
        time.sleep(_LOOK_AGAIN)
        last, written = written, page.since(before)
    return Stack(pid, written, is_cut=page.is_full)
