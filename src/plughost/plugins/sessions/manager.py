"""The sessions service: ids, clocks and envelopes on this side, digests and bytes on the store's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio.lowlevel

from plughost.contracts.logs import get_logger
from plughost.contracts.plugin import Seconds
from plughost.contracts.session import CleanupReport, Session, SessionStats
from plughost.contracts.session_changes import check_session_size
from plughost.contracts.session_store import (
    NewSession,
    ReplacedSession,
    SessionPatch,
    SessionStore,
    StoredSession,
    VersionConflict,
)
from plughost.exceptions import SessionUnreadableError, StoreUnavailableError
from plughost.plugins.sessions.announcements import SessionChange, SessionListeners
from plughost.plugins.sessions.cleanup import Cleaner
from plughost.plugins.sessions.clocks import Lifetimes, in_seconds
from plughost.plugins.sessions.codec import About
from plughost.plugins.sessions.crypto import NewOwner
from plughost.plugins.sessions.migrate import reseal
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.tokens import checked_user, digest_of_id, new_handle, new_session_id

_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRules:
    """What the deployer decided about sessions.

    Attributes:
        lifetimes: The two clocks.
        grace: Seconds a replaced id is still good for reading, when it is the same principal's.
        max_bytes: What one session may take.
    """

    lifetimes: Lifetimes
    grace: float = 10.0
    max_bytes: int = 16_384


class Sessions:
    """The ``SessionManager`` over any ``SessionStore``.

    Args:
        store: Where they are kept, opened.
        codec: How values become bytes.
        policy: What the deployer decided.
        now: Returns the time; used to tell whether a use is worth noting, never whether a session is alive.
        lease: What the store is held by, for the run of the plugin that may come after this one.
    """

    def __init__(
        self,
        store: SessionStore,
        codec: RowCodec,
        policy: SessionRules,
        now: Callable[[], float],
        lease: object = None,
    ) -> None:
        self.store = store
        self.codec = codec
        self.policy = policy
        self.now = now
        self.lease = lease
        self.announcer = SessionListeners()
        self.cleaner = Cleaner(store, self.announcer)
        self._log = get_logger("plughost.sessions")

    async def create(
        self,
        user_id: str | None,
        *,
        username: str = "",
        roles: Sequence[str] = (),
        ttl: Seconds | None = None,
        absolute: Seconds | None = None,
        metadata: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Session:
        """Begin a session under an id of our own making."""
        user_id = None if user_id is None else checked_user(user_id)
        about = About(username, tuple(roles), dict(metadata or {}))
        lifetime = self.policy.lifetimes.of(ttl, absolute)
        session_id, row = await self.begin(user_id, about, dict(fields or {}), lifetime)
        return self.codec.open_session(row, session_id)

    async def get(self, session_id: str) -> Session | None:
        """Return the session, or None."""
        row = await self.read(session_id)
        return self._open(row, session_id)

    async def read(self, session_id: str) -> StoredSession | None:
        """Return the session as it is stored; a dead id that is used again ends the session it led to."""
        digest = digest_of_id(session_id)
        if digest is None:
            return None
        found = await self.store.read(digest)
        if isinstance(found, ReplacedSession):
            await self.end_reused(found)
            return None
        return found

    async def extend(self, session_id: str, ttl: Seconds) -> Session | None:
        """Let it live at least ``ttl`` seconds from now, within its absolute limit."""
        return await self._patch(session_id, SessionPatch(idle=in_seconds(ttl)))

    async def update(
        self, session_id: str, values: Mapping[str, Any] | None = None, remove: Sequence[str] = ()
    ) -> Session | None:
        """Set and remove fields."""
        row = await self.read(session_id)
        if row is None:
            return None
        closed = self.codec.close_fields(row, values or {})
        return await self._patch(session_id, self.patch_of(closed, tuple(remove)))

    async def transform(self, session_id: str, change: Callable[[dict[str, Any]], None]) -> Session | None:
        """Let ``change`` edit the fields, again if somebody else was faster."""
        for _ in range(_ATTEMPTS):
            row = await self.read(session_id)
            if row is None:
                return None
            fields = self.codec.open_fields(row)
            change(fields)
            changed = {n: v for n, v in fields.items() if not self._unchanged(row, n, v)}
            closed = self.codec.close_fields(row, changed)
            patch = self.patch_of(closed, tuple(row.fields.keys() - fields.keys()), version=row.version)
            try:
                return await self._patch(session_id, patch)
            except VersionConflict:
                await anyio.lowlevel.checkpoint()
        raise StoreUnavailableError("the session was changed by others all the time: try again")

    async def rotate(self, session_id: str) -> Session | None:
        """Give the session a new id; who it is and when it must end stay."""
        rotated = await self.renew(session_id)
        return None if rotated is None else self.codec.open_session(rotated[1], rotated[0])

    async def sign_in(
        self,
        session_id: str | None,
        user_id: str,
        *,
        username: str = "",
        roles: Sequence[str] = (),
        ttl: Seconds | None = None,
        absolute: Seconds | None = None,
        metadata: Mapping[str, Any] | None = None,
        fields: Mapping[str, Any] | None = None,
    ) -> Session:
        """Begin a session for a user in place of an older one, whose id is dead at once."""
        about = About(username, tuple(roles), dict(metadata or {}))
        lifetime = self.policy.lifetimes.of(ttl, absolute)
        fresh, row = await self.begin_instead(session_id, user_id, about, dict(fields or {}), lifetime)
        return self.codec.open_session(row, fresh)

    async def destroy(self, session_id: str, *, reason: str = "destroyed") -> bool:
        """End the session for good."""
        digest = digest_of_id(session_id)
        row = await self.store.delete(digest) if digest is not None else None
        if row is not None:
            self._tell("ended", row, reason)
        return row is not None

    async def destroy_user(self, user_id: str, keep: str | None = None) -> int:
        """End all sessions of a user in one step."""
        checked_user(user_id)
        spared = await self.read(keep) if keep is not None else None
        if spared is not None and spared.subject != user_id:
            spared = None
        ended = await self.store.end_subject(user_id, spared.digest if spared is not None else None)
        self.announcer.tell(
            SessionChange(
                kind="ended",
                handle="",
                subject=user_id,
                reason="user ended",
                spared=spared.handle if spared is not None else "",
            )
        )
        return ended

    async def list_user(self, user_id: str) -> list[Session]:
        """Return the user's sessions, newest first, without their ids."""
        rows = await self.store.list_subject(checked_user(user_id))
        return [self.codec.list_session(row) for row in rows]

    async def end_handle(self, user_id: str, handle: str) -> bool:
        """End the one session of that user with that public handle."""
        for row in await self.store.list_subject(checked_user(user_id)):
            if row.handle == handle:
                ended = await self.store.delete(row.digest)
                if ended is not None:
                    self._tell("ended", ended, "destroyed")
                return ended is not None
        return False

    async def cleanup_expired(self) -> CleanupReport:
        """Remove what is over."""
        return await self.cleaner.run()

    async def reseal(self) -> int:
        """Close with the newest key whatever is closed otherwise; return how many sessions that were."""
        return await reseal(self.store, self.codec, self.policy.max_bytes)

    async def stats(self) -> SessionStats:
        """Return the figures."""
        figures = await self.store.stats()
        return SessionStats(
            active=figures.active,
            expired=figures.expired,
            users=figures.users,
            store=figures.store,
            unreadable=self.codec.unreadable,
        )

    async def begin(
        self, user_id: str | None, about: About, fields: dict[str, Any], lifetime: tuple[float, float]
    ) -> tuple[str, StoredSession]:
        """Store a new session; returns its id and the row. ``lifetime`` is idle and absolute seconds."""
        for _ in range(_ATTEMPTS):
            session_id, new = self._new(user_id, about, fields, lifetime)
            row = await self.store.create(new)
            if row is not None:
                self._tell("created", row, "created" if user_id is None else "sign-in")
                return session_id, row
        raise StoreUnavailableError(f"the session store took none of {_ATTEMPTS} fresh ids: it is broken")

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
        for _ in range(_ATTEMPTS):
            old = await self.read(session_id) if session_id is not None else None
            if old is None:
                break
            fresh, new = self._new(user_id, about, self._carried(old, user_id) | fields, lifetime)
            try:
                row = await self.store.replace(old.digest, new, version=old.version, grace=0.0)
            except VersionConflict:
                continue
            if row is None:
                break
            self._tell("ended", old, "sign-in")
            self._tell("created", row, "sign-in")
            return fresh, row
        return await self.begin(user_id, about, fields, lifetime)

    async def goes_on(self, row: StoredSession) -> bool:
        """Whether a session that was read some time ago is still there, under the same id."""
        return isinstance(await self.store.read(row.digest), StoredSession)

    async def renew(self, session_id: str) -> tuple[str, StoredSession] | None:
        """Give the session a new id; returns it and the row, or None when it is gone or was replaced."""
        for _ in range(_ATTEMPTS):
            old = await self.read(session_id)
            if old is None or old.successor_of is not None:
                return None
            fresh = new_session_id()
            owner = NewOwner(_sure_digest(fresh), old.subject, old.handle)
            about, fields = self.codec.close_again(old, owner)
            new = NewSession(**owner._asdict(), idle=old.idle, absolute=None, about=about, fields=fields)
            try:
                row = await self.store.replace(old.digest, new, version=old.version, grace=self.policy.grace)
            except VersionConflict:
                continue
            if row is None:
                return None
            self._tell("rotated", row, "rotation")
            return fresh, row
        raise StoreUnavailableError("the session was changed by others all the time: try again")

    def patch_of(
        self,
        values: dict[str, bytes],
        remove: tuple[str, ...] = (),
        version: int | None = None,
        base: StoredSession | None = None,
    ) -> SessionPatch:
        """Return a patch within the limits of this deployment."""
        return SessionPatch(
            set=values, remove=remove, version=version, max_bytes=self.policy.max_bytes, base=base
        )

    async def end_reused(self, found: ReplacedSession) -> None:
        """Somebody used an id that was replaced: one of the two holders is a thief, so the session ends."""
        row = await self.store.delete(found.successor)
        if row is not None:
            self._log.warning("dead session id used again, session ended", handle=row.handle)
            self._tell("ended", row, "dead id reused")

    async def _patch(self, session_id: str, patch: SessionPatch) -> Session | None:
        digest = digest_of_id(session_id)
        row = await self.store.patch(digest, patch) if digest is not None else None
        return self._open(row, session_id)

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
        check_session_size(new.about, new.fields, self.policy.max_bytes)
        return session_id, new

    def _carried(self, old: StoredSession, user_id: str) -> dict[str, Any]:
        if old.subject is not None and old.subject != user_id:
            return {}
        try:
            return self.codec.open_fields(old)
        except SessionUnreadableError:
            self._log.error("a session that cannot be read was left behind at sign-in", handle=old.handle)
            return {}

    def _unchanged(self, row: StoredSession, name: str, value: object) -> bool:
        return name in row.fields and self.codec.same_value(row, name, value)

    def _open(self, row: StoredSession | None, session_id: str) -> Session | None:
        return None if row is None else self.codec.open_session(row, session_id)

    def _tell(self, kind: Any, row: StoredSession, reason: str) -> None:
        self.announcer.tell(SessionChange(kind=kind, handle=row.handle, subject=row.subject, reason=reason))


def _sure_digest(session_id: str) -> bytes:
    digest = digest_of_id(session_id)
    if digest is None:
        raise AssertionError("an id of our own making has the shape of one")
    return digest
