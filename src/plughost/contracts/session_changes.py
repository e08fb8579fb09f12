"""What a birth, a change and a use do to a stored session: pure, and the same for every store.

For authors of stores: inside the one step that a call is, read the row, put it through one of these, write what
comes out. A store that changes rows in a language of its own, as the Redis store does in Lua, does the same there.
"""

from __future__ import annotations

from msgspec.structs import replace

from plughost.contracts.session_store import NewSession, SessionPatch, StoredSession, VersionConflict
from plughost.exceptions import SessionDataError


def born_session(
    new: NewSession, now: float, epoch: int, instead_of: StoredSession | None = None
) -> StoredSession:
    """Return the session as it is first stored; in the place of another it may keep that one's limit."""
    if new.absolute is None and instead_of is not None:
        created, deadline = instead_of.created_at, instead_of.deadline
    else:
        created, deadline = now, now + (new.idle if new.absolute is None else new.absolute)
    return StoredSession(
        digest=new.digest,
        handle=new.handle,
        subject=new.subject,
        epoch=epoch,
        version=1,
        created_at=created,
        touched_at=now,
        idle=new.idle,
        deadline=deadline,
        expires_at=min(now + new.idle, deadline),
        about=new.about,
        fields=new.fields,
    )


def patched_session(row: StoredSession, patch: SessionPatch, now: float) -> StoredSession:
    """Return the session after a change, merged key by key.

    Raises:
        VersionConflict: The patch was made for another version.
        SessionDataError: It would become too large.
    """
    if patch.version is not None and patch.version != row.version:
        raise VersionConflict
    fields = dict(row.fields)
    for name in patch.remove:
        fields.pop(name, None)
    fields.update(patch.set)
    about = row.about if patch.about is None else patch.about
    check_session_size(about, fields, patch.max_bytes)
    expires_at = row.expires_at
    if patch.idle is not None:
        expires_at = min(max(expires_at, now + patch.idle), row.deadline)
    version = row.version + bool(patch.set or patch.remove)
    return replace(row, fields=fields, about=about, expires_at=expires_at, version=version)


def touched_session(row: StoredSession, now: float) -> StoredSession:
    """Return the session after a use: its idle clock starts again, its deadline stays."""
    later = min(max(row.expires_at, now + row.idle), row.deadline)
    return replace(row, touched_at=max(row.touched_at, now), expires_at=later)


def check_session_size(about: bytes, fields: dict[str, bytes], limit: int) -> None:
    """Refuse a session of more than ``limit`` bytes, names included.

    Raises:
        SessionDataError: It is larger.
    """
    size = len(about) + len("".join(fields).encode()) + sum(map(len, fields.values()))
    if size > limit:
        raise session_too_large(size, limit)


def session_too_large(size: int, limit: int) -> SessionDataError:
    """Return the refusal of a session that would take more than it may."""
    return SessionDataError(
        f"the session would take {size} bytes, {limit} are allowed: keep large things in the database or"
        " the cache and only their keys in the session, or raise max_bytes"
    )
