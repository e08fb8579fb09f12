"""A hello route through the full stack: session, security headers, metrics and rate limit, against its peers.

    python benchmarks/http_stack.py [--seconds 3] [--rounds 3]

Every contender runs under uvicorn in a process of its own and is asked by wrk over 32 connections, in turns,
round by round. What is measured is the processor time that the server spends on a request, which the load of
the machine hardly changes; requests per second are those of one core that does nothing else. Without wrk on
the path the applications are called in the process instead, which leaves the server out. All are given a
session cookie that they made themselves; the route does not look at it, and in the second part reads from it.
Sessions are kept in memory, rates are counted in memory. Needs, beside plughost[standard]: fastapi,
starsessions, slowapi, litestar.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

MANY = 1_000_000_000
PATHS = ("/hello", "/name")


async def plughost(stack: AsyncExitStack, store: str = "memory") -> Any:
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response

    from plughost import Host, Plugin, hookimpl
    from plughost.contracts import session_of
    from plughost.http import PUBLIC, HttpSettings, Route, create_app
    from plughost.plugins.cache.plugin import CachePlugin
    from plughost.plugins.sessions.plugin import SessionsPlugin

    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    async def name(request: Request) -> Response:
        session = await session_of(request).load()
        return PlainTextResponse(str(session.get("name")))

    async def begin(request: Request) -> Response:
        session_of(request)["name"] = "ada"
        return PlainTextResponse("begun")

    class Hello(Plugin):
        name = "hello"

        @hookimpl
        def register_routes(self) -> list[Route]:
            return [
                Route("/hello", hello, guard=PUBLIC, rate="hello"),
                Route("/name", name, guard=PUBLIC, rate="hello"),
                Route("/begin", begin, guard=PUBLIC),
            ]

    folder = stack.enter_context(tempfile.TemporaryDirectory())
    host = Host("bench", config={"host": {"data_dir": folder, "allow": []}}, environ={})
    await stack.enter_async_context(host)
    await host.load_plugin(SessionsPlugin, {"store": store, "cookie_secure": False})
    await host.load_plugin(CachePlugin)
    await host.load_plugin(Hello)
    return create_app(host, settings=HttpSettings(rate_limits={"hello": MANY}))


async def starlette(_: AsyncExitStack) -> Any:
    """Without any of it: what there is to lose."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route(path, hello) for path in (*PATHS, "/begin")])


async def fastapi(_: AsyncExitStack) -> Any:
    from fastapi import FastAPI, Request
    from fastapi.responses import PlainTextResponse
    from slowapi import Limiter
    from slowapi.util import get_remote_address
    from starsessions import InMemoryStore, SessionAutoloadMiddleware, SessionMiddleware, load_session

    globals()["Request"] = Request  # annotations are looked up in the module
    app = FastAPI()
    app.state.limiter = limiter = Limiter(key_func=get_remote_address)
    app.add_middleware(SessionMiddleware, store=InMemoryStore(), cookie_https_only=False, lifetime=3600)
    del SessionAutoloadMiddleware  # sessions are loaded where they are asked for, as in the others

    @app.get("/hello", response_class=PlainTextResponse)
    @limiter.limit(f"{MANY}/minute")
    async def hello(request: Request) -> Any:
        return PlainTextResponse("hello")

    @app.get("/name", response_class=PlainTextResponse)
    @limiter.limit(f"{MANY}/minute")
    async def name(request: Request) -> Any:
        await load_session(request)
        return PlainTextResponse(str(request.session.get("name")))

    @app.get("/begin")
    async def begin(request: Request) -> Any:
        await load_session(request)
        request.session["name"] = "ada"
        return PlainTextResponse("begun")

    return app


async def litestar(_: AsyncExitStack) -> Any:
    from litestar import Litestar, MediaType, Request, get
    from litestar.middleware.rate_limit import RateLimitConfig
    from litestar.middleware.session.server_side import ServerSideSessionConfig

    globals()["Request"] = Request  # the same

    @get("/hello", media_type=MediaType.TEXT)
    async def hello() -> str:
        return "hello"

    @get("/name", media_type=MediaType.TEXT)
    async def name(request: Request[Any, Any, Any]) -> str:
        return str(request.session.get("name"))

    @get("/begin", media_type=MediaType.TEXT)
    async def begin(request: Request[Any, Any, Any]) -> str:
        request.set_session({"name": "ada"})
        return "begun"

    limits = RateLimitConfig(rate_limit=("minute", MANY))
    sessions = ServerSideSessionConfig(secure=False)
    return Litestar(
        [hello, name, begin],
        middleware=[sessions.middleware, limits.middleware],
        openapi_config=None,
        logging_config=None,
    )


async def plughost_sqlite(stack: AsyncExitStack) -> Any:
    return await plughost(stack, "sqlite")


