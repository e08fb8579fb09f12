"""A plugin to find inside the frameworks."""

from __future__ import annotations

from pathlib import Path

import pytest

GREETER = """
from starlette.responses import PlainTextResponse
from plughost import Plugin, hookimpl
from plughost.http import PUBLIC, Route, scope

class Greetings:
    async def greet(self, name):
        return f"hello {name}"

class Greeter(Plugin):
    async def start(self, context):
        context.provide(Greetings, Greetings())

    @hookimpl
    def register_routes(self):
        async def hello(request):
            root = request.scope["root_path"]
            return PlainTextResponse(f"hello from {root}{request.scope['path'].removeprefix(root)}")
        async def echo(request):
            return PlainTextResponse(await request.body())
        return [
            Route("/hello/{name:path}", hello, guard=PUBLIC),
            Route("/echo", echo, methods=["POST"], guard=PUBLIC),
            Route("/stock", hello, guard=scope("stock:read")),
        ]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a host with a plugin of its own and the admin page."""
    (tmp_path / "adapter_greeter.py").write_text(GREETER)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(__import__("sys").modules, "adapter_greeter", raising=False)
    file = tmp_path / "plughost.toml"
    file.write_text(
        '[host]\nallow = ["greeter", "admin"]\ndata_dir = "data"\n'
        '[plugins.greeter]\nmodule = "adapter_greeter:Greeter"\n'
        '[plugins.admin]\nmodule = "plughost.plugins.admin:AdminPlugin"\n'
    )
    return file
