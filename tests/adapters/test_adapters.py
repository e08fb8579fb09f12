"""Every adapter in the real framework, as its documentation shows it."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from fastapi import Request as FastRequest
from litestar import Request as LiteRequest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from plughost import Host
from plughost.adapters.starlette import HostMiddleware
from plughost.contracts import session_of
from plughost.exceptions import RouteError
from plughost.http import create_app, host_from
from servers import end


@contextmanager
def served(app: Any) -> Iterator[httpx2.Client]:
    """Serve an ASGI application by uvicorn, lifespan and all."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        thread.join(0.01)
    assert server.started, "it did not start"
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield client
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


def check_mount(client: httpx2.Client, application: Any) -> None:
    """The host below /ops: paths, guards, and the page with its links."""
    assert client.get("/ops/livez").json() == {"status": "pass"}
    assert client.get("/ops/hello/a%20b/c").text == "hello from /ops/hello/a b/c"
    assert client.get("/ops/hello/c/").text == "hello from /ops/hello/c/"
    assert client.post("/ops/echo", content=b"x" * 5000).text == "x" * 5000
    assert client.get("/ops/stock").status_code == 401
    assert client.get("/ops/nowhere").json()["code"] == "not_found"
    answer = client.get(f"/ops/admin/sign-in?code={application.runtime.sign_ins.make_link_code()}")
    assert answer.status_code == 303
    page = client.get("/ops/admin/system")
    assert page.status_code == 200
    assert "<h1>Plugins</h1>" in page.text
    assert client.get("/ops/admin/system/health.json").json()["status"] == "pass"


def test_starlette(config):
    from starlette.applications import Starlette
    from starlette.routing import Mount, Route

    from plughost.adapters.starlette import lifespan

    async def home(request: Request) -> Response:
        from adapter_greeter import Greetings

        return PlainTextResponse(await host_from(request).use(Greetings).greet("home"))

    app = create_app(Host(config=config))
    outer = Starlette(lifespan=lifespan(app), routes=[Route("/", home), Mount("/ops", app)])
    with served(outer) as client:
        assert client.get("/").text == "hello home"
        check_mount(client, app)
    assert not app.host.running


def test_fastapi_with_a_lifespan_of_its_own(config):
    from contextlib import asynccontextmanager

    from fastapi import FastAPI

    from plughost.adapters.starlette import lifespan

    told: list[str] = []

    @asynccontextmanager
    async def mine(app: Any) -> Any:
        told.append("begin")
        yield {"mine": 1}
        told.append("end")

    app = create_app(Host(config=config))
    outer = FastAPI(lifespan=lifespan(app, around=mine))

    @outer.get("/")
    async def home(request: FastRequest) -> dict[str, Any]:
        return {"ready": host_from(request).ready, "mine": request.state.mine}

    outer.mount("/ops", app)
    with served(outer) as client:
        assert client.get("/").json() == {"ready": True, "mine": 1}
        check_mount(client, app)
    assert told == ["begin", "end"]


def test_litestar(config):
    from litestar import Litestar, get

    from plughost.adapters.litestar import PlughostPlugin

    @get("/")
    async def home(request: LiteRequest) -> str:
        return str(request.app.state.plughost.ready)

    app = create_app(Host(config=config))
    with served(Litestar([home], plugins=[PlughostPlugin(app, path="/ops")], openapi_config=None)) as client:
        assert client.get("/").text == "True"
        check_mount(client, app)
    assert not app.host.running


def test_the_handlers_of_litestar_have_the_host_and_sessions_within_its_middleware(config):
    from litestar import Litestar, get

    from plughost.adapters.litestar import PlughostPlugin

    @get("/visit")
    async def visit(request: LiteRequest) -> dict[str, object]:
        session = await session_of(request).load()
        session["visits"] = session.get("visits", 0) + 1
        return {"visits": session["visits"], "ready": host_from(request).ready}

    config.write_text(config.read_text().replace('"admin"]', '"admin", "sessions"]'))
    host = Host(config=config)
    app = create_app(host)
    litestar = Litestar([visit], plugins=[PlughostPlugin(app, path="/ops")], openapi_config=None)
    with served(HostMiddleware(litestar, host=host)) as client:
        client.get("/visit")
        assert client.get("/visit").json() == {"visits": 2, "ready": True}
        check_mount(client, app)
    assert not host.running


