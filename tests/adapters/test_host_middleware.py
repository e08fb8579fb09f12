"""A host around an application of somebody's own: its routes have what plugins' routes have."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from plughost import Host
from plughost.adapters.starlette import HostMiddleware, lifespan
from plughost.contracts import session_of
from plughost.http import create_app, host_from


async def visit(request: Request) -> JSONResponse:
    session = await session_of(request).load()
    session["visits"] = session.get("visits", 0) + 1
    return JSONResponse({"visits": session["visits"], "host": host_from(request).name})


async def fail(request: Request) -> JSONResponse:
    raise RuntimeError("the password is tulip")


def make_host(tmp_path: Path, *allowed: str) -> Host:
    return Host("shop", config={"host": {"data_dir": str(tmp_path / "data"), "allow": list(allowed)}})


def starlette_of(host: Host) -> Starlette:
    return Starlette(
        routes=[
            Route("/visit", visit, methods=["GET", "POST"]),
            Route("/fail", fail),
            Mount("/ops", create_app(host)),
            Mount("/admin", create_app(host, admin_path="")),
        ],
        middleware=[Middleware(HostMiddleware, host=host)],
    )


def fastapi_of(host: Host) -> FastAPI:
    api = FastAPI(middleware=[Middleware(HostMiddleware, host=host)])
    api.add_api_route("/visit", visit, methods=["GET", "POST"])
    api.add_api_route("/fail", fail)
    api.mount("/ops", create_app(host))
    api.mount("/admin", create_app(host, admin_path=""))
    return api


@pytest.fixture(params=[starlette_of, fastapi_of], ids=["starlette", "fastapi"])
def make_app(request):
    return request.param


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_routes_of_ones_own_have_a_session_that_is_kept(make_app, tmp_path, backend):
    host = make_host(tmp_path, "sessions")
    with TestClient(make_app(host), backend=backend) as client:
        assert host.running
        assert client.get("/visit").json() == {"visits": 1, "host": "shop"}
        assert client.get("/visit").json() == {"visits": 2, "host": "shop"}
    assert not host.running


@pytest.mark.parametrize("allowed", [(), ("sessions",)])
def test_a_page_of_another_site_changes_nothing(make_app, tmp_path, allowed):
    with TestClient(make_app(make_host(tmp_path, *allowed)), raise_server_exceptions=False) as client:
        answer = client.post("/visit", headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_failure_is_a_problem_document_without_a_word_of_the_inside(make_app, tmp_path):
    with TestClient(make_app(make_host(tmp_path))) as client:
        answer = client.get("/fail")
        assert answer.status_code == 500
        assert answer.json()["code"] == "internal_error"
        assert "tulip" not in answer.text


def test_the_answers_of_ones_own_routes_keep_their_headers(make_app, tmp_path):
    with TestClient(make_app(make_host(tmp_path, "sessions"))) as client:
        assert "content-security-policy" not in client.get("/visit").headers
        assert "content-security-policy" in client.get("/ops/livez").headers


def test_what_is_mounted_within_shares_the_session_and_is_logged_once(make_app, tmp_path, caplog):
    caplog.set_level("INFO", "plughost.access")
    with TestClient(make_app(make_host(tmp_path, "sessions"))) as client:
        client.get("/visit")
        caplog.clear()
        assert client.get("/ops/livez").json() == {"status": "pass"}
        assert sum(record.name == "plughost.access" for record in caplog.records) == 1
        assert client.get("/visit").json()["visits"] == 2


def test_the_page_mounted_at_admin_is_at_admin_system(make_app, tmp_path):
    host = make_host(tmp_path, "admin")
    with TestClient(make_app(host), headers={"Accept": "text/html"}) as client:
        page = client.get("/admin/", follow_redirects=True)
        assert page.url.path == "/admin/system"
        assert page.status_code == 401
        assert 'action="sign-in"' in page.text
        assert client.get("/admin/static/style.css").status_code == 200
        assert client.get("/admin/api/plugins").status_code == 401
        assert client.get("/ops/admin/system").status_code == 401
        assert client.get("/admin/admin/system").status_code == 404


def test_a_host_that_cannot_start_keeps_the_application_from_starting(make_app, tmp_path):
    settings = {
        "host": {"data_dir": str(tmp_path), "allow": ["gone"], "strict": True},
        "plugins": {"gone": {"module": "no_such_module_anywhere:Plugin"}},
    }
    with (
        pytest.raises(Exception, match="no_such_module_anywhere"),
        TestClient(make_app(Host(config=settings))),
    ):
        pass


def test_refusals_that_the_application_answers_itself_stay_its_own(tmp_path):
    api = FastAPI(middleware=[Middleware(HostMiddleware, host=make_host(tmp_path))])

    @api.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout")

    with TestClient(api) as client:
        assert client.get("/teapot").json() == {"detail": "short and stout"}


async def without_a_lifespan(scope, receive, send):
    """An application that refuses lifespans at once, as Django's does."""
    if scope["type"] == "lifespan":
        raise ValueError("can only handle HTTP connections, not lifespan")
    await JSONResponse({"host": host_from(scope).name})(scope, receive, send)


