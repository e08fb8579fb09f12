"""An application's own hookspecs are known at every door: code, configuration, commands, plain routes."""

import json
import sys

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from plughost import Host, Plugin, hookimpl, hookspec
from plughost.cli import main
from plughost.exceptions import ConfigError

SPECS = """
from plughost import hookspec

@hookspec
def transform(text):
    "Return another text."

class More:
    @hookspec(mode="first")
    def pick(self, text):
        "Choose."
"""


@pytest.fixture
def textkit(tmp_path, monkeypatch):
    (tmp_path / "textkit_hooks.py").write_text(SPECS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("textkit_hooks", None)


def configured(folder, *names):
    (folder / "plughost.toml").write_text(f"[host]\nhookspecs = {json.dumps(names)}\n")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reference", "hook"), [("textkit_hooks", "transform"), ("textkit_hooks:More", "pick")]
)
async def test_the_configuration_declares_them(textkit, reference, hook):
    configured(textkit, reference)
    async with Host(environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        guest = type("Guest", (Plugin,), {hook: hookimpl(lambda self, text: text, specname=hook)})
        await host.load_plugin(guest)
        assert await getattr(host.hooks, hook)(text="a") in ("a", ["a"])


def test_a_module_that_is_not_there_is_named(textkit):
    configured(textkit, "textkit_hoks")
    with pytest.raises(ConfigError, match="textkit_hoks"):
        Host(environ={})


def test_a_module_that_declares_nothing_is_named(textkit):
    (textkit / "empty_hooks.py").write_text("")
    configured(textkit, "empty_hooks")
    with pytest.raises(ConfigError, match="declares no hooks"):
        Host(environ={})


def test_the_command_that_lists_hooks_knows_them(textkit, capsys):
    configured(textkit, "textkit_hooks")
    with pytest.raises(SystemExit) as left:
        sys.exit(main(["hooks", "transform", "--json"]))
    assert not left.value.code
    assert json.loads(capsys.readouterr().out)["origin"] == "textkit_hooks"


def test_a_plain_route_calls_hooks_without_await():
    from contextlib import asynccontextmanager

    class Specs:
        @hookspec
        def transform(self, text):
            """Return another text."""

    class Loud(Plugin):
        @hookimpl
        async def transform(self, text):
            return text.upper()

    host = Host(config={}, environ={"PLUGHOST_LOAD_PLUGINS": ""}, hookspecs=[Specs])

    @asynccontextmanager
    async def running(app):
        async with host:
            await host.load_plugin(Loud)
            yield

    app = FastAPI(lifespan=running)

    @app.get("/loud")
    def loud(text: str) -> list[str]:
        return host.sync_hooks.transform(text=text)

    with TestClient(app) as client:
        assert client.get("/loud", params={"text": "a"}).json() == ["A"]
