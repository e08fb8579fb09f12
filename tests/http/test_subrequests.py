"""A route asks other routes of its application, and they answer as if the browser had asked."""

from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from plughost import Plugin, hookimpl
from plughost.contracts import Middleware, session_of
from plughost.http import (
    PUBLIC,
    SIGNED_IN,
    HttpSettings,
    Route,
    identity_of,
    json_body,
    scope,
    subrequest,
)
from plughost.plugins.sessions import SessionsPlugin
from plughost.plugins.sessions.desk import Desk
from serving import Serve, Served

pytestmark = pytest.mark.anyio


class Films(Plugin):
    """What is asked."""

    @hookimpl
    def register_routes(self) -> list[Any]:
        return [
            Route("/films", self.list_films, methods=["GET"], guard=SIGNED_IN),
            Route("/films/{name}", self.one, methods=["GET"], guard=PUBLIC, rate="read"),
            Route("/films", self.add, methods=["POST"], guard=scope("films:write")),
            Route("/broken", self.broken, methods=["GET"], guard=PUBLIC),
            Route("/count", self.count, methods=["POST"], guard=PUBLIC),
            Route("/circle", self.circle, methods=["GET"], guard=PUBLIC),
        ]

    async def list_films(self, request: Request) -> Response:
        return JSONResponse({"of": identity_of(request).name, "sort": request.query_params.get("sort")})

    async def one(self, request: Request) -> Response:
        return PlainTextResponse(f"{request.url.path} {request.path_params['name']}", headers={"Age": "7"})

    async def add(self, request: Request) -> Response:
        return JSONResponse(await json_body(request), 201)

    async def broken(self, request: Request) -> Response:
        raise KeyError("nobody's business")

    async def count(self, request: Request) -> Response:
        session = await session_of(request).load()
        session["count"] = session.get("count", 0) + 1
        return JSONResponse(session["count"])

    async def circle(self, request: Request) -> Response:
        return JSONResponse((await subrequest(request, "GET", "/circle")).status)


class Page(Plugin):
    """What asks: the request's query says for what."""

    @hookimpl
    def register_routes(self) -> list[Any]:
        return [Route("/page", self.page, methods=["GET", "POST"], guard=PUBLIC)]

    async def page(self, request: Request) -> Response:
        wanted = request.query_params
        query = {"sort": wanted["sort"]} if "sort" in wanted else None
        body = {"name": "Wings"} if "body" in wanted else None
        found = await subrequest(request, wanted.get("method", "GET"), wanted["path"], query=query, json=body)
        answer = {"status": found.status, "ok": found.ok, "json": found.json(), "text": found.body.decode()}
        return JSONResponse(answer | {"age": found.headers.get("age")})


async def asked(served: Served, token: str = "", method: str = "GET", **params: str) -> dict[str, Any]:
    async with served.client(token=token) as client:
        found: dict[str, Any] = (await client.request(method, "/page", params=params)).json()
        return found


async def test_the_other_route_sees_who_asks_and_its_guard_holds(serve: Serve) -> None:
    async with serve(Films, Page) as served:
        reader, writer = served.token("films:read"), served.token("films:write")
        found = await asked(served, reader, path="/films", sort="year")
        assert (found["status"], found["json"]["sort"]) == (200, "year")
        assert "(test)" in found["json"]["of"]
        assert (await asked(served, path="/films"))["status"] == 401
        for token, status in ((reader, 403), (writer, 201)):
            async with served.client(token=token) as client:
                answer = await client.get("/page", params={"path": "/films", "method": "POST", "body": "1"})
            assert answer.json()["status"] == status
        assert answer.json()["json"] == {"name": "Wings"}


async def test_what_is_missing_refused_or_broken_is_an_answer_and_the_page_goes_on(serve: Serve) -> None:
    async with serve(Films, Page) as served:
        for path, status, code in (("/nowhere", 404, "not_found"), ("/broken", 500, "internal_error")):
            found = await asked(served, path=path)
            assert (found["status"], found["ok"], found["json"]["code"]) == (status, False, code)
            assert "business" not in found["text"]
        await served.host.unload_plugin("films")
        assert (await asked(served, path="/films"))["status"] == 404


