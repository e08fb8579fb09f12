"""Every route has a guard, and nothing goes past it."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as BareRoute

from plughost import Plugin, hookimpl
from plughost.exceptions import RouteError
from plughost.http import LOOPBACK, PUBLIC, SIGNED_IN, Identity, Route, any_of, identity_of, scope
from plughost.testing.clock import FakeClock

pytestmark = pytest.mark.anyio


async def hello(request: Request) -> Response:
    return PlainTextResponse(f"hello {identity_of(request).name}")


class Shop(Plugin):
    name = "shop"

    @hookimpl
    def register_routes(self) -> list[Route]:
        return [
            Route("/open", hello, guard=PUBLIC),
            Route("/known", hello, guard=SIGNED_IN),
            Route("/stock", hello, guard=scope("stock:read")),
            Route("/stock", hello, methods=["POST"], guard=scope("stock:write")),
            Route("/stock/{item}", hello, guard=scope("stock:read")),
        ]


class Careless(Plugin):
    name = "careless"

    @hookimpl
    def register_routes(self) -> list[BareRoute]:
        return [BareRoute("/secrets", hello)]


async def test_a_public_route_answers_everybody(serve):
    async with serve(Shop) as served, served.client() as client:
        assert (await client.get("/open")).status_code == 200


async def test_without_a_credential_a_guarded_route_asks_for_one(serve):
    async with serve(Shop) as served, served.client() as client:
        answer = await client.get("/stock")
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="plughost"'
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "unauthorized"


async def test_a_token_with_the_scope_passes(serve):
    async with serve(Shop) as served, served.client(token=served.token("stock:read")) as client:
        assert (await client.get("/stock")).text.startswith("hello token ")


async def test_a_token_without_the_scope_is_told_which_one_it_needs(serve):
    async with serve(Shop) as served, served.client(token=served.token("stock:read")) as client:
        answer = await client.post("/stock")
        assert answer.status_code == 403
        assert "stock:write" in answer.json()["detail"]


@pytest.mark.parametrize("wide", ["stock:*", "*"])
async def test_a_wider_scope_includes_the_narrower(serve, wide):
    async with serve(Shop) as served, served.client(token=served.token(wide)) as client:
        assert (await client.post("/stock")).status_code == 200


async def test_any_token_counts_as_signed_in(serve):
    async with serve(Shop) as served, served.client(token=served.token("nothing")) as client:
        assert (await client.get("/known")).status_code == 200


@pytest.mark.parametrize(
    "forged",
    [
        "phk_000000000000_" + "0" * 64,
        "phk_x",
        "",
        "phk_000000000000_" + "0" * 63 + "é",
        "../../etc/passwd",
    ],
)
async def test_a_token_that_was_never_made_is_refused(serve, forged):
    async with serve(Shop) as served, served.client() as client:
        headers = {"Authorization": b"Bearer " + forged.encode("latin-1")}
        answer = await client.get("/stock", headers=headers)
        assert answer.status_code == 401


async def test_a_token_with_another_secret_is_refused(serve):
    async with serve(Shop) as served:
        token = served.token("*")
        forged = token[:-1] + ("0" if token[-1] != "0" else "1")
        async with served.client(token=forged) as client:
            assert (await client.get("/stock")).json()["code"] == "invalid_token"


async def test_an_expired_token_is_refused(serve):
    clock = FakeClock()
    async with serve(Shop, clock=clock) as served:
        token = served.token("*", lifetime=60)
        async with served.client(token=token) as client:
            assert (await client.get("/stock")).status_code == 200
            clock.jump(61)
            assert (await client.get("/stock")).status_code == 401


async def test_a_revoked_token_is_refused_at_once(serve):
    async with serve(Shop) as served:
        token = served.token("*")
        async with served.client(token=token) as client:
            assert (await client.get("/stock")).status_code == 200
            assert served.app.runtime.tokens.revoke(token.split("_")[1])
            assert (await client.get("/stock")).status_code == 401


async def test_two_authorization_headers_are_refused_though_one_is_right(serve):
    async with serve(Shop) as served, served.client() as client:
        right = f"Bearer {served.token('*')}"
        answer = await client.get("/stock", headers=[("Authorization", right), ("Authorization", "Bearer x")])
        assert answer.status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "//stock",
        "/stock/",
        "/./stock",
        "/open/../stock",
        "/%2fstock",
        "/stock%2f",
        "/STOCK",
        "/stock;x",
        "/stock%00",
    ],
)
async def test_odd_spellings_of_a_path_never_reach_a_guarded_endpoint(serve, path):
    async with serve(Shop) as served:
        async with served.client() as client:
            client._base_url = client.base_url.copy_with(raw_path=b"")  # keep the spelling as it is
            answer = await client.get("http://testserver" + path)
        assert answer.status_code in (401, 404)
        assert "hello" not in answer.text


async def test_a_route_without_a_guard_cannot_be_made():
    with pytest.raises(TypeError, match="guard"):
        Route("/secrets", hello)  # type: ignore[call-arg]


async def test_a_bare_route_of_a_plugin_keeps_the_application_from_being_made(serve):
    with pytest.raises(RouteError, match=r"plugin 'careless': route /secrets has no guard") as refused:
        async with serve(Shop, Careless):
            pass
    assert (refused.value.plugin, refused.value.path) == ("careless", "/secrets")


async def test_a_bare_route_that_comes_later_is_left_out_and_the_rest_goes_on(serve):
    async with serve(Shop) as served, served.client() as client:
        await served.host.load_plugin(Careless)
        assert (await client.get("/secrets")).status_code == 404
        assert (await client.get("/open")).status_code == 200
        assert "careless" in served.app.runtime.left_out[0]


async def test_a_route_cannot_take_the_place_of_another_plugins(serve):
    class Thief(Plugin):
        name = "thief"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [Route("/stock", hello, guard=PUBLIC)]

    with pytest.raises(RouteError, match="taken by"):
        async with serve(Shop, Thief):
            pass


async def test_a_route_cannot_take_the_place_of_the_hosts_own(serve):
    class Thief(Plugin):
        name = "thief"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [Route("/livez", hello, guard=PUBLIC)]

    with pytest.raises(RouteError, match="taken by the host itself"):
        async with serve(Thief):
            pass


class Anything:
    """An ASGI application: a route to it answers every method."""

    async def __call__(self, scope, receive, send):
        await hello(None)(scope, receive, send)


PAIRS = {
    "the same twice": (("/a", hello, ["GET"]), ("/a", hello, ["GET"])),
    "one of two methods": (("/a", hello, ["GET", "POST"]), ("/a", hello, ["POST", "PUT"])),
    "a parameter of another name": (("/a/{id}", hello, ["GET"]), ("/a/{name}", hello, ["GET"])),
    "behind one that answers everything": (("/a", Anything(), None), ("/a", hello, ["PUT"])),
    "HEAD behind GET": (("/a", hello, ["GET"]), ("/a", hello, ["HEAD"])),
}


def two(first, second):
    class Two(Plugin):
        name = "two"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [
                Route(path, endpoint, methods=methods, guard=PUBLIC)
                for path, endpoint, methods in (first, second)
            ]

    return Two


@pytest.mark.parametrize("pair", PAIRS)
async def test_a_route_that_would_never_be_asked_is_refused_with_its_plugin(serve, pair):
    with pytest.raises(RouteError, match=r"'two': route \w+ /a.* is there twice") as raised:
        async with serve(two(*PAIRS[pair])):
            pass
    assert raised.value.plugin == "two"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("/a", hello, ["GET"]), ("/a", hello, ["POST"])),
        (("/a", hello, ["HEAD"]), ("/a", hello, ["GET"])),
        (("/a", hello, ["GET"]), ("/a", Anything(), None)),
        (("/a/{id}", hello, ["GET"]), ("/a/{id:int}", hello, ["GET"])),
        (("/a/b", hello, ["GET"]), ("/a/{id}", hello, ["GET"])),
    ],
)
async def test_routes_that_leave_each_other_something_stand_side_by_side(serve, first, second):
    async with serve(two(first, second)) as served:
        assert len([route for route in served.app.runtime.routes if route.plugin == "two"]) == 2


@pytest.mark.parametrize("turn", [1, -1])
async def test_a_route_for_every_method_is_taken_and_takes_as_any_other(serve, turn):
    class One(Plugin):
        name = "one"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [Route("/a/{id}", Anything(), guard=PUBLIC)]

    class Other(Plugin):
        name = "other"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [Route("/a/{key}", hello, guard=PUBLIC)]

    with pytest.raises(RouteError, match="is taken by"):
        async with serve(*[One, Other][::turn]):
            pass


async def test_a_guarded_route_in_a_foreign_application_refuses_all(serve):
    async with serve() as served:
        from starlette.applications import Starlette

        foreign = Starlette(routes=[Route("/stock", hello, guard=PUBLIC)])
        async with served.client(app=foreign) as client:
            assert (await client.get("/stock")).status_code == 503


def test_loopback_is_neither_a_proxied_request_nor_a_rebound_name():
    def connection(client: str, host: bytes, *more: tuple[bytes, bytes]) -> dict[str, object]:
        return {"client": (client, 1), "headers": [(b"host", host), *more]}

    nobody = Identity()
    assert LOOPBACK.allows(nobody, connection("127.0.0.1", b"localhost:8000"))
    assert LOOPBACK.allows(nobody, connection("::1", b"[::1]:8000"))
    assert not LOOPBACK.allows(nobody, connection("10.0.0.1", b"localhost:8000"))
    assert not LOOPBACK.allows(nobody, connection("127.0.0.1", b"evil.example:8000"))
    assert not LOOPBACK.allows(
        nobody, connection("127.0.0.1", b"localhost", (b"x-forwarded-for", b"1.2.3.4"))
    )
    assert not LOOPBACK.allows(nobody, {"client": None, "headers": []})


def test_any_of_wants_what_would_help():
    guard = any_of(LOOPBACK, scope("metrics"))
    assert guard.wants == "metrics"
    assert guard.looks_at_identity
    with pytest.raises(ValueError, match="at least one"):
        any_of()


@pytest.mark.parametrize("name", ["", "*", "cache:*", " x"])
def test_a_guard_names_one_scope(name):
    with pytest.raises(ValueError, match="a scope is named"):
        scope(name)
