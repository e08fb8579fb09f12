"""Where requests fetch and hand in sessions: what all of them share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from plughost.contracts import (
    ImmediateStore,
    Message,
    ReplacedSession,
    Scope,
    Seconds,
    StoredSession,
    WaitingStore,
    get_logger,
)
from plughost.exceptions import StoreUnavailableError
from plughost.plugins.sessions.codec import About
from plughost.plugins.sessions.cookies import SessionCookie
from plughost.plugins.sessions.crypto import KeyRing
from plughost.plugins.sessions.foresight import Foresight
from plughost.plugins.sessions.loaded import Loaded
from plughost.plugins.sessions.records import SessionRecords
from plughost.plugins.sessions.tokens import digest_of_id

_USER_AGENT_LIMIT = 512

Describe = Callable[[str], Awaitable[str]]
"""Given a user agent, what to call the device; empty when unknown."""


class Desk:
    """Loads sessions for requests, and saves what they changed.

    Args:
        records: The sessions of the host.
        cookie: How ids travel.
        ring: Makes tokens.
        describe: Says what device is behind a user agent.
        foresight: Learns which handlers look without awaiting, where the store makes such a look wait; None where
            sessions are loaded beforehand, or need not be.
    """

    def __init__(
        self,
        records: SessionRecords,
        cookie: SessionCookie,
        ring: KeyRing,
        describe: Describe | None = None,
        foresight: Foresight | None = None,
    ) -> None:
        self.records = records
        self.cookie = cookie
        self._ring = ring
        self._describe = describe
        self.foresight = foresight
        self._waiting = records.store if isinstance(records.store, WaitingStore) else None
        self._immediate = records.store if isinstance(records.store, ImmediateStore) else None
        self._log = get_logger("plughost.sessions")

    @property
    def needs_preload(self) -> bool:
        """Whether a plain look at the mapping finds only what was loaded beforehand."""
        return self._immediate is None and self.foresight is None

    # fetching

    async def load(self, scope: Scope) -> Loaded:
        """Return what a request's cookie leads to."""
        session_id = self.cookie.read(scope)
        digest = digest_of_id(session_id)
        if digest is None:
            return Loaded(self.records.codec, session_id, None)
        return self._found(session_id, await self.records.store.read(digest))

    def load_now(self, scope: Scope) -> Loaded:
        """Return what a request's cookie leads to, without awaiting; a store over the network makes the thread wait.

        Raises:
            RuntimeError: The store is over the network, and sessions are loaded when a handler awaits that.
        """
        session_id = self.cookie.read(scope)
        digest = digest_of_id(session_id)
        if digest is None:
            return Loaded(self.records.codec, session_id, None)
        if self._immediate is None and self._waiting is not None and self.foresight is not None:
            self.foresight.surprised(scope)
            return self._found(session_id, self._waiting.read_waiting(digest))
        if self._immediate is None:
            raise RuntimeError(
                "this session is kept over the network and was not loaded: write `await session.load()` before "
                "the first look at it, or set preload = true for the sessions plugin"
            )
        return self._found(session_id, self._immediate.read_now(digest))

    def _found(self, session_id: str | None, row: StoredSession | ReplacedSession | None) -> Loaded:
        loaded = Loaded(self.records.codec, session_id, row if isinstance(row, StoredSession) else None)
        if isinstance(row, ReplacedSession) and session_id is not None:
            loaded.abandoned.append((session_id, "dead id reused"))
            self._log.warning("dead session id used again, the session is ended")
        return loaded

    # tokens

    def csrf_token(self, row: StoredSession) -> str:
        """Return the token bound to a session."""
        return self._ring.csrf_token(row.digest)

    def token_matches(self, scope: Any, token: str) -> bool:
        """Whether a token belongs to the session id a request carries."""
        digest = self.cookie.digest(scope)
        return digest is not None and self._ring.csrf_matches(digest, token)

    def has_cookie(self, scope: Any) -> bool:
        """Whether a request carries a session cookie."""
        return self.cookie.read(scope) is not None

    # changing

    async def sign_in(
        self,
        scope: Scope,
        state: Loaded,
        user_id: str,
        who: About,
        ttl: Seconds | None,
        absolute: Seconds | None,
    ) -> None:
        """Begin a session for a user in place of the one in ``state``, unsaved changes included."""
        values, _ = state.changes()
        carried = values if state.row is None or state.row.subject in (None, user_id) else {}
        about = About(who.username, who.roles, await self._metadata(scope))
        lifetime = self.records.rules.lifetimes.of(ttl, absolute)
        session_id, row = await self.records.begin_instead(
            state.session_id, user_id, about, carried, lifetime
        )
        state.lose()
        state.given(session_id, row)

    async def sign_out(self, state: Loaded) -> None:
        """End the session of ``state``, now."""
        if state.session_id is not None:
            await self.records.end(state.session_id, "logout")
        state.lose()

    async def rotate(self, state: Loaded) -> None:
        """Give the session of ``state`` a new id."""
        renewed = await self.records.renew(state.session_id) if state.session_id is not None else None
        if renewed is not None:
            state.given(*renewed)

    # handing in

    async def begin_response(
        self, state: Loaded | None, scope: Scope, message: Message, *, refused: bool
    ) -> Message | None:
        """Save before the first byte; return the first message with its headers right, or None for a 503.

        Args:
            state: What the request knows; None when it never looked.
            scope: The request.
            message: ``http.response.start`` or ``websocket.accept``.
            refused: Whether the handler was refused its session because the store is away.
        """
        failed = message.get("status", 200) >= 500
        if failed and refused:
            return None
        if state is None or not state.looked_at:
            return message
        records = self.records
        if not failed:
            try:
                while state.abandoned:
                    await records.end(*state.abandoned.pop())
                if state.row is None:
                    values, _ = state.changes()
                    if values:  # visitors who keep nothing take no room
                        about = About("", (), await self._metadata(scope))
                        lifetime = records.rules.lifetimes.of(None, None)
                        state.given(*await records.begin(None, about, values, lifetime))
                else:
                    await state.save(records)
                    row = state.row
                    if row is not None and records.rules.lifetimes.touch_is_due(row, records.now()):
                        await records.store.touch(row.digest)
            except StoreUnavailableError:
                self._log.warning("session could not be saved, answered 503", exc_info=True)
                return None
        seconds = 0.0 if state.row is None else state.row.deadline - self.records.now()
        headers = self.cookie.headers(scope, message.get("headers") or (), state.news, seconds)
        return {**message, "headers": headers}

    async def _metadata(self, scope: Scope) -> dict[str, Any]:
        client = scope.get("client")
        metadata = {"ip_address": client[0]} if client else {}
        agents = [value for name, value in scope["headers"] if name == b"user-agent"]
        if agents:
            agent = agents[0].decode("latin-1")[:_USER_AGENT_LIMIT]
            device = await self._describe(agent) if self._describe is not None else ""
            metadata |= {"user_agent": agent} | ({"device": device} if device else {})
        return metadata
