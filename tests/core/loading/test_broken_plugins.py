"""Every way a plugin can be broken: the host goes on, the report says what happened and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import AuthAttempt, PluginRecord, PluginState, Principal
from plughost.exceptions import PluginError

from .sources_of_plugins import GOOD, INSTALLED

pytestmark = pytest.mark.anyio

HEAD = "import anyio, asyncio, sys, time\nimport msgspec\nfrom plughost import Plugin, hookimpl\n"
_numbers = count()
HURRIED = 2.0
"""Seconds for plugins that hang: the good one beside them has no more, on a machine that does other things too."""


def limits(seconds: float = 60.0) -> dict[str, Any]:
    return {"host": {"load_timeout": seconds, "shutdown_timeout": 0.3, "allow": INSTALLED}}


async def load_beside_a_good_one(
    install, source: str, *, limit: float = 60.0, settings: dict[str, Any] | None = None, **more: Any
) -> PluginRecord:
    """Start a host with a good plugin and this one; the good one must be fine and this one must be gone."""
    install("good", GOOD)
    # An import that was left behind keeps its module's lock: each case has a module of its own.
    install("bad", HEAD + source, module=f"bad_{next(_numbers)}_plugin", **more)
    async with Host(config=limits(limit) | (settings or {}), environ={}) as host:
        assert host.plugin("good").state is PluginState.READY
        assert not host.pluggy.has_plugin("bad")
        assert "bad" in {row.name for row in host.report.failed}
        assert [job for job in host.jobs.snapshot() if job.owner == "bad"] == []
        record = host.plugin("bad")
    assert record.reason
    return record


CASES = {
    "a module that is not there": ("", {"attribute": "_gone:P"}, "import", "was not found"),
    "an import error inside": ("import no_such_thing", {}, "import", "imports no_such_thing, which is not installed"),
    "a module that raises": ("1 / 0", {}, "import", "ZeroDivisionError"),
    "a syntax error": ("def (", {}, "import", "SyntaxError"),
    "an import that exits": ("sys.exit(3)", {}, "import", "sys.exit(3)"),
    "an import that sleeps": ("time.sleep(30)", {}, "import", "2 s"),
    "a Config that is anything": (
        "import typing\nclass P(Plugin):\n    Config = typing.Any\n",
        {},
        "validation",
        "the Config of plugin 'bad' cannot be read: TypeError",
    ),
    "a Config that exits when it is looked at": (
        "class Shy(type):\n def __instancecheck__(*_): sys.exit(4)\nclass P(Plugin):\n class Config(metaclass=Shy): 0",
        {},
        "validation",
        "the Config of plugin 'bad' cannot be read: SystemExit",
    ),
    "a missing attribute": ("class Q(Plugin): pass", {"attribute": ":PQ"}, "import", "names 'PQ', which is not there"),
    "an attribute that is not a plugin": ("P = 3", {}, "validation", "is not a plugin"),
    "a class without any method": ("class P: pass", {}, "validation", "no start(context) method"),
    "a start that is no function": ("class P(Plugin):\n  start = 3", {}, "validation", "not a function"),
    "a class that wants arguments": (
        "class P(Plugin):\n  def __init__(self, x): pass", {}, "validation", "without arguments"
    ),
    "a constructor that hangs": ("class P(Plugin):\n  def __init__(self): time.sleep(30)", {}, "import", "2 s"),
    "an async factory": ("async def P(): pass", {}, "validation", "coroutine function"),
    "requires that is a text": ("class P(Plugin):\n  requires = 'cache'", {}, "validation", "tuple of plugin names"),
    "a Config that is no class": ("class P(Plugin):\n  Config = 3", {}, "validation", "not a class"),
    "a hook nobody declared": (
        "class P(Plugin):\n  @hookimpl\n  def befor_auth(self, attempt): pass", {}, "validation", "before_auth"
    ),
    "keyword-only arguments": (
        "class P(Plugin):\n  @hookimpl\n  def before_auth(self, *, attempt): pass", {}, "validation", "keyword"
    ),
    "a wrong host API": ("class P(Plugin):\n  host_api = '>=9'", {}, "configuration", ">=9"),
    "a missing dependency": (
        "class P(Plugin):\n  requires = ('gone',)", {}, "configuration", "'gone', which is not installed"
    ),
    "a dependency on itself": ("class P(Plugin):\n  requires = ('bad',)", {}, "configuration", "circle"),
    "a start that raises": (
        "class P(Plugin):\n  async def start(self, context): raise OSError('disk')", {}, "start", "OSError: disk"
    ),
    "a start that exits": (
        "class P(Plugin):\n  async def start(self, context): sys.exit(1)", {}, "start", "SystemExit"
    ),
    "a start that raises a BaseException": (
        "class Odd(BaseException): pass\nclass P(Plugin):\n  async def start(self, context): raise Odd('x')",
        {}, "start", "Odd"
    ),
    "a start that hangs in a thread": (
        "class P(Plugin):\n  def start(self, context): time.sleep(30)", {}, "start", "2 s"
    ),
    "a check_config that refuses": (
        "class P(Plugin):\n  async def check_config(self, config): raise ValueError('say where')",
        {}, "validation", "say where"
    ),
    "a check_config that hangs": (
        "class P(Plugin):\n  async def check_config(self, config): await anyio.sleep(30)", {}, "validation", "2 s"
    ),
    "a cron expression that is none": (
        "class P(Plugin):\n  async def start(self, context): context.cron('often', print)", {}, "register", "often"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
async def test_is_reported_and_stops_nobody(install, case: str) -> None:
    source, more, phase, says = CASES[case]
    limit = HURRIED if says == "2 s" else 60.0
    record = await load_beside_a_good_one(install, source, limit=limit, **more)
    assert record.error is not None
    assert (record.error.phase, says in record.error.message) == (phase, True), record.error.message


CONFIG = "class C(msgspec.Struct):\n  directory: str\n  size: int = 3\nclass P(Plugin):\n  Config = C"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "directory"),
        ({"directory": "x", "sise": 1}, "Did you mean 'size'?"),
        ({"directory": "x", "size": "many"}, "plugins.bad.config.size"),
        ({"directory": {"$env": "NOT_SET_ANYWHERE"}}, "NOT_SET_ANYWHERE"),
    ],
)
async def test_a_wrong_configuration_names_the_setting(install, config, says) -> None:
    record = await load_beside_a_good_one(install, CONFIG, settings={"plugins": {"bad": {"config": config}}})
    assert record.error is not None
    assert record.error.kind == "PluginConfigError"
    assert says in record.error.message


async def test_a_secret_of_a_plugin_is_shown_nowhere(install) -> None:
    source = "class C(msgspec.Struct):\n  login: Secret\nclass P(Plugin):\n  Config = C"
    install("kept", HEAD + "from plughost.contracts import Secret\n" + source)
    config = {**limits(), "plugins": {"kept": {"config": {"login": "hunter2"}}}}
    async with Host(config=config, environ={}) as host:
        await host.reload_plugin("kept", {"login": "hunter3"})
        record = host.plugin("kept")
        assert record.state is PluginState.READY
        assert set(record.config) == {"login"}
        assert "hunter" not in repr((record, host.report, await host.status()))


async def test_a_disabled_plugin_is_never_imported(install) -> None:
    install("bad", HEAD + "raise AssertionError('imported')")
    async with Host(config={**limits(), "plugins": {"bad": {"enabled": False}}}, environ={}) as host:
        assert host.plugin("bad").state is PluginState.DISABLED
        assert "bad" in {row.name for row in host.report.skipped}
    assert "bad_plugin" not in sys.modules


@pytest.mark.parametrize("requirement", ["disabled", "failed"])
async def test_a_plugin_whose_dependency_is_not_there_does_not_start(install, requirement) -> None:
    install("base", HEAD + "class P(Plugin):\n  async def start(self, context): 1 / 0")
    install(
        "bad",
        HEAD
        + "class P(Plugin):\n  requires = ('base',)\n  async def start(self, context): raise AssertionError('started')",
    )
    config = {**limits(), "plugins": {"base": {"enabled": requirement != "disabled"}}}
    async with Host(config=config, environ={}) as host:
        record = host.plugin("bad")
        assert record.error.kind == "PluginDependencyError"
        assert requirement in record.reason


async def test_a_circle_between_classes_is_found_after_their_import(install) -> None:
    install("one", HEAD + "class P(Plugin):\n  requires = ('two',)")
    install("two", HEAD + "class P(Plugin):\n  after = ('one',)")
    async with Host(config=limits(), environ={}) as host:
        for name in ("one", "two"):
            assert host.plugin(name).error.kind == "PluginDependencyError"
            assert "circle" in host.plugin(name).reason


async def test_an_abandoned_import_does_not_hold_up_the_next_one(install) -> None:
    install("a-slow", module=f"slow_{next(_numbers)}_plugin", source=HEAD + "time.sleep(30)")
    install("b-good", GOOD)
    async with Host(config=limits(HURRIED), environ={}) as host:
        assert host.plugin("b-good").state is PluginState.READY


class Stubborn(Plugin):
    """Will not stop: sleeps in ``stop``, swallowing what would end it."""

    name = "stubborn"

    async def stop(self) -> None:
        while True:
            try:
                await anyio.sleep(0.01)
            except GeneratorExit:
                raise
            except BaseException:  # noqa: S110  that is the fault this plugin has
                pass


class Hanging(Plugin):
    name = "hanging"

    async def stop(self) -> None:
        await anyio.sleep_forever()


class Raising(Plugin):
    name = "raising"

    async def stop(self) -> None:
        raise OSError("stuck")


@pytest.mark.parametrize("plugin", [Hanging, Stubborn, Raising])
async def test_a_plugin_that_will_not_stop_is_left_behind(plugin) -> None:
    async with Host(config={"host": {"shutdown_timeout": 0.2, "allow": []}}, environ={}) as host:
        await host.load_plugin(plugin)
        await host.load_plugin(Raising, name="other")
    record = host.plugin(plugin.name)
    assert record.state is PluginState.STOPPED
    assert "0.2 s" in record.reason or "stuck" in record.reason


async def test_hooks_of_a_failed_plugin_that_hang_or_raise_reach_only_its_own_outcome() -> None:
    class Mixed(Plugin):
        name = "mixed"

        @hookimpl(timeout=0.1)
        async def after_auth(self, attempt, principal):
            await anyio.sleep_forever()

    class Fine(Plugin):
        name = "fine"

        @hookimpl
        def after_auth(self, attempt, principal):
            return None

    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(Mixed)
        await host.load_plugin(Fine)
        attempt, principal = AuthAttempt(username="a"), Principal("1", "a")
        report = await host.hooks.after_auth.report(attempt=attempt, principal=principal)
        assert {outcome.plugin: outcome.kind for outcome in report.outcomes} == {
            "mixed": "timed_out",
            "fine": "value",
        }


INTERRUPTED = """
import anyio
from plughost import Host, Plugin

