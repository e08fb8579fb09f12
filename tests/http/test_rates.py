"""Rate classes: counted here, or by the service."""

from __future__ import annotations

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import LimitResult, RateLimiter
from plughost.exceptions import RouteError
from plughost.http import PUBLIC, HttpSettings, Identity, Route, scope
from plughost.http.rates import subject_of


class Shop(Plugin):
    name = "shop"

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def hello(request: Request) -> Response:
            return PlainTextResponse("hello")

        return [
            Route("/offers", hello, guard=PUBLIC, rate="offers"),
            Route("/stock", hello, guard=scope("stock:read"), rate="offers"),
        ]


THREE = HttpSettings(rate_limits={"offers": 3})


async def test_what_comes_too_often_is_a_429_that_says_when_to_come_again(serve, anyio_backend):
    async with serve(Shop, settings=THREE) as served, served.client() as client:
        for _ in range(3):
            assert (await client.get("/offers")).status_code == 200
        answer = await client.get("/offers")
        assert answer.status_code == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 120  # this window's rest, and as much of the next


async def test_one_client_does_not_use_up_the_share_of_another(serve, anyio_backend):
    async with serve(Shop, settings=THREE) as served:
        async with served.client(address=("198.51.100.1", 1)) as one:
            for _ in range(4):
                await one.get("/offers")
        async with served.client(address=("198.51.100.2", 1)) as other:
            assert (await other.get("/offers")).status_code == 200


async def test_a_forged_forwarding_header_does_not_make_another_client(serve, anyio_backend):
    async with serve(Shop, settings=THREE) as served, served.client() as client:
        for number in range(3):
            await client.get("/offers", headers={"X-Forwarded-For": f"10.0.0.{number}"})
        assert (await client.get("/offers", headers={"X-Forwarded-For": "10.0.0.9"})).status_code == 429


async def test_who_is_known_is_counted_by_name(serve, anyio_backend):
    async with serve(Shop, settings=THREE) as served:
        for _ in range(2):
            token = served.token("stock:read")
            async with served.client(token=token) as client:
                codes = [(await client.get("/stock")).status_code for _ in range(4)]
                assert codes == [200, 200, 200, 429]


async def test_a_route_in_an_unknown_class_is_refused(serve, anyio_backend):
    with pytest.raises(RouteError, match="unknown rate class 'offers'"):
        async with serve(Shop):
            pass


async def test_the_service_counts_when_it_is_there(serve, anyio_backend):
    asked: list[str] = []

    class Counting:
        async def check(self, key: str, window: float, limit: int) -> LimitResult:
            asked.append(key)
            return LimitResult(allowed=False, limit=limit, remaining=0, reset_after=1, retry_after=7)

    class Limits(Plugin):
        name = "limits"

        async def start(self, context: PluginContext) -> None:
            context.provide(RateLimiter, Counting())  # type: ignore[type-abstract, arg-type]

    async with serve(Limits, Shop, settings=THREE) as served, served.client() as client:
        answer = await client.get("/offers")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert asked == ["http:offers:203.0.113.7"]


def test_clients_nobody_can_tell_apart_share_no_bucket():
    assert subject_of({"client": None}, Identity()) is None
