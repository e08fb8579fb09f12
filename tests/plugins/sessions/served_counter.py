"""The view counter of the README behind a real server. Run by test_served: ``served_counter.py DATA_DIR SOCKET``."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.requests import Request
from starlette.responses import Response

from plughost import Host, Plugin, hookimpl
from plughost.contracts import session_of
from plughost.http import PUBLIC, Route, create_app
from plughost.plugins.sessions import SessionsPlugin


class Pages(Plugin):
    """Pages that claim that everybody may keep them."""

    name = "pages"

    @hookimpl
    def register_routes(self) -> Sequence[Route]:
        return [
            Route("/page", page, methods=["GET"], guard=PUBLIC),
            Route("/same", same, methods=["GET"], guard=PUBLIC),
        ]


def counter_of_readme() -> Any:
    """The plugin as the README has it: its block, run as it stands there."""
    readme = Path(__file__).parents[3] / "README.md"
    blocks = re.findall(r"^```python\n(.*?)^```", readme.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (block,) = (block for block in blocks if "class Counter" in block)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(compile(block, str(readme), "exec"), names)  # noqa: S102
    return names["Counter"]


async def page(request: Request) -> Response:
    """A page that says who looks."""
    name = session_of(request).username or "nobody"
    return Response(f"hello {name}", headers={"cache-control": "public, max-age=600"})


async def same(request: Request) -> Response:
    """A page that is the same for everybody and looks at no session."""
    return Response("same for all", headers={"cache-control": "public, max-age=600"})


async def main(data_dir: str, path: str) -> None:
    host = Host("acme", config={"host": {"data_dir": data_dir}}, environ={"PLUGHOST_LOAD_PLUGINS": ""})
    async with host:
        await host.load_plugin(SessionsPlugin, {"cookie_secure": False}, name="sessions")
        await host.load_plugin(counter_of_readme())
        await host.load_plugin(Pages)
        config = uvicorn.Config(create_app(host), uds=path, log_level="error", lifespan="off")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    anyio.run(main, *sys.argv[1:])
