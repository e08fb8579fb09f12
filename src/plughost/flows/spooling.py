"""Artifacts that are made while they are read become files, because an archive must know sizes before."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import anyio.to_thread

from plughost.contracts.backup import Artifact


async def spool(artifact: Artifact, folder: Path) -> Artifact:
    """Return the artifact with a path; its stream, if that is what it has, is read to the end.

    A plain iterable is read in a worker thread, an async one on the event loop.
    """
    if artifact.stream is None:
        return artifact
    path = folder / f"stream-{uuid4().hex}"
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        source = artifact.stream()
        if isinstance(source, AsyncIterable):
            async for block in source:
                await anyio.to_thread.run_sync(file.write, block)
        else:
            await anyio.to_thread.run_sync(file.writelines, source)
    return replace(artifact, path=path, stream=None)
