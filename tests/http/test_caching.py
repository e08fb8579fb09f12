"""Kept answers by both doors: a route's policy, and the ASGI middleware around any application."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest

from plughost import Plugin, hookimpl
from plughost.contracts import CacheManager
from plughost.http import PUBLIC, SIGNED_IN, CachePolicy, Route
from plughost.http.middleware import ResponseCacheMiddleware
from plughost.plugins.cache.plugin import CachePlugin

pytestmark = pytest.mark.anyio

Headers = list[tuple[bytes, bytes]]


class App:
    """Tells what it was asked with, counts, and can be held up before its answer or in the middle of it."""

    def __init__(self, *headers: tuple[bytes, bytes], status: int = 200) -> None:
        self.headers: Headers = list(headers)
        self.status = status
        self.count = 0
        self.pieces = 1
        self.before: anyio.Event | None = None
        self.amid: anyio.Event | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.count += 1
        body = b"%d" % self.count
        if self.before is not None:
            await self.before.wait()
        await send({"type": "http.response.start", "status": self.status, "headers": list(self.headers)})
        for _ in range(self.pieces - 1):
            await send({"type": "http.response.body", "body": body, "more_body": True})
        if self.amid is not None:
            await self.amid.wait()
        await send({"type": "http.response.body", "body": body})


class Asked:
    """An application behind a response cache, and what it takes to ask it."""

    def __init__(self, asgi: Any, invalidate: Callable[[], Any]) -> None:
        self._asgi = asgi
        self.invalidate = invalidate

    async def get(self, **headers: str) -> httpx2.Response:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            await anyio.sleep_forever()

        given = [(b"host", headers.pop("host", "testserver").encode())]
        given += [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http", "method": "GET", "path": "/it", "raw_path": b"/it", "query_string": b"",
            "root_path": "", "scheme": "http", "headers": given, "client": ("203.0.113.7", 1234),
            "server": ("testserver", 80), "http_version": "1.1", "asgi": {"version": "3.0"},
        }  # fmt: skip
        await self._asgi(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:])
        kept = [pair for pair in sent[0]["headers"] if pair[0] != b"content-length"]
        return httpx2.Response(sent[0]["status"], headers=kept, content=body)


Behind = Callable[[App], Any]


@pytest.fixture(params=["route", "middleware"])
def behind(request: pytest.FixtureRequest, serve: Any) -> Behind:
    """``async with behind(app) as asked``: the application behind one of the two doors."""

    @asynccontextmanager
    async def open_door(app: App) -> AsyncIterator[Asked]:
        policy = CachePolicy(ttl=60, tags=("it",))

        class Door(Plugin):
            name = "door"

            @hookimpl
            def register_routes(self) -> list[Route]:
                return [Route("/it", app, guard=PUBLIC, cache=policy)]

        async with serve(CachePlugin, Door) as served:
            manager = served.host.use(CacheManager)
            if request.param == "route":
                yield Asked(served.app, lambda: manager.get("http").invalidate_tag("it"))
                return
            cache = manager.get("pages")
            inside = ResponseCacheMiddleware(app, cache=cache, tags=lambda scope: ["it"])
            yield Asked(inside, lambda: cache.invalidate_tag("it"))

    return open_door


@pytest.mark.parametrize("name", ["X-Api-Key", "Origin", "x-tenant"])
async def test_a_header_that_the_answer_itself_names_in_vary_makes_another_answer(behind, name):
    app = App((b"vary", name.encode()))
    async with behind(app) as asked:
        header = name.lower().replace("-", "_")
        for _ in range(2):
            assert (await asked.get(**{header: "one"})).text == "1"
            assert (await asked.get(**{header: "two"})).text == "2"
            assert (await asked.get()).text == "3"
            assert (await asked.get(**{header: ""})).text == "4"


async def test_all_names_and_lines_of_vary_count(behind):
    app = App((b"Vary", b"X-One , x-two"), (b"vary", b"X-Three"))
    async with behind(app) as asked:
        for number, header in enumerate(("x_one", "x_two", "x_three"), 1):
            for _ in range(2):
                assert (await asked.get(**{header: "1"})).text == str(number)


async def test_a_header_named_once_goes_on_to_matter(behind):
    app = App((b"vary", b"x-api-key"))
    async with behind(app) as asked:
        assert (await asked.get(x_api_key="a")).text == "1"
        app.headers = []  # an error page, say, that forgot to name it
        assert (await asked.get(x_api_key="b")).text == "2"
        assert (await asked.get(x_api_key="c")).text == "3"
        assert (await asked.get(x_api_key="a")).text == "1"


@pytest.mark.parametrize("value", [b"*", b"Accept, *", b" * "])
async def test_what_depends_on_everything_is_never_kept(behind, value):
    async with behind(App((b"vary", value))) as asked:
        assert [(await asked.get()).text for _ in range(3)] == ["1", "2", "3"]


async def test_the_client_is_told_all_that_the_answer_depends_on(behind):
    async with behind(App((b"vary", b"X-Api-Key"))) as asked:
        for _ in range(2):
            told = (await asked.get()).headers["vary"].lower()
            assert {"accept", "x-api-key"} <= {name.strip() for name in told.split(",")}


@pytest.mark.parametrize(
    "header",
    [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"private"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"9000000"),
        (b"x-comes-in-pieces", b"yes"),
    ],
)
async def test_nobody_waits_for_the_end_of_what_is_not_kept_or_comes_in_pieces(behind, header):
    app = App(header)
    app.pieces, app.amid = 2, anyio.Event()
    async with behind(app) as asked, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(asked.get)
        await anyio.wait_all_tasks_blocked()
        assert app.count == 3
        app.amid.set()


async def test_nobody_waits_for_the_beginning_of_what_was_not_kept_the_last_time(behind):
    app = App((b"cache-control", b"no-store"))
    async with behind(app) as asked:
        await asked.get()
        app.before = anyio.Event()
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(asked.get)
            await anyio.wait_all_tasks_blocked()
            assert app.count == 4
            app.before.set()


async def test_what_may_be_kept_again_is_kept_again(behind):
    app = App((b"cache-control", b"no-store"))
    async with behind(app) as asked:
        await asked.get()
        app.headers = []
        await asked.get()
        assert (await asked.get()).text == (await asked.get()).text == "3"


async def test_requests_at_once_are_one_request_to_the_application(behind):
    app = App()
    app.before = anyio.Event()
    async with behind(app) as asked:
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(asked.get)
            await anyio.wait_all_tasks_blocked()
            app.before.set()
        assert app.count == 1


async def test_when_the_one_who_asked_first_leaves_the_next_takes_its_place(behind):
    app = App()
    app.before = anyio.Event()
    texts: list[str] = []

    async def ask(asked: Asked) -> None:
        texts.append((await asked.get()).text)

    async with behind(app) as asked, anyio.create_task_group() as group:
        leaving = anyio.CancelScope()

        async def leave() -> None:
            with leaving:
                await asked.get()

        group.start_soon(leave)
        await anyio.wait_all_tasks_blocked()
        for _ in range(3):
            group.start_soon(ask, asked)
        await anyio.wait_all_tasks_blocked()
        leaving.cancel()
        await anyio.wait_all_tasks_blocked()
        app.before.set()
    assert texts == ["2", "2", "2"]


async def test_an_invalidation_while_the_answer_is_made_wins(behind):
    app = App()
    app.before = anyio.Event()
    async with behind(app) as asked:
        async with anyio.create_task_group() as group:
            group.start_soon(asked.get)
            await anyio.wait_all_tasks_blocked()
            await asked.invalidate()
            app.before.set()
        assert (await asked.get()).text == "2"


@pytest.mark.parametrize(
    ("own", "kept"), [(b"max-age=5", True), (b"max-age=0", False), (b"s-maxage=0, max-age=9", False)]
)
async def test_an_answer_that_says_how_long_it_is_good_for_is_believed(behind, own, kept):
    async with behind(App((b"cache-control", own))) as asked:
        first, second = await asked.get(), await asked.get()
        assert (second.text == "1") is kept
        assert first.headers["cache-control"] == own.decode()


async def test_another_name_of_the_server_is_another_answer(behind):
    async with behind(App()) as asked:
        await asked.get()
        assert (await asked.get(host="evil.example")).text == "2"


async def test_a_route_shared_by_all_who_may_see_it_answers_them_alike(serve):
    app = App()

    class Door(Plugin):
        name = "door"

        @hookimpl
        def register_routes(self) -> list[Route]:
            policy = CachePolicy(ttl=60, shared=True)
            return [Route("/it", app, guard=SIGNED_IN, cache=policy)]

    async with serve(CachePlugin, Door) as served:
        texts = []
        for _ in range(2):
            async with served.client(token=served.token("x:read")) as client:
                answer = await client.get("/it")
                texts.append(answer.text)
                assert answer.headers["cache-control"] == "private, max-age=60"
        assert texts == ["1", "1"]
        async with served.client() as nobody:
            assert (await nobody.get("/it")).status_code == 401


async def test_a_credential_that_no_guard_looked_at_makes_a_public_answer_pass_by(behind):
    async with behind(App()) as asked:
        assert (await asked.get(authorization="Basic YTpi")).text == "1"
        assert (await asked.get(authorization="Basic YzpkCg==")).text == "2"
        assert (await asked.get()).text == "3"


def test_the_middleware_needs_no_framework():
    program = (
        "import sys; sys.modules['starlette'] = None\n"
        "import plughost.http.middleware, plughost.http.problems, plughost.http.csrf\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("name", ["ResponseCacheMiddleware", "RateLimitMiddleware", "client_address"])
def test_the_former_address_leads_to_the_new_one_and_says_so(name):
    import plughost.http.middleware as new
    import plughost.plugins.cache.middleware as former

    with pytest.warns(DeprecationWarning, match=r"from plughost\.http\.middleware"):
        assert getattr(former, name) is getattr(new, name)