class Interrupted(Plugin):
    async def start(self, context):
        raise KeyboardInterrupt

async def main():
    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(Interrupted)
    print("went on")

try:
    anyio.run(main, backend=%r)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_keyboard_interrupt_of_a_plugin_ends_the_program(anyio_backend) -> None:
    script = INTERRUPTED % anyio_backend
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.stdout == "interrupted\n", ended.stderr


async def test_what_the_body_raises_comes_out_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Host(config={"host": {"allow": []}}, environ={}):
            _ = 1 / 0


async def test_a_cancelled_host_still_stops_its_plugins_in_order() -> None:
    stopped: list[str] = []

    def make(plugin_name: str, *needs: str) -> Plugin:
        class P(Plugin):
            name = plugin_name
            requires = needs

            async def stop(self) -> None:
                await anyio.sleep(0.01)
                stopped.append(plugin_name)

        return P()

    with anyio.CancelScope() as scope:
        async with Host(config={"host": {"allow": []}}, environ={}) as host:
            await host.load_plugin(make("base"))
            await host.load_plugin(make("middle", "base"))
            await host.load_plugin(make("top", "middle"))
            scope.cancel()
            await anyio.sleep_forever()
    assert stopped == ["top", "middle", "base"]


async def test_unloading_stops_those_that_require_it_first() -> None:
    class Base(Plugin):
        name = "base"

    class Top(Plugin):
        name = "top"
        requires = ("base",)

    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(Base)
        await host.load_plugin(Top)
        await host.unload_plugin("base")
        assert host.plugin("top").state is PluginState.STOPPED
        assert "'base'" in host.plugin("top").reason


async def test_a_reload_that_fails_leaves_the_old_one_running(install, tmp_path: Path) -> None:
    install("good", GOOD)
    async with Host(config=limits(), environ={}) as host:
        source = tmp_path / "site" / "good_plugin" / "__init__.py"
        source.write_text("raise OSError('half saved')", "utf-8")
        stamp = time.time() + 10
        os.utime(source, (stamp, stamp))
        with pytest.raises(PluginError, match="half saved"):
            await host.reload_plugin("good")
        assert host.plugin("good").state is PluginState.READY
        source.write_text(GOOD.replace('"seen"', '"new"'), "utf-8")
        os.utime(source, (stamp + 10, stamp + 10))
        await host.reload_plugin("good")
        assert "new" in host.plugin("good").status
