"""Sessions move from one store to another: in a running process, or over a restart.

Clocks are never started again, what is over stays behind, and a session that is already in the new store is left
alone. A move that was interrupted can simply be done again.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from plughost.contracts import (
    MovableStore,
    SessionPatch,
    SessionStore,
    StoredSession,
    get_logger,
    replace_file,
)
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.rows import RowCodec

_BATCH: Final = 500
_HEADER: Final = b"plughost sessions 1\n"

_log = get_logger("plughost.sessions")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[StoredSession]).decode


async def move(source: MovableStore, target: MovableStore) -> int:
    """Copy every living session into ``target``, batch by batch; return how many it had not known."""
    moved, cursor = 0, None
    while True:
        rows, cursor = await source.page(cursor, _BATCH)
        moved += await target.adopt(rows)
        if cursor is None:
            return moved


async def leave_behind(source: MovableStore, path: Path) -> int:
    """Write every living session into a file for the next start, readable by nobody else; return how many."""
    rows: list[StoredSession] = []
    cursor: str | None = None
    while True:
        page, cursor = await source.page(cursor, _BATCH)
        rows += page
        if cursor is None:
            break
    if rows:
        replace_file(path, _HEADER + _encode(rows), durable=True)
    return len(rows)


async def pick_up(path: Path, target: MovableStore) -> int:
    """Take over the sessions a process left behind, then remove its file; return how many there were.

    Of several processes that start at once the one that locks the file does it: whoever came later could bring back
    what ended since. Nobody is served by this one before it is done. A file that cannot be read is kept aside.
    """
    file = _claim(path)
    if file is None:
        return 0
    with file:
        rows, taken = _decoded(file.read(), path), 0
        for begin in range(0, len(rows), _BATCH):
            taken += await target.adopt(rows[begin : begin + _BATCH])
        _remove(path)
    _log.info("sessions of the last run were taken over", sessions=taken)
    return taken


async def reseal(store: SessionStore, codec: RowCodec, max_bytes: int) -> int:
    """Close with the newest key whatever is closed otherwise; return how many sessions that were.

    Raises:
        SessionUnreadableError: A session cannot be opened; it is left as it is.
        StoreUnavailableError: The store cannot go through its sessions.
    """
    if not isinstance(store, MovableStore):
        raise StoreUnavailableError(
            f"the session store {store.name!r} cannot go through its sessions: keep the older secrets until "
            f"the sessions that are sealed with them have ended"
        )
    changed, cursor = 0, None
    while True:
        rows, cursor = await store.page(cursor, _BATCH)
        for row in rows:
            if not codec.is_current(row):
                about, fields = codec.close_again(row, row)
                patch = SessionPatch(set=fields, about=about, version=row.version, max_bytes=max_bytes)
                changed += await store.patch(row.digest, patch) is not None
        if cursor is None:
            return changed


def _claim(path: Path) -> BinaryIO | None:
    """Open the file for this process alone; None when there is none, or another process has it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(path.stat(), os.fstat(file.fileno())):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass  # the other process has it now, or was done with it a moment ago
    file.close()
    return None


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _decoded(content: bytes, path: Path) -> list[StoredSession]:
    try:
        if not content.startswith(_HEADER):
            raise msgspec.DecodeError("the header is not ours")
        return _decode(content[len(_HEADER) :])
    except msgspec.MsgspecError:
        path.rename(path.with_suffix(".damaged"))
        _log.error("sessions of the last run could not be read, their file is kept", path=str(path))
        return []
