"""A hello route of ``plughost serve`` with everything on, against its peers on the same server.

    python benchmarks/serve.py [--seconds 3] [--rounds 3]

plughost is the installed command in a folder with a configuration and one plugin: sessions in SQLite, the cache, the
admin page, security headers, figures, a rate limit and the access log, which goes to a file. The peers run under
uvicorn with uvloop and httptools, as serve does; the bare one has none of that. Each is a process of its own, asked
by wrk in turns, round by round, with a session cookie that it made itself; the route does not look at it, and in
the second part reads from it. Ratios are those within a round. Needs wrk, and beside plughost[standard]: fastapi,
starsessions, slowapi, litestar.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MANY = 1_000_000_000
PATHS = ("/hello", "/name")


CONFIG = f"""
[host]
allow = ["sessions", "cache", "admin", "hello"]
data_dir = "data"
[plugins.hello]
module = "hello:Hello"
[plugins.sessions.config]
cookie_secure = false
[http.rate_limits]
hello = {MANY}
"""

PLUGIN = """
from starlette.responses import PlainTextResponse
from plughost import Plugin, hookimpl
from plughost.contracts import session_of
from plughost.http import PUBLIC, Route

async def hello(request):
    return PlainTextResponse("hello")

async def name(request):
    session = await session_of(request).load()
    return PlainTextResponse(str(session.get("name")))

async def begin(request):
    session_of(request)["name"] = "ada"
    return PlainTextResponse("begun")

class Hello(Plugin):
    @hookimpl
    def register_routes(self):
        return [
            Route("/hello", hello, guard=PUBLIC, rate="hello"),
            Route("/name", name, guard=PUBLIC, rate="hello"),
            Route("/begin", begin, guard=PUBLIC),
        ]
"""


def plughost_command(folder: Path, port: int, *options: str) -> list[str]:
    """Return what a person types, after the folder has been filled."""
    (folder / "plughost.toml").write_text(CONFIG)
    (folder / "hello.py").write_text(PLUGIN)
    return [sys.executable, "-m", "plughost", "serve", "--port", str(port), *options]


def starlette() -> Any:
    """Without any of it: what there is to lose."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    return Starlette(routes=[Route(path, hello) for path in (*PATHS, "/begin")])


def fastapi() -> Any:
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


def litestar() -> Any:
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


CONTENDERS: dict[str, Callable[[], Any] | tuple[str, ...]] = {
    "Starlette, bare": starlette,
    "plughost serve": (),
    "plughost serve --no-access-log": ("--no-access-log",),
    "plughost serve --workers 2": ("--workers", "2"),
    "FastAPI + starsessions + slowapi": fastapi,
    "Litestar + its session + its rate limit": litestar,
}


@contextmanager
def running(name: str) -> Iterator[tuple[str, int]]:
    """Start a server; yield its address and process."""
    port = _free_port()
    made = CONTENDERS[name]
    with tempfile.TemporaryDirectory() as place, Path(place, "log").open("w") as log:
        folder = Path(place)
        command = (
            plughost_command(folder, port, *made)
            if isinstance(made, tuple)
            else [sys.executable, __file__, "--serve", made.__name__, "--port", str(port)]
        )
        environ = {**os.environ, "PYTHONPATH": place} if isinstance(made, tuple) else dict(os.environ)
        process = subprocess.Popen(command, cwd=place, env=environ, stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class Figures:
    """What wrk said, and what the server used of the processor for each request (without workers)."""

    rate: float
    p50: float
    p99: float
    cost: float


def ask(name: str, path: str, connections: int, seconds: float) -> Figures:
    """Ask one contender for some seconds, after three seconds in which it warms up."""
    with running(name) as (address, process):
        cookie = _cookie(f"{address}/begin")
        wrk = ["wrk", "-t1", f"-c{connections}", "--latency", "-H", f"Cookie: {cookie}"]
        subprocess.run([*wrk, "-d3s", f"{address}{path}"], capture_output=True, check=True)
        before = _processor_seconds(process)
        output = subprocess.run(
            [*wrk, f"-d{seconds:g}s", f"{address}{path}"], capture_output=True, text=True, check=True
        ).stdout
        used = _processor_seconds(process) - before
    assert "Non-2xx" not in output, (name, output)
    count = int(_found(r"(\d+) requests in", output))
    percentiles = [_milliseconds(_found(rf"(?m)^\s+{n}%\s+(\S+)", output)) for n in (50, 99)]
    return Figures(float(_found(r"Requests/sec:\s+(\S+)", output)), *percentiles, used / count)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, (pattern, text)
    return match[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 0.001), ("ms", 1.0), ("s", 1000.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)


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
    parser.add_argument("--serve")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.serve:
        import uvicorn

        uvicorn.run(globals()[options.serve](), port=options.port, log_level="critical", access_log=False)
        return
    print(f"# wrk on {os.cpu_count()} processors, which it shares with the server\n")
    for path in PATHS:
        for connections in (32, 1):
            found: dict[str, list[Figures]] = {name: [] for name in CONTENDERS}
            for _ in range(options.rounds):
                for name, figures in found.items():
                    figures.append(ask(name, path, connections, options.seconds))
            _show(path, connections, found)


def _show(path: str, connections: int, found: dict[str, list[Figures]]) -> None:
    bare = found["Starlette, bare"]
    what = "session not looked at" if path == "/hello" else "session read (not by bare Starlette)"
    print(f"### {path}, {connections} connection(s): {what}\n")
    print("| | requests/s | to bare | p50 | to bare | p99 |\n|---|---:|---:|---:|---:|---:|")
    for name, figures in found.items():
        rates = statistics.median(each.rate / base.rate for base, each in zip(bare, figures, strict=True))
        waits = statistics.median(each.p50 / base.p50 for base, each in zip(bare, figures, strict=True))
        rate, p50, p99 = (
            statistics.median(getattr(each, what) for each in figures) for what in ("rate", "p50", "p99")
        )
        print(f"| {name} | {rate:,.0f} | {rates:.2f} | {p50:.2f} ms | {waits:.2f} | {p99:.1f} ms |")
    print()


if __name__ == "__main__":
    main()
