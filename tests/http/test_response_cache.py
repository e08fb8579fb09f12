"""Answers kept for the next who asks, and those that must not be."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from plughost import Plugin, hookimpl
from plughost.contracts import CacheManager
from plughost.http import PUBLIC, CachePolicy, Route, scope
from plughost.plugins.cache.plugin import CachePlugin

pytestmark = pytest.mark.anyio

MINUTE = CachePolicy(ttl=60, tags=("films",))


class Films(Plugin):
    name = "films"

    def __init__(self) -> None:
        self.made = 0

    @hookimpl
    def register_routes(self) -> list[Route]:
        async def film(request: Request) -> Response:
            self.made += 1
            return PlainTextResponse(f"film {self.made} {request.headers.get('accept-language')}")

        async def cookie(request: Request) -> Response:
            self.made += 1
            return PlainTextResponse("x", headers={"Set-Cookie": "a=b"})

        async def private(request: Request) -> Response:
            self.made += 1
            return PlainTextResponse("x", headers={"Cache-Control": "private"})

        async def missing(request: Request) -> Response:
            self.made += 1
            return PlainTextResponse("x", status_code=404)

        async def session(request: Request) -> Response:
            return PlainTextResponse(str("session" in request.scope))

        async def stream(request: Request) -> Response:
            self.made += 1

            async def body() -> Any:
                yield b"a"
                yield b"b"

            return StreamingResponse(body())

        return [
            Route(
                "/film",
                film,
                guard=PUBLIC,
                cache=CachePolicy(ttl=60, vary=("accept-language",), tags=("films",)),
            ),
            Route("/mine", film, guard=scope("films:read"), cache=MINUTE),
            Route("/cookie", cookie, guard=PUBLIC, cache=MINUTE),
            Route("/private", private, guard=PUBLIC, cache=MINUTE),
            Route("/missing", missing, guard=PUBLIC, cache=MINUTE),
            Route("/session", session, guard=PUBLIC, cache=MINUTE),
            Route("/stream", stream, guard=PUBLIC, cache=MINUTE),
            Route("/stream/small", stream, guard=PUBLIC, cache=CachePolicy(ttl=60, most=2)),
            Route("/stream/large", stream, guard=PUBLIC, cache=CachePolicy(ttl=60, most=1)),
        ]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_the_second_who_asks_gets_the_first_answer(serve):
    async with serve(CachePlugin, Films) as served, served.client() as client:
        first, second = await client.get("/film"), await client.get("/film")
        assert first.text == second.text == "film 1 None"
        assert first.headers["cache-control"] == "public, max-age=60"
        assert second.headers["cache-status"].startswith("plughost; hit")
        assert second.headers["etag"] == first.headers["etag"]
        assert int(second.headers["age"]) <= 1


async def test_who_has_it_already_is_told_so(serve):
    async with serve(CachePlugin, Films) as served, served.client() as client:
        etag = (await client.get("/film")).headers["etag"]
        for known in (etag, f'"x", W/{etag}', "*"):
            answer = await client.get("/film", headers={"If-None-Match": known})
            assert (answer.status_code, answer.text) == (304, "")


async def test_another_query_or_header_that_matters_is_another_answer(serve):
    async with serve(CachePlugin, Films) as served, served.client() as client:
        await client.get("/film")
        assert (await client.get("/film?x=1")).text.startswith("film 2")
        assert (await client.get("/film", headers={"Accept-Language": "de"})).text == "film 3 de"


async def test_who_wants_it_fresh_gets_it_fresh_and_renews_it_for_all(serve):
    async with serve(CachePlugin, Films) as served, served.client() as client:
        await client.get("/film")
        assert (await client.get("/film", headers={"Cache-Control": "no-cache"})).text.startswith("film 2")
        assert (await client.get("/film")).text.startswith("film 2")


@pytest.mark.parametrize("path", ["/cookie", "/private", "/missing"])
async def test_what_is_for_one_or_no_answer_at_all_is_not_kept(serve, path):
    plugin = Films()
    async with serve(CachePlugin, plugin) as served, served.client() as client:
        await client.get(path)
        await client.get(path)
        assert plugin.made == 2


async def test_what_is_for_somebody_known_is_for_that_one_alone(serve):
    async with serve(CachePlugin, Films) as served:
        texts = []
        for token in (served.token("films:read"), served.token("films:read")):
            async with served.client(token=token) as client:
                answers = [await client.get("/mine") for _ in range(2)]
                assert answers[0].text == answers[1].text
                assert answers[1].headers["cache-control"].startswith("private")
                texts.append(answers[0].text)
        assert texts[0] != texts[1]


async def test_an_answer_for_all_cannot_see_a_session(serve):
    async with serve(CachePlugin, Films) as served, served.client() as client:
        assert (await client.get("/session")).text == "False"


async def test_a_stream_is_kept_too_once_it_has_gone_through(serve):
    plugin = Films()
    async with serve(CachePlugin, plugin) as served, served.client() as client:
        assert [(await client.get("/stream")).text for _ in range(2)] == ["ab", "ab"]
        assert plugin.made == 1


async def test_a_stream_that_grows_too_large_goes_through_whole_each_time_and_is_not_kept(serve):
    plugin = Films()
    async with serve(CachePlugin, plugin) as served, served.client() as client:
        assert [(await client.get("/stream/small")).text for _ in range(2)] == ["ab", "ab"]
        assert plugin.made == 1
        assert [(await client.get("/stream/large")).text for _ in range(2)] == ["ab", "ab"]
        assert plugin.made == 3


async def test_a_long_answer_is_kept_as_it_was_before_it_was_compressed(serve):
    class Long(Plugin):
        name = "long"

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def page(request: Request) -> Response:
                return PlainTextResponse("long " * 1000)

            return [Route("/long", page, guard=PUBLIC, cache=MINUTE)]

    async with serve(CachePlugin, Long) as served, served.client() as client:
        packed = await client.get("/long", headers={"Accept-Encoding": "gzip"})
        plain = await client.get("/long", headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert "hit" in plain.headers["cache-status"]
        assert packed.text == plain.text == "long " * 1000


async def test_answers_can_be_invalidated_by_their_tag(serve):
    async with serve(CachePlugin, Films) as served, served.client() as client:
        await client.get("/film")
        await served.host.use(CacheManager).get("http").invalidate_tag("films")
        assert (await client.get("/film")).text.startswith("film 2")


async def test_without_a_cache_the_headers_are_there_and_each_answer_is_made(serve):
    async with serve(Films) as served, served.client() as client:
        first = await client.get("/film")
        assert first.headers["cache-control"] == "public, max-age=60"
        assert "stored" not in first.headers["cache-status"]
        assert (await client.get("/film")).text.startswith("film 2")


async def test_a_head_request_gets_the_headers_alone(serve):
    async with serve(CachePlugin, Films) as served, served.client() as client:
        await client.get("/film")
        answer = await client.head("/film")
        assert (answer.status_code, answer.text) == (200, "")
