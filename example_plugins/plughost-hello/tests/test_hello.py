"""The plugin in a real host, found by its entry point."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plughost import Host
from plughost.contracts import AuthAttempt, PluginState, Principal
from plughost_hello import Greeted

ENVIRON = {"PLUGHOST_LOAD_PLUGINS": "hello"}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.anyio
async def test_whoever_signs_in_is_greeted_as_configured() -> None:
    heard: list[Greeted] = []
    config = {"plugins": {"hello": {"config": {"greeting": "Welcome"}}}}
    async with Host(config=config, environ=ENVIRON) as host:
        host.events.subscribe(Greeted, heard.append)
        await host.hooks.after_auth(attempt=AuthAttempt(username="ada"), principal=Principal("1", "Ada"))
    assert heard == [Greeted("Ada", "Welcome, Ada!")]


@pytest.mark.anyio
async def test_an_unknown_setting_is_refused() -> None:
    config = {"plugins": {"hello": {"config": {"greting": "Hi"}}}}
    async with Host(config=config, environ=ENVIRON) as host:
        record = host.plugin("hello")
        assert record is not None
        assert record.state is PluginState.FAILED
        assert "Did you mean 'greeting'?" in record.reason


@pytest.mark.parametrize(("arguments", "said"), [(["Ada"], "Hello, Ada!\n"), ([], "Hello, world!\n")])
def test_the_command_says_hello(arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "plughost", "hello", *arguments]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == said


def test_the_plugin_passes_its_checks() -> None:
    command = [sys.executable, "-m", "plughost", "check", "hello", "--strict"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