def test_flask(config):
    from adapter_greeter import Greetings
    from flask import Flask

    from plughost.adapters.flask import Plughost, current_host

    app = Flask("shop")
    plughost = Plughost(app, config=config, mount="/ops")

    @app.get("/")
    def home() -> str:
        assert plughost.host is current_host()
        return str(current_host().use(Greetings).greet("flask"))

    client = app.test_client()
    try:
        assert client.get("/").text == "hello flask"
        assert client.get("/ops/livez").json == {"status": "pass"}
        assert client.get("/ops/hello/a%20b").text == "hello from /ops/hello/a b"
        assert client.get("/ops/hello/%C3%A4").text == "hello from /ops/hello/ä"
        assert client.post("/ops/echo", data=b"x" * 5000).text == "x" * 5000
        assert client.get("/ops/stock").status_code == 401
        assert client.get("/ops/admin/system").status_code == 401
        assert client.get("/elsewhere").status_code == 404
    finally:
        app.extensions["plughost"].stop()


def test_flask_in_a_factory_with_two_applications(config):
    from flask import Flask

    from plughost.adapters.flask import Plughost, current_host

    plughost = Plughost(name="acme")
    first, second = Flask("first"), Flask("second")
    for app in (first, second):
        app.config["PLUGHOST_CONFIG"] = config
        plughost.init_app(app)
    with first.app_context():
        one = current_host()
        assert one.name == "acme"
    with second.app_context():
        assert current_host() is not one
    for app in (first, second):
        app.extensions["plughost"].stop()


DJANGO = """
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

settings.configure(SECRET_KEY="x", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], PLUGHOST_CONFIG={config!r})
django.setup()

def home(request):
    from plughost.adapters.django import host_from_django
    return HttpResponse(f"ready {{host_from_django(request).ready}}")

urlpatterns = [path("", home)]
"""


def test_django_over_asgi_and_over_wsgi(config, tmp_path, monkeypatch):
    (tmp_path / "django_shop.py").write_text(DJANGO.format(config=str(config)))
    importlib.import_module("django_shop")
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    from plughost.adapters.django import asgi, wsgi

    app = create_app(Host(config=config))
    with served(asgi(get_asgi_application(), app, "/ops")) as client:
        assert client.get("/").text == "ready True"
        check_mount(client, app)
    assert not app.host.running

    blocking = wsgi(get_wsgi_application(), prefix="/ops")
    with httpx2.Client(transport=httpx2.WSGITransport(app=blocking), base_url="http://testserver") as client:
        assert client.get("/").text == "ready True"
        assert client.get("/ops/livez").json() == {"status": "pass"}
        assert client.get("/ops/stock").status_code == 401


def test_django_without_the_adapter_says_what_to_do():
    from plughost.adapters.django import host_from_django

    with pytest.raises(LookupError, match=r"plughost\.adapters\.django"):
        host_from_django(object())


CELERY = """
import os
from celery import Celery
from plughost.adapters.celery import Plughost

app = Celery("shop", broker="filesystem://", backend="file://{folder}/results")
app.conf.broker_transport_options = {{
    "data_folder_in": "{folder}/queue", "data_folder_out": "{folder}/queue", "control_folder":
    "{folder}/control",
}}
plughost = Plughost(app, config="{folder}/plughost.toml")

@app.task
def greet(name):
    from adapter_greeter import Greetings
    return [os.getpid(), app.plughost.host.use(Greetings).greet(name)]
"""


def test_celery_has_a_host_in_each_worker_process(config, tmp_path):
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "celery_shop.py").write_text(CELERY.format(folder=tmp_path))
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_shop",
        "worker",
        "-P",
        "prefork",
        "-c",
        "2",
        "-l",
        "warning",
    ]
    worker = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        shop = importlib.import_module("celery_shop")
        results = [shop.greet.delay(f"n{number}") for number in range(6)]
        told = [result.get(timeout=60) for result in results]
    finally:
        output, _ = end(worker)
    assert [text for _, text in told] == [f"hello n{number}" for number in range(6)]
    assert all(process != worker.pid for process, _ in told)
    assert "Traceback" not in output, output


def test_a_route_without_a_guard_keeps_the_application_around_from_starting(config, tmp_path):
    from starlette.applications import Starlette
    from starlette.routing import Mount
    from starlette.testclient import TestClient

    from plughost.adapters.starlette import lifespan

    greeter = Path(tmp_path / "adapter_greeter.py")
    greeter.write_text(greeter.read_text().replace('hello, guard=scope("stock:read")', "hello").replace(
        'Route("/stock"', '__import__("starlette.routing").routing.Route("/stock"'
    ))  # fmt: skip
    app = create_app(Host(config=config))
    outer = Starlette(lifespan=lifespan(app), routes=[Mount("/ops", app)])
    with pytest.raises(RouteError, match="route /stock has no guard"), TestClient(outer):
        pass
