# ruff: noqa: S608 - every part of the statement is a constant; values are bound
"""A change of a session that is still as its maker read it: one statement that compares and sets.

Where anything moved meanwhile it changes nothing, and the change is merged into what is stored as any other.
"""

from __future__ import annotations

import sqlite3

import msgspec

from plughost.contracts import SessionPatch, StoredSession, patched_session
from plughost.exceptions import SessionDataError
from plughost.plugins.sessions.stores.schema import ALIVE

# All that can change under a digest is compared; the fields by the version, which grows with each change of them.
_COMPARE_AND_SET = (
    "UPDATE sessions SET version = ?, fields = ? WHERE digest = ? AND version = ? AND epoch = ?"
    f" AND touched_at = ? AND expires_at = ? AND about = ? AND {ALIVE}"
)
_encode_fields = msgspec.msgpack.Encoder().encode


def patch_unmoved(
    connection: sqlite3.Connection, digest: bytes, patch: SessionPatch, now: float
) -> StoredSession | None:
    """Return the session as it is after the change; None when that is not to be had in this way."""
    base = patch.base
    if base is None or base.digest != digest or base.successor_of is not None:
        return None
    if patch.version is not None or patch.about is not None or patch.idle is not None:
        return None
    try:
        row = patched_session(base, patch, now)
    except SessionDataError:
        return None  # it may be smaller by now
    found = connection.execute(
        _COMPARE_AND_SET,
        (row.version, _encode_fields(row.fields), digest, base.version, base.epoch, base.touched_at,
         base.expires_at, base.about, now),
    )  # fmt: skip
    return row if found.rowcount == 1 else None
