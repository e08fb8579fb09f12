"""Routes that fail, hang or lose their plugin: answered by a problem document, and nobody else notices."""

from __future__ import annotations

import logging
import threading
from typing import Any

import anyio
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from plughost import Plugin, PluginContext, hookimpl
from plughost.contracts import ASGIApp, HttpContext, Middleware, Receive, Scope, Send
from plughost.exceptions import RouteError, StoreUnavailableError
from plughost.http import PUBLIC, HttpSettings, Problem, Route

pytestmark = pytest.mark.anyio

SECRET = "password=hunter2 at /srv/app/db.py"


async def fine(request: Request) -> Response:
    return PlainTextResponse("fine")


async def raising(request: Request) -> Response:
    raise RuntimeError(SECRET)


async def hanging(request: Request) -> Response:
    await anyio.sleep_forever()
    raise AssertionError


class Broken(Plugin):
    name = "broken"

    def __init__(self) -> None:
        self.release = threading.Event()

    async def stop(self) -> None:
        self.release.set()

    @hookimpl
    def register_routes(self) -> list[Route]:
        def blocking(request: Request) -> Response:
            self.release.wait(30)
            return PlainTextResponse("late")

        def plain(request: Request) -> Response:
            return PlainTextResponse(threading.current_thread().name)

        async def away(request: Request) -> Response:
            raise StoreUnavailableError(SECRET)

        async def polite(request: Request) -> Response:
            raise Problem(409, "That is taken.", code="taken")

        async def starlettes(request: Request) -> Response:
            raise HTTPException(418, "A teapot.")

        async def slowly(request: Request) -> Response:
            async def body():
                for _ in range(3):
                    await anyio.sleep(0.15)
                    yield b"x"

            return StreamingResponse(body())

        quick = {"guard": PUBLIC, "timeout": 0.2}
        return [
            Route("/fine", fine, guard=PUBLIC),
            Route("/raising", raising, guard=PUBLIC),
            Route("/hanging", hanging, **quick),
            Route("/blocking", blocking, **quick),
            Route("/plain", plain, guard=PUBLIC),
            Route("/away", away, guard=PUBLIC),
            Route("/polite", polite, guard=PUBLIC),
            Route("/teapot", starlettes, guard=PUBLIC),
            Route("/slowly", slowly, **quick),
        ]


async def get(serve: Any, path: str, **options: Any) -> Any:
    async with serve(Broken, **options) as served, served.client() as client:
        return await client.get(path)


async def test_a_route_that_raises_is_a_500_that_names_no_internals(serve, caplog):
    with caplog.at_level(logging.ERROR, "plughost.http"):
        answer = await get(serve, "/raising")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert "RuntimeError" not in answer.text
    assert caplog.records[0].route == "/raising"
    assert caplog.records[0].plugin == "broken"
    assert caplog.records[0].request_id in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/hanging", "/blocking"])
async def test_a_route_that_hangs_is_a_503_once_its_limit_has_passed(serve, path):
    answer = await get(serve, path)
    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")


async def test_the_limit_of_all_routes_can_be_set(serve):
    class Slow(Plugin):
        name = "slow"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [Route("/slow", hanging, guard=PUBLIC)]

    async with serve(Slow, settings=HttpSettings(request_timeout=0.1)) as served, served.client() as client:
        assert (await client.get("/slow")).status_code == 503


async def test_the_limit_is_for_the_beginning_of_an_answer_not_for_its_end(serve):
    answer = await get(serve, "/slowly")
    assert (answer.status_code, answer.text) == (200, "xxx")


async def test_a_plain_function_runs_in_a_thread(serve):
    assert "plughost route /plain" in (await get(serve, "/plain")).text


async def test_a_store_that_is_away_is_a_503(serve):
    answer = await get(serve, "/away")
    assert answer.status_code == 503
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("path", "status", "detail"), [("/polite", 409, "That is taken."), ("/teapot", 418, "A teapot.")]
)
async def test_a_route_may_refuse_in_its_own_words(serve, path, status, detail):
    answer = await get(serve, path)
    assert (answer.status_code, answer.json()["detail"]) == (status, detail)


async def test_one_broken_route_leaves_the_others_alone(serve):
    async with serve(Broken) as served, served.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.get, "/hanging")
        tasks.start_soon(client.get, "/raising")
        assert (await client.get("/fine")).text == "fine"


async def test_the_routes_of_an_unloaded_plugin_are_gone_and_come_back_with_it(serve):
    async with serve(Broken) as served, served.client() as client:
        assert (await client.get("/fine")).status_code == 200
        await served.host.unload_plugin("broken")
        assert (await client.get("/fine")).status_code == 404
        await served.host.load_plugin("broken")
        assert (await client.get("/fine")).status_code == 200


async def test_a_reload_swaps_routes_and_loses_no_request(serve):
    class Counting(Plugin):
        name = "counting"
        starts = 0

        async def start(self, context: PluginContext) -> None:
            type(self).starts += 1
            self.number = type(self).starts

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def number(request: Request) -> Response:
                return PlainTextResponse(str(self.number))

            return [Route("/number", number, guard=PUBLIC)]

    Counting.starts = 0
    async with serve(Counting) as served, served.client() as client:
        answers: list[Any] = []

        async def ask() -> None:
            for _ in range(40):
                answers.append(await client.get("/number"))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            for _ in range(5):
                await served.host.reload_plugin("counting")
        assert {answer.status_code for answer in answers} == {200}
        assert (await client.get("/number")).text == "6"


