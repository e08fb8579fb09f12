"""What strangers get from the doors that are open to everybody, and what a role is worth by itself."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.contracts import AuthAttempt, Deny
from plughost.http import PUBLIC, HttpSettings, Route, scope
from plughost.http.loopback import from_loopback
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.sessions.plugin import SessionsPlugin

pytestmark = pytest.mark.anyio


class Members(Plugin):
    """Lets nobody in, and knows who tried; signs one in by a back door of the test."""

    name = "members"

    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Deny:
        return Deny("No.")

    @hookimpl
    async def auth_failed(self, attempt: AuthAttempt, reason: str) -> None:
        self.told.append(attempt.username)

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def enter(request: Request) -> Response:
            await request.scope["session"].sign_in("7", username="ada", roles=["admin"])
            return PlainTextResponse("in")

        async def inner(request: Request) -> Response:
            return PlainTextResponse("inner")

        return [
            Route("/enter", enter, methods=["POST"], guard=PUBLIC),
            Route("/inner", inner, guard=scope("plugins:write")),
        ]


def sessions() -> tuple[Any, dict[str, str]]:
    return SessionsPlugin(), {"store": "memory", "secret": "Zk3vQ8mT1xY6bN0cR5wJ9pL2hG7dF4sA-uEoI_qKzXv"}


@pytest.mark.parametrize(("settings", "status"), [({}, 403), ({"role_scopes": {"admin": ("*",)}}, 200)])
async def test_a_role_administers_nothing_unless_the_deployer_says_so(serve, settings, status):
    async with (
        serve(sessions(), Members(), settings=HttpSettings(**settings)) as served,
        served.client(base="https://testserver") as client,
    ):
        assert (await client.post("/enter")).status_code == 200
        assert (await client.get("/inner")).status_code == status


async def test_a_flood_of_sign_ins_is_told_so_and_told_to_nobody_one_by_one(serve):
    members = Members()
    async with serve(sessions(), members) as served, served.client(base="https://testserver") as client:
        codes = [
            (await client.post("/api/auth/login", json={"username": f"n{number}"})).status_code
            for number in range(60)
        ]
    assert codes[-1] == 429
    assert len(members.told) == codes.count(401) <= 20


async def test_attempts_of_the_same_name_are_refused_unseen_with_a_time_to_wait(serve):
    members = Members()
    settings = HttpSettings(rate_limits={"auth": 1000})
    async with (
        serve(sessions(), members, settings=settings) as served,
        served.client(base="https://testserver") as client,
    ):
        answers = [await client.post("/api/auth/login", json={"username": "ada"}) for _ in range(20)]
        assert served.host.auth.held_back == 10
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 10
    assert int(answers[-1].headers["retry-after"]) > 0
    assert len(members.told) == 10


@pytest.mark.parametrize(
    ("body", "status"), [({"username": "n" * 321}, 422), ({"username": "n", "x": "y" * 20_000}, 413)]
)
async def test_what_a_sign_in_holds_has_an_end(serve, body, status):
    members = Members()
    async with serve(sessions(), members) as served, served.client(base="https://testserver") as client:
        assert (await client.post("/api/auth/login", json=body)).status_code == status
    assert members.told == []


async def test_looking_at_a_sign_in_link_does_not_use_it_up(serve):
    async with serve(AdminPlugin()) as served, served.client() as client:
        code = served.app.runtime.sign_ins.make_link_code()
        assert (await client.head(f"/admin/sign-in?code={code}")).status_code == 200
        assert (await client.get(f"/admin/sign-in?code={code}")).status_code == 303


@pytest.mark.parametrize(
    ("version", "headers", "trusted"),
    [
        ("1.1", [], True),
        ("1.0", [], False),
        ("1.1", [(b"x-forwarded-proto", b"https")], False),
        ("1.1", [(b"x-forwarded-host", b"shop.example")], False),
        ("1.1", [(b"cf-connecting-ip", b"203.0.113.1")], False),
    ],
)
async def test_who_comes_through_a_proxy_on_this_machine_is_not_of_this_machine(version, headers, trusted):
    connection = {
        "type": "http", "http_version": version, "client": ("127.0.0.1", 5),
        "headers": [(b"host", b"127.0.0.1:8000"), *headers],
    }  # fmt: skip
    assert from_loopback(connection) is trusted


async def test_a_number_with_more_digits_than_python_reads_leads_nowhere(serve):
    class Shelf(Plugin):
        name = "shelf"

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def shown(request: Request) -> Response:
                return PlainTextResponse(str(request.path_params["key"]))

            return [Route("/books/{key:int}", shown, guard=PUBLIC)]

    async with serve(Shelf()) as served, served.client() as client:
        assert (await client.get(f"/books/{'9' * 40}")).text == "9" * 40
        assert (await client.get(f"/books/{'9' * 5000}")).status_code == 404
