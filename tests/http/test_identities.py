"""Who somebody is, is told by an id and never by a name, which people choose for themselves."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.contracts import SessionManager
from plughost.http import SIGNED_IN, CachePolicy, Identity, Route, identity_of
from plughost.http.rates import subject_of
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio

SESSIONS = (SessionsPlugin, {"store": "memory"})


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Desk(Plugin):
    name = "desk"

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def mine(request: Request) -> Response:
            session = request.scope.get("session")
            return PlainTextResponse(session.user_id if session is not None else identity_of(request).id)

        async def clear(request: Request) -> Response:
            return PlainTextResponse("cleared")

        return [
            Route("/mine", mine, guard=SIGNED_IN, cache=CachePolicy(ttl=60)),
            Route("/clear", clear, methods=["POST"], guard=SIGNED_IN, audit="desk.clear"),
        ]


async def signed_in(served: Any, user_id: str, username: str, **more: Any) -> dict[str, str]:
    session = await served.host.use(SessionManager).create(user_id, username=username, **more)
    return {"Cookie": f"__Host-test_session={session.session_id}"}


@pytest.mark.parametrize("name", ["Ann", "", "7"])
async def test_two_users_with_one_shown_name_have_answers_of_their_own(serve, name):
    async with (
        serve(CachePlugin, SESSIONS, Desk) as served,
        served.client(base="https://testserver") as client,
    ):
        for user in ("7", "8"):
            headers = await signed_in(served, user, name)
            for _ in range(2):
                assert (await client.get("/mine", headers=headers)).text == user


async def test_a_user_who_is_called_like_a_token_is_not_the_token(serve):
    async with serve(CachePlugin, SESSIONS, Desk) as served:
        token = served.token("desk:read")
        shown = served.app.runtime.tokens.identify(token).name
        async with served.client(base="https://testserver") as client:
            bearer = {"Authorization": f"Bearer {token}"}
            user = await signed_in(served, "8", shown)
            for headers in (bearer, user):
                assert (await client.post("/clear", headers=headers)).status_code == 200
        by_user, by_token = served.app.runtime.audit.latest()
        assert by_token.actor == shown
        assert by_user.actor == f"user 8 ({shown})"


async def test_two_users_with_one_shown_name_are_counted_apart():
    ann, other = (Identity(kind="session", name="Ann", id=number) for number in ("1", "2"))
    assert subject_of({}, ann) != subject_of({}, other)
    token = Identity(kind="token", name="Ann", id="1")
    assert subject_of({}, token) != subject_of({}, ann)


@pytest.mark.parametrize(
    ("user_id", "actor"),
    [
        ("7", "user 7 (Ann)"),
        ("ann@example.org", "user ann@example.org (Ann)"),
        ("7 (x)", "user '7 (x)' (Ann)"),
    ],
)
async def test_the_audit_trail_shows_the_id_before_the_name(user_id, actor):
    assert Identity(kind="session", name="Ann", id=user_id).actor == actor
