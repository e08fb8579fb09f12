"""Let a process of another user read what a test made, which lies in folders of the super-user."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable_by_others(folder: Path) -> Iterator[None]:
    """Open ``folder`` and those around it to all users for the block."""
    modes = [(place, place.stat().st_mode) for place in (folder, *folder.parents)]
    closed = [(place, mode) for place, mode in modes if not mode & 1]
    for place, mode in closed:
        place.chmod(mode | 0o055)
    try:
        yield
    finally:
        for place, mode in closed:
            place.chmod(mode)
