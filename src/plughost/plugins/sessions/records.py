"""Sessions as they are stored: begun, read, replaced and ended, each told of once it is durable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from plughost.contracts import (
    NewSession,
    ReplacedSession,
    SessionStore,
    StoredSession,
    VersionConflict,
    check_session_size,
    get_logger,
)
from plughost.exceptions import SessionUnreadableError, StoreUnavailableError
from plughost.plugins.sessions.announcements import Kind, SessionChange, SessionListeners
from plughost.plugins.sessions.clocks import Lifetimes
from plughost.plugins.sessions.codec import About
from plughost.plugins.sessions.crypto import NewOwner
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.tokens import checked_user, digest_of_id, new_handle, new_session_id

ATTEMPTS = 20
"""How often a change is tried when somebody else is faster each time."""


class SessionRules(msgspec.Struct, frozen=True, kw_only=True):
    """What the deployer decided about sessions.

    Attributes:
        lifetimes: The two clocks.
        grace: Seconds a replaced id is still good for reading, when it is the same principal's.
        max_bytes: What one session may take.
    """

    lifetimes: Lifetimes
    grace: float = 10.0
    max_bytes: int = 16_384


class SessionRecords:
    """The sessions of a host, as rows of its store.

    Args:
        store: Where they are kept, opened.
        codec: How values become bytes.
        rules: What the deployer decided.
        now: Returns the time; used to tell whether a use is worth noting, never whether a session is alive.
    """

    def __init__(
        self, store: SessionStore, codec: RowCodec, rules: SessionRules, now: Callable[[], float]
    ) -> None:
        self.store = store
        self.codec = codec
        self.rules = rules
        self.now = now
        self.announcer = SessionListeners()
        self._log = get_logger("plughost.sessions")

    async def read(self, session_id: str) -> StoredSession | None:
        """Return a session.

        A dead id that is used again ends the session it led to: one of the two who have it is a thief.
        """
        digest = digest_of_id(session_id)
        found = await self.store.read(digest) if digest is not None else None
        if not isinstance(found, ReplacedSession):
            return found
        ended = await self.store.delete(found.successor)
        if ended is not None:
            self._log.warning("dead session id used again, session ended", handle=ended.handle)
            self.tell("ended", ended, "dead id reused")
        return None

    async def goes_on(self, row: StoredSession) -> bool:
        """Whether a session that was read some time ago is still there, under the same id."""
        return isinstance(await self.store.read(row.digest), StoredSession)

    async def begin(
        self, user_id: str | None, about: About, fields: dict[str, Any], lifetime: tuple[float, float]
    ) -> tuple[str, StoredSession]:
        """Store a new session; returns its id and the row. ``lifetime`` is idle and absolute seconds."""
        for _ in range(ATTEMPTS):
            session_id, new = self._new(user_id, about, fields, lifetime)
            row = await self.store.create(new)
            if row is not None:
                self.tell("created", row, "created" if user_id is None else "sign-in")
                return session_id, row
        raise StoreUnavailableError(f"the session store took none of {ATTEMPTS} fresh ids: it is broken")

    async def begin_instead(
        self,
        session_id: str | None,
        user_id: str,
        about: About,
        fields: dict[str, Any],
        lifetime: tuple[float, float],
    ) -> tuple[str, StoredSession]:
        """Store a new session in the place of an older one; returns its id and the row."""
        checked_user(user_id)
        for _ in range(ATTEMPTS):
            old = await self.read(session_id) if session_id is not None else None
            if old is None:
                break
            carried: dict[str, Any] = {}  # nothing of another user's
            if old.subject is None or old.subject == user_id:
                try:
                    carried = self.codec.open_fields(old)
                except SessionUnreadableError:
                    self._log.error(
                        "a session that cannot be read was left behind at sign-in", handle=old.handle
                    )
            fresh, new = self._new(user_id, about, carried | fields, lifetime)
            try:
                row = await self.store.replace(old.digest, new, version=old.version, grace=0.0)
            except VersionConflict:
                continue
            if row is None:
                break
            self.tell("ended", old, "sign-in")
            self.tell("created", row, "sign-in")
            return fresh, row
        return await self.begin(user_id, about, fields, lifetime)

    async def renew(self, session_id: str) -> tuple[str, StoredSession] | None:
        """Give a session a new id; returns it and the row, or None when it is gone or was replaced."""
        for _ in range(ATTEMPTS):
            old = await self.read(session_id)
            if old is None or old.successor_of is not None:
                return None
            fresh = new_session_id()
            owner = NewOwner(_sure_digest(fresh), old.subject, old.handle)
            about, fields = self.codec.close_again(old, owner)
            new = NewSession(**owner._asdict(), idle=old.idle, absolute=None, about=about, fields=fields)
            try:
                row = await self.store.replace(old.digest, new, version=old.version, grace=self.rules.grace)
            except VersionConflict:
                continue
            if row is None:
                return None
            self.tell("rotated", row, "rotation")
            return fresh, row
        raise StoreUnavailableError("the session was changed by others all the time: try again")

    async def end(self, session_id: str, reason: str) -> bool:
        """End a session for good; whether it was alive."""
        digest = digest_of_id(session_id)
        return digest is not None and await self.end_stored(digest, reason)

    async def end_stored(self, digest: bytes, reason: str) -> bool:
        """The same by the digest it is stored under."""
        row = await self.store.delete(digest)
        if row is not None:
            self.tell("ended", row, reason)
        return row is not None

    def tell(self, kind: Kind, row: StoredSession, reason: str) -> None:
        """Tell whoever listens what happened to a session."""
        self.announcer.tell(SessionChange(kind=kind, handle=row.handle, subject=row.subject, reason=reason))

    def _new(
        self, user_id: str | None, about: About, fields: dict[str, Any], lifetime: tuple[float, float]
    ) -> tuple[str, NewSession]:
        session_id = new_session_id()
        owner = NewOwner(_sure_digest(session_id), user_id, new_handle())
        idle, whole = lifetime
        new = NewSession(
            **owner._asdict(),
            idle=idle,
            absolute=whole,
            about=self.codec.close_about(owner, about),
            fields=self.codec.close_fields(owner, fields),
        )
        check_session_size(new.about, new.fields, self.rules.max_bytes)
        return session_id, new


def _sure_digest(session_id: str) -> bytes:
    digest = digest_of_id(session_id)
    if digest is None:
        raise AssertionError("an id of our own making has the shape of one")
    return digest
