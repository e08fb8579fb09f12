"""Copies of what a host follows, for a start without the store."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import anyio.to_thread

from plughost.contracts import replace_file


class CopyOnDisk:
    """A file with the last document of a kind that was followed. Reads and writes in a thread: a disk is slow.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        """Return the document.

        Raises:
            FileNotFoundError: Nothing was followed yet.
        """
        return await anyio.to_thread.run_sync(self._path.read_bytes)

    async def keep(self, document: bytes) -> None:
        """Keep a document instead of the one before, so that it outlives a power cut."""
        await anyio.to_thread.run_sync(partial(replace_file, self._path, document, durable=True))