async def test_paths_are_those_inside_the_application_wherever_it_is_mounted(serve: Serve) -> None:
    async with serve(Films, Page) as served:
        for root in ("", "/deep/down"):
            scope_of_mount = {"root_path": root}

            async def mounted(scope: Any, receive: Any, send: Any, more: Any = scope_of_mount) -> None:
                await served.app({**scope, **more, "path": more["root_path"] + scope["path"]}, receive, send)

            async with served.client(app=mounted) as client:
                found = (await client.get("/page", params={"path": "/films/a b?c"})).json()
            assert (found["text"], found["age"]) == (f"{root}/films/a b%3Fc a b?c", "7")
            assert found["json"] is None


async def test_the_rate_of_the_other_route_counts(serve: Serve) -> None:
    settings = HttpSettings(rate_limits={"read": 2, "auth": 10, "write": 10})
    async with serve(Films, Page, settings=settings) as served:
        statuses = [(await asked(served, path="/films/x"))["status"] for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_what_the_other_route_does_to_the_session_goes_out_with_the_page(serve: Serve) -> None:
    config = {"plugins": {"sessions": {"config": {"store": "memory"}}}}
    async with (
        serve(SessionsPlugin, Films, Page, config=config) as served,
        served.client(base="https://a.test") as client,
    ):
        counts = [
            (await client.get("/page", params={"path": "/count", "method": "POST"})).json()["json"]
            for _ in range(3)
        ]
        assert counts == [1, 2, 3]


class Both(Plugin):
    """Asks for the same twice, side by side, before anybody has loaded the session."""

    @hookimpl
    def register_routes(self) -> list[Any]:
        return [Route("/both", self.both, methods=["POST"], guard=PUBLIC)]

    async def both(self, request: Request) -> Response:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(subrequest, request, "POST", "/count")
        return JSONResponse((await session_of(request).load())["count"])


async def test_routes_that_are_asked_side_by_side_have_one_session(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Desk.load

    async def slowly(desk: Desk, scope: Any) -> Any:
        found = await load(desk, scope)
        await anyio.lowlevel.checkpoint()  # as a store elsewhere takes its time
        return found

    monkeypatch.setattr(Desk, "load", slowly)
    config = {"plugins": {"sessions": {"config": {"store": "memory"}}}}
    async with (
        serve(SessionsPlugin, Films, Both, config=config) as served,
        served.client(base="https://a.test") as client,
    ):
        assert [(await client.post("/both")).json() for _ in range(2)] == [2, 4]


async def test_another_site_cannot_reach_through_a_page_what_it_cannot_reach_itself(serve: Serve) -> None:
    async with serve(Films, Page) as served, served.client() as client:
        foreign = {"Sec-Fetch-Site": "cross-site"}
        params = {"path": "/count", "method": "POST"}
        found = (await client.get("/page", params=params, headers=foreign)).json()
        assert (found["status"], found["json"]["code"]) == (403, "cross_site")


async def test_routes_that_ask_each_other_in_a_circle_end(serve: Serve) -> None:
    async with serve(Films, Page) as served:
        with anyio.fail_after(30):
            assert (await asked(served, path="/circle"))["status"] == 200


async def test_middleware_of_plugins_is_asked_once(serve: Serve) -> None:
    seen: list[str] = []

    class Watching(Plugin):
        @hookimpl
        def register_middleware(self) -> list[Middleware]:
            def around(app: Any) -> Any:
                async def watched(scope: Any, receive: Any, send: Any) -> None:
                    seen.append(scope["path"])
                    await app(scope, receive, send)

                return watched

            return [Middleware(factory=around, name="watching")]

    async with serve(Films, Page, Watching) as served:
        await asked(served, path="/films/x")
        assert seen == ["/page"]


async def test_a_path_that_is_no_path_is_the_asking_route_s_fault(serve: Serve) -> None:
    async with serve(Films, Page) as served, served.client() as client:
        assert (await client.get("/page", params={"path": "films"})).status_code == 500