async def hears_and_fails(scope, receive, send):
    """An application that listens to the server before it finds that this is nothing for it."""
    if scope["type"] == "lifespan":
        await receive()
    await without_a_lifespan(scope, receive, send)


async def hears_and_returns(scope, receive, send):
    """An application that leaves a lifespan without a word."""
    if scope["type"] != "lifespan":
        await without_a_lifespan(scope, receive, send)


@pytest.mark.parametrize("inner", [without_a_lifespan, hears_and_fails, hears_and_returns])
def test_an_application_that_has_no_lifespan_runs_in_that_of_its_host(inner, tmp_path, caplog):
    host = make_host(tmp_path)
    with TestClient(HostMiddleware(inner, host=host)) as client:
        assert host.running
        assert client.get("/").json() == {"host": "shop"}
    assert not host.running
    # Whoever listened may have meant to start: why it did not is in the log.
    assert ("failed at its start" in caplog.text) == (inner is hears_and_fails)


def of_starlette(host):
    served = create_app(host)
    return Starlette(lifespan=lifespan(served), routes=[Route("/visit", visit), Mount("/ops", served)])


def test_what_serves_the_host_within_leaves_its_life_to_the_middleware(tmp_path, caplog):
    host = make_host(tmp_path, "sessions")
    caplog.set_level("INFO", "plughost.access")
    with TestClient(HostMiddleware(of_starlette(host), host=host)) as client:
        client.get("/visit")
        assert client.get("/visit").json() == {"visits": 2, "host": "shop"}
        caplog.clear()
        assert client.get("/ops/livez").json() == {"status": "pass"}
        assert sum(record.name == "plughost.access" for record in caplog.records) == 1
    assert not host.running


@pytest.mark.parametrize("wrong", ["admin", "/admin/", "/{x}", "/a b", "/a\n", "/.."])
def test_a_prefix_that_is_none_is_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="admin_path is a prefix"):
        create_app(make_host(tmp_path), admin_path=wrong)


def test_the_prefix_can_be_deep_and_stand_in_the_configuration(tmp_path):
    host = Host(
        config={
            "host": {"data_dir": str(tmp_path), "allow": ["admin"]},
            "http": {"admin_path": "/ops/console"},
        }
    )
    app = Starlette(
        routes=[Mount("/", create_app(host)), Route("/x", PlainTextResponse("x"))],
        middleware=[Middleware(HostMiddleware, host=host)],
    )
    with TestClient(app, headers={"Accept": "text/html"}) as client:
        page = client.get("/ops/console", follow_redirects=True)
        assert page.url.path == "/ops/console/system"
        assert 'href="static/style.css' in page.text
        deeper = client.get("/ops/console/system/plugins")
        assert 'href="../static/style.css' in deeper.text
