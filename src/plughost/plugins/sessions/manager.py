"""The sessions service: what ``SessionManager`` promises, over the rows of any store."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio.lowlevel

from plughost.contracts import (
    CleanupReport,
    CountingStore,
    Seconds,
    Session,
    SessionPatch,
    SessionStats,
    StoredSession,
    VersionConflict,
    several,
)
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.announcements import SessionChange
from plughost.plugins.sessions.cleanup import Cleaner
from plughost.plugins.sessions.clocks import in_seconds
from plughost.plugins.sessions.codec import about_of
from plughost.plugins.sessions.migrate import reseal
from plughost.plugins.sessions.records import ATTEMPTS, SessionRecords
from plughost.plugins.sessions.tokens import checked_user, digest_of_id

_LOOKED_AT_FIRST = 100
"""Of a user's newest sessions, when one is looked for by its handle: hardly anybody has more."""


class Sessions:
    """Implements ``SessionManager`` and ``SessionMaintenance``; see there for what each method promises.

    Args:
        records: The rows.
        lease: What the store is held by, for the run of the plugin that may come after this one.
    """

    def __init__(self, records: SessionRecords, lease: object = None) -> None:
        self.records = records
        self.lease = lease
        self._cleaner = Cleaner(records.store, records.announcer)

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
        about = about_of(username, roles, metadata)
        lifetime = self.records.rules.lifetimes.of(ttl, absolute)
        session_id, row = await self.records.begin(user_id, about, dict(fields or {}), lifetime)
        return self.records.codec.open_session(row, session_id)

    async def get(self, session_id: str) -> Session | None:
        """Return the session, or None."""
        return self._open(await self.records.read(session_id), session_id)

    async def extend(self, session_id: str, ttl: Seconds) -> Session | None:
        """Let it live at least ``ttl`` seconds from now, within its absolute limit."""
        patch = SessionPatch(idle=in_seconds(ttl))
        digest = digest_of_id(session_id)
        row = await self.records.store.patch(digest, patch) if digest is not None else None
        return self._open(row, session_id)

    async def update(
        self, session_id: str, values: Mapping[str, Any] | None = None, remove: Sequence[str] = ()
    ) -> Session | None:
        """Set and remove fields."""
        names = several("remove", remove)
        row = await self.records.read(session_id)
        return None if row is None else await self._merge(row, session_id, values or {}, names)

    async def transform(self, session_id: str, change: Callable[[dict[str, Any]], None]) -> Session | None:
        """Let ``change`` edit the fields, again if somebody else was faster."""
        if inspect.iscoroutinefunction(change):
            raise TypeError(
                "what changes a session is a plain function, called again when somebody was faster"
            )
        codec = self.records.codec
        for _ in range(ATTEMPTS):
            row = await self.records.read(session_id)
            if row is None:
                return None
            fields = codec.open_fields(row)
            change(fields)
            changed = {
                name: value
                for name, value in fields.items()
                if name not in row.fields or not codec.same_value(row, name, value)
            }
            removed = tuple(row.fields.keys() - fields.keys())
            try:
                return await self._merge(row, session_id, changed, removed, version=row.version)
            except VersionConflict:
                await anyio.lowlevel.checkpoint()
        raise StoreUnavailableError("the session was changed by others all the time: try again")

    async def rotate(self, session_id: str) -> Session | None:
        """Give the session a new id; who it is and when it must end stay."""
        rotated = await self.records.renew(session_id)
        return None if rotated is None else self.records.codec.open_session(rotated[1], rotated[0])

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
        about = about_of(username, roles, metadata)
        lifetime = self.records.rules.lifetimes.of(ttl, absolute)
        fresh, row = await self.records.begin_instead(
            session_id, user_id, about, dict(fields or {}), lifetime
        )
        return self.records.codec.open_session(row, fresh)

    async def destroy(self, session_id: str, *, reason: str = "destroyed") -> bool:
        """End the session for good."""
        return await self.records.end(session_id, reason)

    async def destroy_user(self, user_id: str, keep: str | None = None) -> int:
        """End all sessions of a user in one step."""
        checked_user(user_id)
        spared = await self.records.read(keep) if keep is not None else None
        if spared is not None and spared.subject != user_id:
            spared = None
        ended = await self.records.store.end_subject(user_id, spared.digest if spared is not None else None)
        self.records.announcer.tell(
            SessionChange(
                kind="ended",
                handle="",
                subject=user_id,
                reason="user ended",
                spared=spared.handle if spared is not None else "",
            )
        )
        return ended

    async def list_user(self, user_id: str, limit: int | None = None) -> list[Session]:
        """Return the user's sessions, newest first, without their ids; ``limit`` of them at most."""
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ValueError(f"limit is how many sessions at most, from 1, not {limit!r}")
        rows = await self.records.store.list_subject(checked_user(user_id), limit)
        return [self.records.codec.list_session(row) for row in rows]

    async def end_handle(self, user_id: str, handle: str) -> bool:
        """End the one session of that user with that public handle."""
        subject, most, is_all = checked_user(user_id), _LOOKED_AT_FIRST, False
        while not is_all:
            rows = await self.records.store.list_subject(subject, most)
            for row in rows:
                if row.handle == handle:
                    return await self.records.end_stored(row.digest, "destroyed")
            is_all = len(rows) < most
            most *= 10
        return False

    async def cleanup_expired(self) -> CleanupReport:
        """Remove what is over."""
        return await self._cleaner.run()

    async def reseal(self) -> int:
        """Close with the newest key whatever is closed otherwise; return how many sessions that were."""
        records = self.records
        return await reseal(records.store, records.codec, records.rules.max_bytes)

    async def stats(self) -> SessionStats:
        """Return the figures."""
        store, unreadable = self.records.store, self.records.codec.unreadable
        if not isinstance(store, CountingStore):
            return SessionStats(
                active=0, expired=0, users=0, store=store.name, unreadable=unreadable, counted=False
            )
        figures = await store.stats()
        return SessionStats(
            active=figures.active,
            expired=figures.expired,
            users=figures.users,
            store=figures.store,
            unreadable=unreadable,
        )

    async def _merge(
        self,
        row: StoredSession,
        session_id: str,
        values: Mapping[str, Any],
        removed: tuple[str, ...],
        version: int | None = None,
    ) -> Session | None:
        patch = SessionPatch(
            set=self.records.codec.close_fields(row, values),
            remove=removed,
            version=version,
            max_bytes=self.records.rules.max_bytes,
        )
        digest = digest_of_id(session_id)
        stored = await self.records.store.patch(digest, patch) if digest is not None else None
        return self._open(stored, session_id)

    def _open(self, row: StoredSession | None, session_id: str) -> Session | None:
        return None if row is None else self.records.codec.open_session(row, session_id)
