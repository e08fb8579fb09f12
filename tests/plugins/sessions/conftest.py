"""Parts that several tests of the sessions plugin are made of."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asgi_browser import Browser
from plughost.contracts.clock import SteadyTime
from plughost.contracts.session import RequestSession, session_of
from plughost.plugins.sessions.announcements import SessionChange
from plughost.plugins.sessions.clocks import Lifetimes
from plughost.plugins.sessions.cookies import CookiePolicy, SessionCookie
from plughost.plugins.sessions.crypto import KeyRing, SealedEnvelope
from plughost.plugins.sessions.csrf import CsrfCheck, CsrfPolicy
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.manager import Sessions
from plughost.plugins.sessions.middleware import SessionMiddleware
from plughost.plugins.sessions.records import SessionRecords, SessionRules
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.sockets import SocketWatch
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.testing.clock import FakeClock

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
OLDER_SECRET = "b7Nw2Kz9Vx4Lq8Rj5Tm1Hs6Gd3Fp0Cy-AeUiOqW"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(start=time.time())


@pytest.fixture
def sessions(clock: FakeClock) -> Sessions:
    now = SteadyTime(clock)
    policy = SessionRules(lifetimes=Lifetimes(idle=1800, absolute=28800, touch=60))
    codec = RowCodec(SealedEnvelope(KeyRing([SECRET])))
    return Sessions(SessionRecords(MemoryStore(now), codec, policy, now))


@pytest.fixture
def told(sessions: Sessions) -> list[SessionChange]:
    """Everything that is announced, in order."""
    heard: list[SessionChange] = []
    sessions.records.announcer.listen(heard.append)
    return heard


@pytest.fixture
def desk(sessions: Sessions) -> Desk:
    return Desk(sessions.records, SessionCookie(CookiePolicy(name="acme_session")), KeyRing([SECRET]))


@pytest.fixture
def wrap(desk: Desk) -> Wrap:
    """Put the middleware around a handler ``(session, scope, send) -> None``."""
    return Wrap(desk)


class Wrap:
    """Middleware around handlers."""

    def __init__(self, desk: Desk, *, preload: bool = False, csrf: CsrfPolicy | None = None) -> None:
        self.desk = desk
        self.preload = preload
        self.watch = SocketWatch(desk.records)
        self.csrf = CsrfCheck(csrf or CsrfPolicy(), desk.token_matches, desk.has_cookie)

    def app(self, app: Any) -> SessionMiddleware:
        return SessionMiddleware(app, desk=self.desk, csrf=self.csrf, watch=self.watch, preload=self.preload)

    def __call__(self, handler: Callable[[RequestSession], Awaitable[object]]) -> Browser:
        """Return a browser in front of a handler that is given the session; what it returns is the body."""

        async def app(scope: Any, receive: Any, send: Any) -> None:
            body = await handler(session_of(scope))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": str(body).encode()})

        return Browser(self.app(app))
