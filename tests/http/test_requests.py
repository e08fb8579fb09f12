"""What requests may look like, and what is answered to those that may not."""

from __future__ import annotations

import gc
import json
from typing import Any

import msgspec
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, HttpSettings, Problem, Route, form_body, json_body
from plughost.http.bodies import refuse_depth

pytestmark = pytest.mark.anyio


class Order(msgspec.Struct, forbid_unknown_fields=True):
    item: str
    count: int = 1


async def order(request: Request) -> Response:
    given = await json_body(request, Order)
    return JSONResponse({"item": given.item, "count": given.count})


async def anything(request: Request) -> Response:
    return JSONResponse({"got": await json_body(request) is not None})


async def letter(request: Request) -> Response:
    return JSONResponse(await form_body(request))


async def upload(request: Request) -> Response:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    return PlainTextResponse(str(size))


class Shop(Plugin):
    name = "shop"

    @hookimpl
    def register_routes(self) -> list[Route]:
        return [
            Route("/order", order, methods=["POST"], guard=PUBLIC),
            Route("/anything", anything, methods=["POST"], guard=PUBLIC),
            Route("/letter", letter, methods=["POST"], guard=PUBLIC),
            Route("/upload", upload, methods=["POST"], guard=PUBLIC, max_body=100),
            Route("/big", upload, methods=["POST"], guard=PUBLIC, max_body=10_000_000),
        ]


async def post(serve: Any, path: str, **request: Any) -> Any:
    async with serve(Shop, settings=HttpSettings(max_body=10_000)) as served, served.client() as client:
        return await client.post(path, **request)


async def test_a_body_that_fits_is_given_as_its_type(serve):
    answer = await post(serve, "/order", json={"item": "tea", "count": 2})
    assert answer.json() == {"item": "tea", "count": 2}


@pytest.mark.parametrize(
    ("body", "word"), [({"item": 3}, "$.item"), ({"item": "tea", "colour": "red"}, "colour"), ([], "object")]
)
async def test_a_body_that_does_not_fit_is_a_422_that_names_the_place(serve, body, word):
    answer = await post(serve, "/order", json=body)
    assert answer.status_code == 422
    assert word in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"{", b"\xff\xfe", b"nul", b'{"item": "\xff"}'])
async def test_a_body_that_is_no_json_is_a_400(serve, body):
    answer = await post(serve, "/order", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400


async def test_a_body_of_another_type_is_a_415_so_that_no_form_of_another_site_gets_through(serve):
    answer = await post(serve, "/order", content=b'{"item": "tea"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415


@pytest.mark.parametrize("deep", ["[" * 5000 + "]" * 5000, '{"a":' * 33 + "1" + "}" * 33])
async def test_a_body_that_nests_too_deep_is_refused_before_anything_recurses(serve, deep):
    answer = await post(serve, "/anything", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_brackets_inside_strings_do_not_nest():
    refuse_depth(json.dumps(["[" * 100, '\\"[[[']).encode(), 2)
    with pytest.raises(Problem, match="2 levels"):
        refuse_depth(b"[[[]]]", 2)


async def test_a_body_above_the_limit_is_refused_by_its_length(serve):
    answer = await post(serve, "/upload", content=b"x" * 101)
    assert (answer.status_code, answer.json()["limit"]) == (413, 100)


# The client leaves its own generator over the body where it is; on trio that is told when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_a_body_without_a_length_is_refused_once_it_is_above_the_limit(serve):
    async def chunks():
        for _ in range(11):
            yield b"x" * 10

    answer = await post(serve, "/upload", content=chunks())
    assert answer.status_code == 413
    gc.collect()


async def test_a_route_may_take_more_than_the_application(serve):
    assert (await post(serve, "/big", content=b"x" * 20_000)).text == "20000"


async def test_a_form_is_given_as_its_fields(serve):
    assert (await post(serve, "/letter", data={"to": "ada", "about": ""})).json() == {
        "to": "ada",
        "about": "",
    }


async def test_a_form_with_more_fields_than_anybody_needs_is_refused(serve):
    answer = await post(serve, "/letter", data={f"f{number}": "x" for number in range(101)})
    assert answer.status_code == 400


async def test_another_method_is_a_405_that_names_those_that_work(serve):
    async with serve(Shop) as served, served.client() as client:
        answer = await client.get("/order")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


SHAPES = {
    "two lengths": [(b"content-length", b"1"), (b"content-length", b"2")],
    "a list as length": [(b"content-length", b"1, 1")],
    "a signed length": [(b"content-length", b"+1")],
    "an endless length": [(b"content-length", b"9" * 30)],
    "length and coding": [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")],
    "another coding": [(b"transfer-encoding", b"gzip, chunked")],
    "a coding spelled oddly": [(b"transfer-encoding", b"xchunked")],
    "two codings": [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")],
    "two hosts": [(b"host", b"evil.example")],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
async def test_a_shape_that_two_programs_could_read_differently_is_refused(serve, shape):
    async with serve(Shop) as served:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/upload", "raw_path": b"/upload", "query_string": b"",
            "headers": [(b"host", b"testserver"), *shape], "scheme": "http", "client": ("203.0.113.9", 1),
            "server": ("testserver", 80), "http_version": "1.1", "root_path": "",
        }  # fmt: skip
        await served.app(scope, receive, send)
        assert sent[0]["status"] == 400


async def test_an_api_version_nobody_speaks_is_refused_and_ours_is_told(serve):
    async with serve(Shop) as served, served.client() as client:
        assert (await client.get("/livez")).headers["api-version"] == "1"
        assert (await client.get("/livez", headers={"Accept-Version": "1"})).status_code == 200
        assert (await client.get("/livez", headers={"Accept-Version": "2"})).status_code == 400


async def test_a_person_is_answered_with_a_page_and_a_program_with_a_document(serve):
    async with serve(Shop) as served, served.client() as client:
        page = await client.get("/nowhere/<b>", headers={"Accept": "text/html,*/*"})
        assert page.headers["content-type"].startswith("text/html")
        assert "404 Not Found" in page.text
        document = await client.get("/nowhere")
        assert document.headers["content-type"] == "application/problem+json"
        assert document.json() == {
            "type": "about:blank", "title": "Not Found", "status": 404, "detail": "There is nothing here.",
            "code": "not_found",
        }  # fmt: skip


@pytest.mark.parametrize("part", [b"[],", b"{},", b'{"a":[]},'])
def test_json_of_more_parts_than_anybody_needs_is_refused_before_it_is_decoded(part):
    refuse_depth(b"[" + part * 20_000 + b"1]", 32)
    refuse_depth(b'["' + part.replace(b'"', b"") * 200_000 + b'"]', 32)  # text that only looks like it
    with pytest.raises(Problem) as refused:
        refuse_depth(b"[" + part * 60_000 + b"1]", 32)
    assert (refused.value.status, refused.value.code) == (413, "body_too_many_parts")
