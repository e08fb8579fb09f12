"""Which requests of other sites are refused: the whole table."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route, scope
from plughost.http.csrf import is_cross_site

SITES = [None, "same-origin", "none", "same-site", "cross-site", "", "SAME-ORIGIN", "x"]
ORIGINS = [
    None,
    "http://host:8000",
    "HTTP://HOST:8000",
    "https://host:8000",
    "http://host",
    "http://evil",
    "null",
]


def connection(method: str = "POST", scheme: str = "http", **headers: str | None) -> dict[str, Any]:
    given = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in headers.items()
        if value is not None
    ]
    return {"type": "http", "method": method, "scheme": scheme, "headers": [(b"host", b"host:8000"), *given]}


@pytest.mark.parametrize(("site", "origin"), list(itertools.product(SITES, ORIGINS)))
def test_the_site_header_decides_and_without_it_the_origin(site, origin):
    if site is not None:
        refused = site not in ("same-origin", "none")
    else:
        refused = origin is not None and origin.lower() != "http://host:8000"
    assert is_cross_site(connection(sec_fetch_site=site, origin=origin)) is refused


@pytest.mark.parametrize("mode", ["cors", "no-cors", "navigate", "websocket"])
def test_the_mode_header_is_never_asked(mode):
    assert is_cross_site(connection(sec_fetch_site="cross-site", sec_fetch_mode=mode))
    assert not is_cross_site(connection(sec_fetch_site="same-origin", sec_fetch_mode=mode))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_changes_nothing_may_come_from_anywhere(method):
    assert not is_cross_site(connection(method, sec_fetch_site="cross-site", origin="http://evil"))


def test_a_second_header_does_not_overrule_the_first():
    one = connection(sec_fetch_site="same-origin")
    one["headers"].append((b"sec-fetch-site", b"cross-site"))
    assert is_cross_site(one)


def test_an_origin_is_compared_with_its_port_whether_written_or_not():
    plain = {"type": "http", "method": "POST", "scheme": "http", "headers": [(b"host", b"host")]}
    for origin, refused in {
        b"http://host": False,
        b"http://host:80": False,
        b"http://host:443": True,
    }.items():
        assert is_cross_site({**plain, "headers": [*plain["headers"], (b"origin", origin)]}) is refused


def test_a_websocket_handshake_is_looked_at_though_it_is_a_get():
    handshake = {
        "type": "websocket",
        "scheme": "ws",
        "headers": [(b"host", b"host"), (b"origin", b"http://evil")],
    }
    assert is_cross_site(handshake)
    handshake["headers"] = [(b"host", b"host"), (b"origin", b"http://host")]
    assert not is_cross_site(handshake)


class Shop(Plugin):
    name = "shop"

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def change(request: Request) -> Response:
            return PlainTextResponse("changed")

        return [
            Route("/open", change, methods=["POST"], guard=PUBLIC),
            Route("/hook", change, methods=["POST"], guard=PUBLIC, csrf=False),
            Route("/stock", change, methods=["POST"], guard=scope("stock:write")),
        ]


@pytest.mark.anyio
async def test_a_post_of_another_site_is_refused_even_where_everybody_may_post(serve):
    async with serve(Shop) as served, served.client() as client:
        answer = await client.post("/open", headers={"Sec-Fetch-Site": "cross-site"})
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site")


@pytest.mark.anyio
async def test_a_route_for_other_sites_says_so_itself(serve):
    async with serve(Shop) as served, served.client() as client:
        assert (await client.post("/hook", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


@pytest.mark.anyio
async def test_a_bearer_token_is_enough_only_when_no_cookie_came_along(serve):
    async with serve(Shop) as served, served.client(token=served.token("stock:write")) as client:
        elsewhere = {"Origin": "http://evil.example"}
        assert (await client.post("/stock", headers=elsewhere)).status_code == 200
        assert (await client.post("/stock", headers={**elsewhere, "Cookie": "a=b"})).status_code == 403
