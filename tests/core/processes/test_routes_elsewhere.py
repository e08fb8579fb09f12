"""Routes and panels of a plugin: the same answers whether it lives in the host or in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from asgi_browser import Browser
from housed import configuration, housed, process_of, until, write_plugin
from plughost import Host
from plughost.contracts.clock import SYSTEM_CLOCK
from plughost.core.processes import housing
from plughost.http import HostApplication, HttpRuntime, HttpSettings, create_app
from plughost.http.composition import compose

pytestmark = pytest.mark.anyio

SITE = """
import asyncio
import os
import uuid

import anyio
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse

from plughost import Plugin, hookimpl
from plughost.contracts import AdminPanel, PanelAction
from plughost.http import (
    PUBLIC, EventStream, Problem, Route, WebSocketRoute, any_of, identity_of, json_body, note_detail, scope
)


class Site(Plugin):
    async def start(self, context):
        self.context = context
        self.pressed = []
        self.ended = context.data_dir / "ended"

    async def hello(self, request):
        return JSONResponse({
            "name": request.path_params["name"], "query": request.query_params.get("q"),
            "pid": os.getpid(), "url": str(request.url_for("page")), "agent": request.headers["user-agent"],
        })

    def page(self, request):
        return PlainTextResponse("from a thread", headers={"X-Kind": "plain"})

    async def echo(self, request):
        body = await request.body()
        return PlainTextResponse(body)

    async def take(self, request):
        taken = await json_body(request, dict[str, int])
        return JSONResponse({"sum": sum(taken.values())})

    async def fail(self, request):
        how = request.path_params["how"]
        if how == "problem":
            raise Problem(409, "It is taken.", code="taken", headers={"X-Who": "me"}, by="you")
        if how == "http":
            raise HTTPException(418, "short and stout")
        if how == "exit":
            os._exit(4)
        raise KeyError(how)

    async def who(self, request):
        identity = identity_of(request)
        note_detail(request, "looked who it is")
        return JSONResponse({"kind": identity.kind, "scopes": sorted(identity.scopes)})

    async def big(self, request):
        async def parts():
            for number in range(40):
                yield bytes([number]) * 100_000

        return StreamingResponse(parts())

    async def endless(self, request):
        async def parts():
            try:
                while True:
                    yield b"more "
                    await anyio.sleep(0.01)
            finally:
                self.ended.write_text("ended")

        return StreamingResponse(parts())

    async def events(self, request):
        async def told():
            try:
                for number in range(1_000_000):
                    yield {"data": str(number), "event": "tick"}
                    await anyio.sleep(0.01)
            finally:
                self.ended.write_text("ended")

        return EventStream(told())

    async def talk(self, socket):
        await socket.accept(subprotocol="acme")
        while True:
            text = await socket.receive_text()
            if text == "exit":
                os._exit(5)
            await socket.send_text(text.upper())

    @hookimpl
    def register_routes(self, context):
        assert context.admin_path == "/admin"
        return [
            Route("/hello/{name}", self.hello, guard=PUBLIC),
            Route("/page", self.page, guard=PUBLIC, name="page"),
            Route("/echo", self.echo, methods=["POST"], guard=PUBLIC, csrf=False, max_body=3_000_000),
            Route("/take", self.take, methods=["POST"], guard=PUBLIC, csrf=False),
            Route("/fail/{how}", self.fail, guard=PUBLIC),
            Route("/who", self.who, guard=any_of(scope("lamp:read"), scope("lamp:write"))),
            Route("/big", self.big, guard=PUBLIC),
            Route("/endless", self.endless, guard=PUBLIC),
            Route("/events", self.events, guard=PUBLIC),
            WebSocketRoute("/talk", self.talk, guard=PUBLIC),
        ]

    async def figures(self):
        return {"pressed": len(self.pressed), "pid": os.getpid()}

    def press(self, fields):
        self.pressed.append(fields)
        return f"pressed by {fields['who']}"

    @hookimpl
    def register_admin_panels(self):
        press = PanelAction(name="press", title="Press", run=self.press, scope="lamp:write", confirm="Sure?")
        return [AdminPanel(name="lamp", title="Lamp", data=self.figures, scope="lamp:read", actions=(press,))]
