"""Which files of some folders were saved: told by the system where `watchfiles` is installed, else looked for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

import anyio

from plughost.core.packages.digests import files_of

_INTERVAL = 0.4
"""Seconds from one look to the next."""

_PATIENCE = 200
"""Milliseconds after which a watcher that heard nothing sees whether it shall go on."""


async def saved_files(
    folders: Sequence[Path], *, interval: float | None = None
) -> AsyncGenerator[set[Path], None]:
    """Yield the files that were saved, added or removed, each time there are some; a folder may be a single file too.

    What Python and common tools write beside the code is left out. Close it (``contextlib.aclosing``) when done.
    """
    before = _state(folders)
    async with aclosing(_times_to_look(folders, interval or _INTERVAL)) as times:
        async for _ in times:
            after = _state(folders)
            if changed := {file for file, _ in before.items() ^ after.items()}:
                yield changed
            before = after


async def _times_to_look(folders: Sequence[Path], interval: float) -> AsyncGenerator[None, None]:
    """Yield when the system tells that something happened, or now and then without what can ask it."""
    # It watches a file, not a name, and many editors put another file in the place of the one that is saved.
    if find_spec("watchfiles") and all(folder.is_dir() for folder in folders):
        from watchfiles import awatch

        # Its thread looks up only so often whether it shall end.
        async with aclosing(awatch(*folders, step=50, debounce=200, rust_timeout=_PATIENCE)) as told:
            async for _ in told:
                yield
        return
    while True:
        await anyio.sleep(interval)
        yield


def _state(folders: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    found: dict[Path, tuple[int, int]] = {}
    for folder in folders:
        for file in files_of(folder) if folder.is_dir() else [folder]:
            try:
                status = file.stat()
            except OSError:
                continue  # gone between listing and looking, as editors do when they save
            found[file] = (status.st_mtime_ns, status.st_size)
    return found
