"""The fixtures and the contract suite with an application on bare pluggy and plugins that know no plughost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import pytest

from plughost import Host
from plughost.testing import HookRecorder, HostMaker, PluginMaker, PluginSuite, faults

pytestmark = pytest.mark.anyio

APPLICATIONS = ("greet", "rows")


def specs_of(project: str) -> type:
    spec = pluggy.HookspecMarker(project)

    class Specs:
        @spec(firstresult=True)
        def greeting(self, name: str) -> str:
            """Return how somebody is greeted."""

        @spec
        def remark(self, name: str) -> str:
            """Return something to add."""

        @spec
        def register_routes(self, program: str) -> list[str]:
            """A name that plughost's catalogue has, too."""

    return Specs


def plugin_of(project: str) -> ModuleType:
    impl = pluggy.HookimplMarker(project)
    module = ModuleType("polite")
    vars(module).update(
        greeting=impl(lambda name: f"Dear {name}"),
        remark=impl(lambda name: "how do you do?"),
        register_routes=impl(lambda program: [f"/{program}"]),
        requires=lambda: "its own business",
    )
    return module


SOURCE = """
import pluggy
impl = pluggy.HookimplMarker({project!r})

@impl
def remark(name):
    return "hello from a distribution"
"""


@pytest.fixture(params=APPLICATIONS)
def pluggy_application(request: pytest.FixtureRequest) -> tuple[str, object]:
    return request.param, specs_of(request.param)


@pytest.fixture
def project(pluggy_application: tuple[str, object]) -> str:
    return pluggy_application[0]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_the_host_is_one_of_that_application(host: Host, project: str) -> None:
    await host.load_plugin(plugin_of(project), name="polite")
    assert (host.name, host.pluggy.project_name) == (project, project)
    assert await host.hooks.greeting(name="Ada") == "Dear Ada"
    assert [name for name in dir(host.pluggy.hook) if name[0] != "_"] == [
        "greeting",
        "register_routes",
        "remark",
    ]


async def test_made_hosts_find_plugins_of_its_group(
    make_host: HostMaker, make_plugin: PluginMaker, project: str
) -> None:
    make_plugin("wordy", SOURCE.format(project=project), group=project, version="2.0")
    make_plugin("other", SOURCE.format(project=project), group=project)
    async with make_host("wordy") as host:
        assert await host.hooks.remark(name="Ada") == ["hello from a distribution"]
        assert host.plugins["wordy"].version == "2.0"
        assert not host.plugins["other"].running


async def test_the_recorder_sees_the_calls_of_every_face(
    host: Host, hook_recorder: HookRecorder, project: str
) -> None:
    await host.load_plugin(plugin_of(project), name="polite")
    await host.hooks.remark(name="Ada")
    host.sync_hooks.register_routes(program="a")
    host.pluggy.hook.greeting(name="Bo")
    assert [(call.hook, call.arguments, call.result) for call in hook_recorder.calls] == [
        ("remark", {"name": "Ada"}, ["how do you do?"]),
        ("register_routes", {"program": "a"}, [["/a"]]),
        ("greeting", {"name": "Bo"}, "Dear Bo"),
    ]
    assert all(plugin.__name__ for plugin in host.pluggy.get_plugins())  # as programs ask of theirs


async def test_a_fault_can_be_planted_in_a_module(host: Host, project: str) -> None:
    broken = faults.inject(plugin_of(project), remark=faults.fail(OSError("no words")))
    await host.load_plugin(broken, name="polite")
    assert await host.hooks.greeting(name="Ada") == "Dear Ada"
    with pytest.raises(OSError, match="no words"):
        await host.hooks.remark(name="Ada")


async def test_the_client_reaches_the_application_of_its_host(host_client: Any) -> None:
    assert (await host_client.get("/livez")).status_code == 200


class TestAPluginOfThatApplication(PluginSuite):
    @pytest.fixture(params=["asyncio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    @pytest.fixture
    def plugin(self, project: str) -> object:
        return plugin_of(project)


SUITE = """
import types
import pluggy
import pytest
from plughost.testing import PluginSuite

impl = pluggy.HookimplMarker("greet")

class Specs:
    @pluggy.HookspecMarker("greet")
    def remark(self, name: str) -> str:
        "Say something."

@pytest.fixture
def pluggy_application():
    return "greet", Specs

module = types.ModuleType("odd")

@impl
def remark(name):
    return {answer}

module.remark = remark

@pytest.fixture
def anyio_backend():  # whose name the suite asks for, wherever it stands
    return "asyncio"

class TestOdd(PluginSuite):
    @pytest.fixture
    def plugin(self):
        return module
"""


@pytest.mark.parametrize(
    ("answer", "said"), [("name.no_such_thing", "no_such_thing"), ("[name]", "which is no <class 'str'>")]
)
def test_the_suite_finds_a_plugin_that_fails_or_answers_what_no_spec_names(
    tmp_path: Path, answer: str, said: str
) -> None:
    (tmp_path / "test_odd.py").write_text(SUITE.replace("{answer}", answer), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
    wanted = ["-k", "whatever_fits_their_types or becomes_ready", "test_odd.py"]
    done = subprocess.run(
        [*command, *wanted], cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 1, done.stdout
    assert said in done.stdout
    assert "1 failed, 1 passed" in done.stdout