"""


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a test loads inside is not found by the next one."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name, module in [*sys.modules.items()]:
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@asynccontextmanager
async def site(
    folder: Path, isolation: str, source: str = SITE, **settings: Any
) -> AsyncIterator[tuple[Host, HostApplication]]:
    """A host with that plugin, and its application."""
    write_plugin(folder, source, "lampsite")
    table = configuration(folder, "lampsite")
    table["host"] |= {"restart_pause": 0.0, "max_restarts": 100}
    table["plugins"]["lampsite"]["isolation"] = isolation
    table["http"] = settings
    async with housed(table) as host:
        assert host.plugins["lampsite"].reason == ""
        app = create_app(host)
        try:
            yield host, app
        finally:
            app.close()


class Client:
    """A client of one request that can leave, or read slowly."""

    def __init__(self, app: Any, path: str, kind: str = "http") -> None:
        self.app = app
        self.scope = {**Browser(app).scope("GET", path), "type": kind, "subprotocols": []}
        self.scope["headers"] += [(b"user-agent", b"tests")]
        first = (
            {"type": "websocket.connect"} if kind == "websocket" else {"type": "http.request", "body": b""}
        )
        self._to_app = [first]
        self._said = anyio.Event()
        self.sent: list[dict[str, Any]] = []
        self.came = anyio.Event()
        self.may_send = anyio.Event()
        self.may_send.set()

    async def run(self) -> None:
        await self.app(self.scope, self._receive, self._send)

    def say(self, kind: str, **rest: Any) -> None:
        self._to_app.append({"type": kind, **rest})
        self._said.set()

    async def _receive(self) -> dict[str, Any]:
        while not self._to_app:
            self._said = anyio.Event()
            await self._said.wait()
        return self._to_app.pop(0)

    async def _send(self, message: dict[str, Any]) -> None:
        await self.may_send.wait()
        self.sent.append(message)
        self.came.set()
        self.came = anyio.Event()

    async def next(self) -> dict[str, Any]:
        with anyio.fail_after(30):
            while not self.sent:
                await self.came.wait()
        return self.sent.pop(0)


@pytest.mark.parametrize("isolation", ["none", "process"])
async def test_requests_are_answered_alike(tmp_path: Path, isolation: str) -> None:
    async with site(tmp_path, isolation) as (host, app):
        browser = Browser(app)
        agent = {"user-agent": "tests"}
        hello = (await browser.get("/hello/ann", agent)).json()
        assert hello == {
            "name": "ann",
            "query": None,
            "agent": "tests",
            "url": "https://shop.example/page",
            "pid": os.getpid() if isolation == "none" else process_of(host, "lampsite").pid,
        }
        page = await browser.get("/page")
        assert (page.status, page.body, page.header("x-kind")) == (200, b"from a thread", "plain")
        body = os.urandom(2_500_000)
        assert (await browser.request("POST", "/echo", {"content-length": "2500000"}, body)).body == body
        too_big = await browser.request("POST", "/echo", {"transfer-encoding": "chunked"}, body * 2)
        assert (too_big.status, too_big.json()["code"]) == (413, "body_too_large")
        length = {"content-length": "20"}
        assert (await browser.post("/take", {"a": 1, "b": 2}, length)).json() == {"sum": 3}
        refused = await browser.post("/take", {"a": "x"}, length)
        assert (refused.status, refused.json()["code"]) == (422, "invalid_body")
        problem = await browser.get("/fail/problem")
        assert problem.json() | {"instance": None} == {
            "type": "about:blank",
            "title": "Conflict",
            "status": 409,
            "instance": None,
            "detail": "It is taken.",
            "code": "taken",
            "by": "you",
        }
        assert problem.header("x-who") == "me"
        assert (await browser.get("/fail/http")).status == 418
        assert (await browser.get("/fail/odd")).json()["code"] == "internal_error"
        assert (await browser.get("/nowhere")).status == 404
        assert (await browser.post("/page")).status == 405
        assert (await browser.get("/who")).status == 401
        token = app.runtime.tokens.create("test", ("lamp:write",), 60.0)[0]
        who = await browser.get("/who", {"authorization": f"Bearer {token}"})
        assert who.json() == {"kind": "token", "scopes": ["lamp:write"]}
        big = Client(app, "/big")
        await big.run()
        body = b"".join(message.get("body", b"") for message in big.sent)
        assert body == b"".join(bytes([number]) * 100_000 for number in range(40))


@pytest.mark.parametrize("isolation", ["none", "process"])
@pytest.mark.parametrize("path", ["/endless", "/events"])
async def test_a_stream_ends_when_its_client_leaves(tmp_path: Path, isolation: str, path: str) -> None:
    async with site(tmp_path, isolation) as (_, app), anyio.create_task_group() as tasks:
        client = Client(app, path)
        tasks.start_soon(client.run)
        assert (await client.next())["status"] == 200
        while b"more" not in (body := (await client.next())["body"]) and b"tick" not in body:
            pass
        assert app.runtime.open_streams == (path == "/events")
        client.say("http.disconnect")
        await until(lambda: (tmp_path / "data" / "lampsite" / "ended").exists())
        await until(lambda: app.runtime.figures.under_way == 0)
        assert app.runtime.open_streams == 0


async def test_a_reader_who_takes_nothing_holds_up_who_sends(tmp_path: Path) -> None:
    async with site(tmp_path, "process") as (host, app), anyio.create_task_group() as tasks:
        client = Client(app, "/big")
        client.may_send = anyio.Event()
        tasks.start_soon(client.run)
        before = process_of(host, "lampsite").received
        await until(lambda: process_of(host, "lampsite").received - before > 100_000)
        for _ in range(20):
            await anyio.wait_all_tasks_blocked()
            assert process_of(host, "lampsite").received - before < 200_000
        client.may_send.set()
        await until(lambda: app.runtime.figures.under_way == 0)
        assert sum(len(message.get("body", b"")) for message in client.sent) == 4_000_000


async def test_event_streams_of_a_process_are_counted_and_end_with_the_server(tmp_path: Path) -> None:
    async with site(tmp_path, "process", max_streams=1) as (_, app), anyio.create_task_group() as tasks:
        client = Client(app, "/events")
        tasks.start_soon(client.run)
        while b"tick" not in (await client.next()).get("body", b""):
            pass  # what makes the events has not begun yet, and would have nothing to end
        second = await Browser(app).get("/events")
        assert (second.status, second.json()["code"]) == (503, "too_many_streams")
        app.drain()
        await until(lambda: app.runtime.figures.under_way == 0)
        assert client.sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        await until(lambda: (tmp_path / "data" / "lampsite" / "ended").exists())


async def test_a_crash_is_503_and_the_next_request_is_answered(tmp_path: Path) -> None:
    async with site(tmp_path, "process") as (host, app):
        browser = Browser(app)
        for _ in range(2):
            before = process_of(host, "lampsite").pid
            answer = await browser.get("/fail/exit")
            assert (answer.status, answer.json()["code"]) == (503, "unavailable")
            await until(lambda before=before: process_of(host, "lampsite").pid not in (None, before))
            await until(lambda: host.plugins["lampsite"].state == "ready")
            assert (await browser.get("/page")).body == b"from a thread"
        failure = app.runtime.figures.failures()[0]
        assert (failure.plugin, failure.kind) == ("lampsite", "PluginCrashedError")


async def test_a_request_that_a_crash_ends_is_told_in_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with site(tmp_path, "process") as (_, app):
        assert (await Browser(app).get("/fail/exit")).status == 503
        (record,) = [one for one in caplog.records if one.getMessage() == "request failed"]
        assert record.exc_info is None
        assert "is gone" in record.__dict__["reason"]


async def test_a_request_that_comes_while_a_new_process_begins_waits_for_it(tmp_path: Path) -> None:
    async with site(tmp_path, "process") as (_, app):
        assert (await Browser(app).get("/fail/exit")).status == 503
        with anyio.fail_after(30):
            assert (await Browser(app).get("/page")).status == 200


@pytest.mark.parametrize("isolation", ["none", "process"])
async def test_a_web_socket_talks_and_is_closed(tmp_path: Path, isolation: str) -> None:
    async with site(tmp_path, isolation) as (_, app), anyio.create_task_group() as tasks:
        client = Client(app, "/talk", "websocket")
        tasks.start_soon(client.run)
        accepted = await client.next()
        assert (accepted["type"], accepted["subprotocol"]) == ("websocket.accept", "acme")
        client.say("websocket.receive", text="hello")
        assert (await client.next())["text"] == "HELLO"
        if isolation == "process":
            client.say("websocket.receive", text="exit")
            assert (await client.next())["code"] == 1011
        else:
            client.say("websocket.disconnect", code=1000)


@pytest.mark.parametrize("isolation", ["none", "process"])
async def test_a_panel_shows_figures_and_presses_buttons(tmp_path: Path, isolation: str) -> None:
    async with site(tmp_path, isolation) as (host, app):
        (outcome,) = [
            one
            for one in host.hooks.register_admin_panels.report(context=app.runtime.context).outcomes
            if one.plugin == "lampsite"
        ]
        (panel,) = outcome.value
        assert (panel.name, panel.title, panel.scope, panel.template) == ("lamp", "Lamp", "lamp:read", None)
        (action,) = panel.actions
        assert (action.name, action.confirm, action.listed) == ("press", "Sure?", True)
        said = action.run({"who": "ann"})
        assert (said if isolation == "none" else await said) == "pressed by ann"
        figures = await panel.data()
        assert figures["pressed"] == 1
        assert figures["pid"] == (os.getpid() if isolation == "none" else process_of(host, "lampsite").pid)


async def test_figures_of_its_process_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housing, "_LOOK_EVERY", 0.05)
    async with site(tmp_path, "process") as (host, app):
        await until(lambda: process_of(host, "lampsite").memory is not None)
        browser = Browser(app)
        await browser.get("/fail/exit")
        await until(lambda: process_of(host, "lampsite").restarts == 1)
        await until(lambda: process_of(host, "lampsite").memory is not None)
        token = app.runtime.tokens.create("test", ("metrics",), 60.0)[0]
        told = (await browser.get("/metrics", {"authorization": f"Bearer {token}"})).body.decode()
        lines = [
            line.rpartition(" ") for line in told.splitlines() if "plugin_process_" in line and line[0] != "#"
        ]
        figures = {name.removeprefix("plughost_plugin_process_"): float(value) for name, _, value in lines}
        assert figures['restarts_total{plugin="lampsite"}'] == 1
        assert figures['threads{plugin="lampsite"}'] == process_of(host, "lampsite").threads
        assert 5_000_000 < figures['memory_bytes{plugin="lampsite"}'] < 300_000_000
        assert figures['bytes_total{direction="sent",plugin="lampsite"}'] > 0
        assert {name.partition("{")[0] for name in figures} == {
            *("memory_bytes", "cpu_seconds_total", "threads", "open_files", "calls_under_way"),
            *("restarts_total", "bytes_total"),
        }


async def test_a_host_without_such_processes_measures_none(tmp_path: Path) -> None:
    async with site(tmp_path, "none") as (_, app):
        token = app.runtime.tokens.create("test", ("metrics",), 60.0)[0]
        told = (await Browser(app).get("/metrics", {"authorization": f"Bearer {token}"})).body
        assert b"plughost_ready" in told
        assert b"plugin_process_" not in told


ODD = {
    "mine": (
        "Route('/x', lambda request: None, guard=Mine())",
        "is of the plugin's own making and would have to decide in the host: use PUBLIC",
    ),
    "refuses": (
        "Route('/x', lambda request: None, guard=PUBLIC, refuse=lambda c, p: None)",
        "its `refuse` would have to run in the host: leave it out",
    ),
    "bare": ("StarletteRoute('/x', lambda request: None)", "is not a plughost.http.Route"),
    "number": ("3", "is not a plughost.http.Route"),
}


async def test_a_route_that_cannot_be_served_from_there_is_named(tmp_path: Path) -> None:
    for name, (route, _) in ODD.items():
        write_plugin(
            tmp_path,
            "from starlette.routing import Route as StarletteRoute\nfrom plughost import Plugin, hookimpl\n"
            "from plughost.http import PUBLIC, Guard, Route\n"
            "class Mine(Guard):\n    def allows(self, identity, connection): return True\n"
            f"class P(Plugin):\n    @hookimpl\n    def register_routes(self): return [{route}]\n",
            name,
        )
    table = configuration(tmp_path, "odd")
    table["host"]["allow"] = [*ODD]
    table["plugins"] = {name: {"isolation": "process"} for name in ODD}
    async with housed(table) as host:
        runtime = HttpRuntime(host, HttpSettings(), SYSTEM_CLOCK)
        left_out = "\n".join(compose(runtime, [], runtime.context, strict=False).left_out)
        runtime.close()
    for name, (_, said) in ODD.items():
        assert f"plugin {name!r}: route" in left_out
        assert said in left_out
    assert "register_routes" not in left_out


async def test_what_was_asked_of_another_application_than_is_made_is_refused(tmp_path: Path) -> None:
    async with site(tmp_path, "process") as (host, _):
        other = replace(create_app(host).runtime.context, admin_path="/ops")
        report = host.hooks.register_routes.report(context=other)
        (outcome,) = [one for one in report.outcomes if one.plugin == "lampsite"]
        assert "write these into [http], or leave `context` out" in str(outcome.error)
        panels = host.hooks.register_admin_panels.report(context=other)  # it takes no context
        assert [one.kind for one in panels.outcomes if one.plugin == "lampsite"] == ["value"]


NUMBERED = """
from starlette.responses import PlainTextResponse

from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route


class Site(Plugin):
    async def shown(self, request):
        return PlainTextResponse(repr(request.path_params))

    @hookimpl
    def register_routes(self):
        return [
            Route("/numbers/{key:int}", self.shown, guard=PUBLIC),
            Route("/parts/{key:float}", self.shown, guard=PUBLIC),
            Route("/ids/{key:uuid}", self.shown, guard=PUBLIC),
        ]
"""


@pytest.mark.parametrize("isolation", ["none", "process"])
async def test_what_stands_in_a_path_arrives_whatever_it_is(tmp_path: Path, isolation: str) -> None:
    async with site(tmp_path, isolation, NUMBERED) as (_, app):
        browser, uuid = Browser(app), "12345678-1234-5678-1234-567812345678"
        for path, shown in {
            "/numbers/7": "{'key': 7}",
            f"/numbers/{'9' * 40}": f"{{'key': {'9' * 40}}}",
            "/parts/1.5": "{'key': 1.5}",
            f"/ids/{uuid}": f"{{'key': UUID('{uuid}')}}",
        }.items():
            answer = await browser.get(path)
            assert (answer.status, answer.body.decode()) == (200, shown)