async def test_routes_turn_to_the_new_one_before_the_old_one_stops(serve):
    seen: list[str] = []
    clients: list[Any] = []

    class Turning(Plugin):
        name = "turning"
        starts = 0

        async def start(self, context: PluginContext) -> None:
            type(self).starts += 1
            self.number = type(self).starts

        async def stop(self) -> None:
            if self.number == 1:
                seen.append((await clients[0].get("/turning")).text)

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def number(request: Request) -> Response:
                return PlainTextResponse(str(self.number))

            return [Route("/turning", number, guard=PUBLIC)]

    async with serve(Turning) as served, served.client() as client:
        clients.append(client)
        assert (await client.get("/turning")).text == "1"
        await served.host.reload_plugin("turning")
        assert seen == ["2"]


async def test_a_request_whose_plugin_is_stopped_under_it_is_a_503(serve):
    class Leaving(Plugin):
        name = "leaving"

        def __init__(self) -> None:
            self.entered = anyio.Event()
            self.gone = anyio.Event()

        async def stop(self) -> None:
            self.gone.set()

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def waiting(request: Request) -> Response:
                self.entered.set()
                await self.gone.wait()
                raise RuntimeError("the database was closed")

            return [Route("/waiting", waiting, guard=PUBLIC)]

    plugin = Leaving()
    async with serve(plugin) as served, served.client() as client:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await client.get("/waiting"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await plugin.entered.wait()
            await served.host.unload_plugin("leaving")
        assert answers[0].status_code == 503


async def test_middleware_stands_by_priority_the_higher_further_out(serve):
    def naming(name: str) -> Any:
        def around(app: ASGIApp) -> ASGIApp:
            async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
                scope.setdefault("names", []).append(name)
                await app(scope, receive, send)

            return middleware

        return around

    class Layers(Plugin):
        name = "layers"

        @hookimpl
        def register_middleware(self, context: HttpContext) -> list[Middleware]:
            assert context.host_name == "test"
            return [
                Middleware(factory=naming("inner"), priority=-5),
                Middleware(factory=naming("outer"), priority=10, name="outermost"),
                Middleware(factory=naming("middle")),
            ]

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def names(request: Request) -> Response:
                return PlainTextResponse(" ".join(request.scope["names"]))

            return [Route("/names", names, guard=PUBLIC)]

    async with serve(Layers) as served, served.client() as client:
        assert (await client.get("/names")).text == "outer middle inner"
        assert served.app.composition.middleware[0] == "outermost"


async def test_middleware_that_cannot_be_made_is_named(serve):
    class Layers(Plugin):
        name = "layers"

        @hookimpl
        def register_middleware(self) -> list[Middleware]:
            def boom(app: ASGIApp) -> ASGIApp:
                raise ValueError("no such header")

            return [Middleware(factory=boom)]

    with pytest.raises(
        RouteError,
        match=r"plugin 'layers': its middleware .*boom' cannot be made: ValueError: no such header",
    ):
        async with serve(Layers):
            pass


async def test_an_application_whose_host_was_not_started_says_so(serve, tmp_path):
    from plughost import Host
    from plughost.http import create_app

    host = Host("sleepy", config={"host": {"data_dir": str(tmp_path), "allow": []}}, environ={})
    app = create_app(host)
    async with serve() as served, served.client(app=app) as client:
        answer = await client.get("/livez")
        assert (answer.status_code, answer.json()["code"]) == (503, "host_not_started")
        assert "async with host" in answer.json()["detail"]
        page = await client.get("/admin/system", headers={"Accept": "text/html"})
        assert "async with host" in page.text
        async with host:
            assert (await client.get("/livez")).status_code == 200
        assert (await client.get("/livez")).status_code == 503
    app.close()


async def test_every_answer_wears_the_security_headers_refusals_too(serve):
    async with serve(Broken) as served, served.client() as client:
        for path in ("/fine", "/raising", "/nowhere", "/livez"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff"
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert headers["referrer-policy"] == "no-referrer"
            assert "strict-transport-security" not in headers


async def test_browsers_are_told_to_insist_on_https_over_https_only(serve):
    async with serve(Broken) as served, served.client(base="https://testserver") as client:
        headers = (await client.get("/fine")).headers
        assert headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_a_route_may_have_a_policy_of_its_own(serve):
    class Framed(Plugin):
        name = "framed"

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def page(request: Request) -> Response:
                return PlainTextResponse("x", headers={"Content-Security-Policy": "default-src 'self'"})

            return [Route("/framed", page, guard=PUBLIC)]

    async with serve(Framed) as served, served.client() as client:
        assert (await client.get("/framed")).headers["content-security-policy"] == "default-src 'self'"


async def test_long_answers_are_compressed_for_whoever_takes_it(serve):
    class Long(Plugin):
        name = "long"

        @hookimpl
        def register_routes(self) -> list[Route]:
            async def page(request: Request) -> Response:
                return PlainTextResponse("long " * 1000)

            return [Route("/long", page, guard=PUBLIC)]

    async with serve(Long) as served, served.client() as client:
        packed = await client.get("/long", headers={"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.text == "long " * 1000
        plain = await client.get("/long", headers={"Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers
