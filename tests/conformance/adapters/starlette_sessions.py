"""Starlette: the tests of its session middleware, with plughost's in its place."""

from __future__ import annotations

import functools
import tempfile
import time
from pathlib import Path

import pytest
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from tests.middleware import test_session as theirs

from plughost.plugins.sessions.clocks import Lifetimes
from plughost.plugins.sessions.cookies import CookiePolicy, SessionCookie
from plughost.plugins.sessions.crypto import KeyRing, SealedEnvelope
from plughost.plugins.sessions.desk import Desk
from plughost.plugins.sessions.middleware import SessionMiddleware
from plughost.plugins.sessions.records import SessionRecords, SessionRules
from plughost.plugins.sessions.rows import RowCodec
from plughost.plugins.sessions.sockets import SocketWatch
from plughost.plugins.sessions.stores.memory import MemoryStore
from plughost.plugins.sessions.stores.sqlite import SQLiteStore

SECRET = "Xq3vT9-LwZ7kR2mB8nJ5hY4sD6fG1pC0uEaIoQt"
_TWO_WEEKS = 14 * 24 * 3600


class Middleware:
    """Takes the arguments of Starlette's ``SessionMiddleware``; its store is opened by the first request."""

    store = "memory"

    def __init__(
        self, app, secret_key, session_cookie="session", max_age=_TWO_WEEKS, path="/", same_site="lax",
        https_only=False, domain=None, partitioned=False,
    ) -> None:  # fmt: skip
        length = _TWO_WEEKS if max_age is None else max_age
        ring = KeyRing([SECRET])
        self._store = (
            MemoryStore(time.time)
            if self.store == "memory"
            else SQLiteStore(Path(tempfile.mkdtemp()) / "sessions.db", time.time)
        )
        policy = SessionRules(lifetimes=Lifetimes(idle=length, absolute=length, touch=60))
        records = SessionRecords(self._store, RowCodec(SealedEnvelope(ring)), policy, time.time)
        cookie = CookiePolicy(
            name=session_cookie, secure=https_only, samesite=same_site, path=path, domain=domain,
            persistent=max_age is not None, partitioned=partitioned,
        )  # fmt: skip
        desk = Desk(records, SessionCookie(cookie), ring)
        self._app = SessionMiddleware(app, desk=desk, csrf=None, watch=SocketWatch(records), preload=False)

    async def __call__(self, scope, receive, send):
        async def send_as_expected(message):
            headers = message.get("headers", ())
            await send(
                message | {"headers": [_as_expected(*header) for header in headers]} if headers else message
            )

        await self._store.open()
        try:
            await self._app(scope, receive, send_as_expected)
        finally:
            await self._store.close()


def _as_expected(name, value):
    """Return a header with names of a cookie's attributes as the tests look for them; case says nothing there."""
    if name == b"set-cookie":
        for attribute in (b"Path=", b"Domain=", b"Partitioned"):
            value = value.replace(b"; " + attribute, b"; " + attribute.lower())
    return name, value


class AnyMappingResponse(JSONResponse):
    """A session of plughost is a mapping and no ``dict``: a handler writes ``dict(session)``."""

    def render(self, content):
        return super().render(
            {name: dict(value) if name == "session" else value for name, value in content.items()}
        )


theirs.JSONResponse = AnyMappingResponse
theirs.SessionMiddleware = Middleware


@pytest.fixture(params=["asyncio", "trio"])
def test_client_factory(request):
    return functools.partial(TestClient, backend=request.param)


@pytest.fixture(params=["memory", "sqlite"], autouse=True)
def _each_store(request, monkeypatch):
    monkeypatch.setattr(Middleware, "store", request.param)


# One test is of Starlette's own class of a session alone, by itself.
for _name, _test in vars(theirs).items():
    if _name.startswith("test_") and _name != "test_session_tracks_modification":
        globals()[_name] = _test
