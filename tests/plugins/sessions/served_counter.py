"""The view counter of the README behind a real server. Run by test_served: ``served_counter.py DATA_DIR SOCKET``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import anyio
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from plughost import Host, hookimpl
from plughost.contracts import Allow, AuthAttempt, Principal, Verdict, session_of
from plughost.http import PUBLIC, SIGNED_IN, Route, create_app
from plughost.plugins.sessions import SessionsPlugin


class Counter:
    """Counts views of who is signed in, and lets in who knows the word."""

    def start(self, context: Any) -> None: ...

    @hookimpl
    async def authenticate(self, attempt: AuthAttempt) -> Verdict:
        return Allow(Principal(attempt.username, attempt.username))

    @hookimpl
    def register_routes(self) -> Sequence[Route]:
        return [
            Route("/view", view, methods=["GET"], guard=SIGNED_IN),
            Route("/page", page, methods=["GET"], guard=PUBLIC),
            Route("/same", same, methods=["GET"], guard=PUBLIC),
        ]


async def view(request: Request) -> Response:
    session = session_of(request)
    session["views"] = session.get("views", 0) + 1
    return JSONResponse({"views": session["views"]})


async def page(request: Request) -> Response:
    """A page that says who looks, and claims that everybody may keep it."""
    name = session_of(request).username or "nobody"
    return Response(f"hello {name}", headers={"cache-control": "public, max-age=600"})


async def same(request: Request) -> Response:
    """A page that is the same for everybody and looks at no session."""
    return Response("same for all", headers={"cache-control": "public, max-age=600"})


async def main(data_dir: str, path: str) -> None:
    host = Host("acme", config={"host": {"data_dir": data_dir}}, environ={"PLUGHOST_LOAD_PLUGINS": ""})
    async with host:
        await host.load_plugin(SessionsPlugin, {"cookie_secure": False}, name="sessions")
        await host.load_plugin(Counter(), name="counter")
        config = uvicorn.Config(create_app(host), uds=path, log_level="error", lifespan="off")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