CONTENDERS: dict[str, Callable[[AsyncExitStack], Any]] = {
    "starlette": starlette,
    "plughost": plughost,
    "plughost-sqlite": plughost_sqlite,
    "fastapi": fastapi,
    "litestar": litestar,
}
TITLES = {
    "starlette": "Starlette, bare",
    "plughost": "plughost, full stack",
    "plughost-sqlite": "the same, sessions in SQLite",
    "fastapi": "FastAPI + starsessions + slowapi",
    "litestar": "Litestar + its session + its rate limit",
}


async def serve(name: str, port: int) -> None:
    import uvicorn

    async with AsyncExitStack() as stack:
        app = await CONTENDERS[name](stack)
        config = uvicorn.Config(
            app, port=port, log_level="critical", access_log=False, loop="asyncio", http="h11"
        )
        await uvicorn.Server(config).serve()


async def call_in_process(name: str, path: str, seconds: float) -> float:
    """Return processor seconds for one request of the application alone."""
    async with AsyncExitStack() as stack:
        app = await CONTENDERS[name](stack)
        cookie = (await _call(app, "/begin", b""))[1]
        begun, count = time.process_time(), 0
        while time.process_time() < begun + seconds:
            for _ in range(50):
                status, _ = await _call(app, path, cookie)
            assert status == 200, (name, status)
            count += 50
        return (time.process_time() - begun) / count


async def _call(app: Any, path: str, cookie: bytes) -> tuple[int, bytes]:
    status, cookies = 0, b""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        nonlocal status, cookies
        if message["type"] == "http.response.start":
            status = message["status"]
            found = [value.partition(b";")[0] for key, value in message["headers"] if key == b"set-cookie"]
            cookies = b"; ".join(found)

    headers = [(b"host", b"localhost:8000"), (b"user-agent", b"bench"), (b"accept", b"*/*")]
    await app(
        {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
            "method": "GET", "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"",
            "root_path": "", "headers": [*headers, (b"cookie", cookie)] if cookie else headers,
            "client": ("127.0.0.1", 5000), "server": ("127.0.0.1", 8000), "state": {},
        },
        receive, send,
    )  # fmt: skip
    return status, cookies


def _call_alone(name: str, path: str, seconds: float) -> float:
    """Call it in a process of its own: one of them configures logging for all."""
    command = [sys.executable, __file__, "--call", name, "--path", path, "--seconds", str(seconds)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def ask_over_sockets(name: str, path: str, seconds: float) -> float:
    """Return processor seconds of the server for one request over real connections."""
    port = _free_port()
    server = subprocess.Popen([sys.executable, __file__, "--serve", name, "--port", str(port)])
    try:
        cookie = _cookie(f"http://127.0.0.1:{port}/begin")
        wrk = [
            "wrk",
            "-t1",
            "-c32",
            f"-d{seconds:g}s",
            "-H",
            f"Cookie: {cookie}",
            f"http://127.0.0.1:{port}{path}",
        ]
        subprocess.run([*wrk[:3], "-d1s", *wrk[4:]], capture_output=True, check=True)  # warm up
        before = _processor_seconds(server.pid)
        output = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
        used = _processor_seconds(server.pid) - before
        assert "Non-2xx" not in output, (name, output)
        return used / int(re.search(r"(\d+) requests in", output)[1])  # type: ignore[index]
    finally:
        server.terminate()
        server.wait()


def _processor_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _cookie(address: str) -> str:
    for _ in range(200):
        try:
            with urllib.request.urlopen(address) as answer:
                found = answer.headers.get_all("set-cookie") or []
                return "; ".join(each.partition(";")[0] for each in found)
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("the server did not come up")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--in-process", action="store_true", help="leave the server out even when wrk is there"
    )
    parser.add_argument("--serve")
    parser.add_argument("--call")
    parser.add_argument("--path", default="/hello")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve, options.port))
        return
    if options.call:
        print(asyncio.run(call_in_process(options.call, options.path, options.seconds)))
        return
    over_sockets = shutil.which("wrk") is not None and not options.in_process
    print(
        f"# {'wrk, 32 connections, uvicorn' if over_sockets else 'in the process'}, {os.cpu_count()} cores\n"
    )
    for path in PATHS:
        costs: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        for _ in range(options.rounds):
            for name, found in costs.items():
                if over_sockets:
                    found.append(ask_over_sockets(name, path, options.seconds))
                else:
                    found.append(_call_alone(name, path, options.seconds))
        _show(path, costs)


def _show(path: str, costs: dict[str, list[float]]) -> None:
    bare = costs["starlette"]
    what = "session not looked at" if path == "/hello" else "session read (not by bare Starlette)"
    print(
        f"| {path}: {what} | requests/s of one core | a request | to bare Starlette |\n|---|---:|---:|---:|"
    )
    for name, found in costs.items():
        cost = statistics.median(found)
        ratio = statistics.median(each / base for base, each in zip(bare, found, strict=True))
        print(f"| {TITLES[name]} | {1 / cost:,.0f} | {cost * 1e6:.0f} us | {ratio:.2f} |")
    print()


if __name__ == "__main__":
    main()
