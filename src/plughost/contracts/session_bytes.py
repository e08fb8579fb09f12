"""A session store out of three methods over bytes: what sessions need besides is made here, by compare and set.

A session is one value, a subject another: its epoch and the digests of its sessions. Every change reads a value and
commits the next one in its place, again when somebody else was faster. Where two values change, what is left behind by
a process that dies between them is a session whose id nobody knows.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from plughost._dataclasses import dataclass
from plughost.contracts.bytes_store import BytesStore, OpenedStore
from plughost.contracts.session_changes import born_session, patched_session, touched_session
from plughost.contracts.session_store import (
    NewSession,
    ReplacedSession,
    SessionPatch,
    StoredSession,
    VersionConflict,
)
from plughost.exceptions import SessionUnreadableError, StoreUnavailableError

_ATTEMPTS = 100


class _Successor(msgspec.Struct, frozen=True, tag=True):
    """What is under a digest that was replaced with a grace."""

    digest: bytes
    graceful_until: float


class _Living(msgspec.Struct, frozen=True, tag=True):
    row: StoredSession


class _SubjectRecord(msgspec.Struct, frozen=True):
    """A subject: its epoch, its sessions with their deadlines, and those of earlier epochs that were spared.

    The first epoch is random: should the store lose a subject, its sessions are over rather than back.
    """

    epoch: int
    deadlines: dict[bytes, float] = {}
    spared: dict[bytes, int] = {}

    def admits(self, row: StoredSession) -> bool:
        return row.epoch in (self.epoch, self.spared.get(row.digest))


_encode = msgspec.msgpack.Encoder().encode
_session = msgspec.msgpack.Decoder(_Living | _Successor)
_subject = msgspec.msgpack.Decoder(_SubjectRecord)
T = TypeVar("T")


def _decoded(decoder: msgspec.msgpack.Decoder[T], raw: bytes) -> T:
    try:
        return decoder.decode(raw)
    except msgspec.MsgspecError as error:
        message = "a stored session is damaged: its bytes were not written by plughost. It is kept"
        raise SessionUnreadableError(message) from error


@dataclass(frozen=True, slots=True)
class _Reached:
    """A living session, the bytes it was read from, and how the digest that was asked for leads to it."""

    row: StoredSession
    raw: bytes
    graceful: bool
    direct: bool


class BytesSessions:
    """A ``SessionStore`` over a ``BytesStore``, without what only a store that sees all of its sessions can offer.

    Args:
        store: The three methods.
        now: Returns the time in seconds since 1970; it never goes back.
        name: Name in reports; that of its class where it has no ``name``.
    """

    def __init__(self, store: BytesStore, now: Callable[[], float], name: str = "") -> None:
        self._store = store
        self._now = now
        self.name = name or str(getattr(store, "name", type(store).__name__))

    async def open(self) -> None:
        """Open the store, if it has to be opened."""
        if isinstance(self._store, OpenedStore):
            await self._store.open()

    async def close(self) -> None:
        """Close it."""
        if isinstance(self._store, OpenedStore):
            await self._store.close()

    async def create(self, new: NewSession) -> StoredSession | None:
        """Store a new session, its subject's record first: one that names a session that never came does no harm."""
        row = born_session(new, self._now(), 0)
        row = replace(row, epoch=await self._join(row))
        return row if await self._put(row, None) else None

    async def read(self, digest: bytes) -> StoredSession | ReplacedSession | None:
        """Return the session if it is alive."""
        found = await self._look(digest)
        if found is None or found.direct:
            return None if found is None else found.row
        if not found.graceful:
            return ReplacedSession(successor=found.row.digest)
        return replace(found.row, successor_of=digest)

    async def patch(self, digest: bytes, patch: SessionPatch) -> StoredSession | None:
        """Merge a change into a living session."""
        for _ in range(_ATTEMPTS):
            found = await self._look(digest)
            if found is None or not found.graceful:
                return None
            row = patched_session(found.row, patch, self._now())
            if await self._put(row, found.raw):
                return row if found.direct else replace(row, successor_of=digest)
        raise _too_busy()

    async def touch(self, digest: bytes) -> None:
        """Note that it is used now; a replaced digest keeps nothing alive."""
        for _ in range(_ATTEMPTS):
            found = await self._look(digest)
            if found is None or not found.direct:
                return
            if await self._put(touched_session(found.row, self._now()), found.raw):
                return
        raise _too_busy()

    async def replace(
        self, digest: bytes, new: NewSession, *, version: int, grace: float
    ) -> StoredSession | None:
        """Put a new session in the place of a living one: the step that counts is the one that ends the old one."""
        for _ in range(_ATTEMPTS):
            found = await self._look(digest)
            if found is None or not found.direct:
                return None
            if found.row.version != version:
                raise VersionConflict
            row = born_session(new, self._now(), 0, found.row)
            row = replace(row, epoch=await self._join(row))
            if not await self._put(row, None):
                return None
            key, until = _key(found.row.digest), self._now() + grace
            if grace > 0:
                successor = _encode(_Successor(row.digest, until))
                is_ended = await self._store.commit(key, successor, found.raw, found.row.deadline)
            else:
                is_ended = await self._store.delete(key, found.raw)
            if is_ended:
                await self._leave(found.row)
                return row
            await self._store.delete(_key(row.digest), _encode(_Living(row)))
        raise _too_busy()

    async def delete(self, digest: bytes) -> StoredSession | None:
        """End a session; a replaced digest ends its successor."""
        for _ in range(_ATTEMPTS):
            found = await self._look(digest)
            if found is None:
                return None
            if await self._store.delete(_key(found.row.digest), found.raw):
                await self._leave(found.row)
                return found.row
        raise _too_busy()

    async def end_subject(self, subject: str, keep: bytes | None = None) -> int:
        """End all sessions of a subject but one: one step, after a look at each of them."""
        for _ in range(_ATTEMPTS):
            raw, known = await self._subject(subject)
            if known is None:
                return 0
            kept = await self._look(keep) if keep is not None else None
            rows = {row.digest: row for row in await self._living_of(subject, known)}
            mine = kept.row.digest if kept is not None and kept.graceful else None
            spared = {digest: row for digest, row in rows.items() if digest == mine}
            after = _SubjectRecord(
                known.epoch + 1,
                {digest: known.deadlines[digest] for digest in spared},
                {digest: row.epoch for digest, row in spared.items()},
            )
            until = max(known.deadlines.values(), default=self._now())
            if await self._store.commit(_subject_key(subject), _encode(after), raw, until):
                return len(rows) - len(spared)
        raise _too_busy()

    async def list_subject(self, subject: str, limit: int | None = None) -> list[StoredSession]:
        """Return the living sessions of a subject, newest first."""
        _, known = await self._subject(subject)
        rows = [] if known is None else await self._living_of(subject, known)
        return sorted(rows, key=lambda row: (-row.created_at, row.digest))[:limit]

    async def _look(self, digest: bytes) -> _Reached | None:
        """Follow a digest to the living session at its end."""
        now, graceful, at = self._now(), True, digest
        while (raw := await self._store.find(_key(at))) is not None:
            found = _decoded(_session, raw)
            if isinstance(found, _Living):
                row = found.row
                if row.subject is not None and row.expires_at > now:
                    _, known = await self._subject(row.subject)
                    if known is None or not known.admits(row):
                        return None
                return _Reached(row, raw, graceful, at == digest) if row.expires_at > now else None
            graceful, at = graceful and now < found.graceful_until, found.digest
        return None

    async def _put(self, row: StoredSession, instead_of: bytes | None) -> bool:
        value = _encode(_Living(row))
        return value == instead_of or await self._store.commit(
            _key(row.digest), value, instead_of, row.expires_at
        )

    async def _subject(self, subject: str) -> tuple[bytes | None, _SubjectRecord | None]:
        raw = await self._store.find(_subject_key(subject))
        return raw, None if raw is None else _decoded(_subject, raw)

    async def _living_of(self, subject: str, known: _SubjectRecord) -> list[StoredSession]:
        now, rows = self._now(), []
        for digest in known.deadlines:
            raw = await self._store.find(_key(digest))
            found = None if raw is None else _decoded(_session, raw)
            row = found.row if isinstance(found, _Living) else None
            if row is not None and row.subject == subject and row.expires_at > now and known.admits(row):
                rows.append(row)
        return rows

    async def _join(self, row: StoredSession) -> int:
        """Note a session with its subject, and drop those that are over by now; return the subject's epoch."""
        if row.subject is None:
            return 0
        for _ in range(_ATTEMPTS):
            raw, known = await self._subject(row.subject)
            known = known or _SubjectRecord(secrets.randbits(48))
            later = {digest: end for digest, end in known.deadlines.items() if end > self._now()}
            if await self._note(
                row.subject, raw, replace(known, deadlines=later | {row.digest: row.deadline})
            ):
                return known.epoch
        raise _too_busy()

    async def _leave(self, row: StoredSession) -> None:
        """Drop a session that ended from its subject's record; where that fails, its deadline does it."""
        if row.subject is None:
            return
        raw, known = await self._subject(row.subject)
        if known is not None and row.digest in known.deadlines:
            left = {digest: end for digest, end in known.deadlines.items() if digest != row.digest}
            await self._note(row.subject, raw, replace(known, deadlines=left))

    async def _note(self, subject: str, raw: bytes | None, known: _SubjectRecord) -> bool:
        until = max(known.deadlines.values(), default=self._now())
        return await self._store.commit(_subject_key(subject), _encode(known), raw, until)


def _key(digest: bytes) -> str:
    return f"session:{digest.hex()}"


def _subject_key(subject: str) -> str:
    return f"subject:{sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _too_busy() -> StoreUnavailableError:
    return StoreUnavailableError("the session was changed by others all the time: try again")
