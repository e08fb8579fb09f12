# ruff: noqa: S101 - a suite: the assertions are the point
"""What every plugin must do, whatever it is for.

Yours is right when this class passes for it::

    class TestMyPlugin(PluginSuite):
        @pytest.fixture
        def plugin(self):
            return MyPlugin

        @pytest.fixture
        def plugin_config(self):
            return {"directory": "somewhere"}

A plugin that was written for bare pluggy is a ``plugin`` as well; a fixture ``pluggy_application`` then names the
application: ``return "datasette", datasette.hookspecs``.

A fixture ``isolation`` with ``params=["none", "process"]`` runs it twice, inside the host and in a process of its own.

It runs on the event loops that the ``anyio_backend`` fixture names, by default on those that are installed. Hooks are
called with arguments made from the types in their specs; override ``hook_arguments`` where yours expect something more
particular.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, get_type_hints

import anyio
import anyio.lowlevel
import msgspec
import pytest

from plughost.contracts.arguments import several
from plughost.contracts.hooks import Outcome
from plughost.contracts.processes import Isolation
from plughost.contracts.records import PluginRecord, PluginState
from plughost.core.calls.declaration import Declaration
from plughost.exceptions import HookCallError, PluginConfigError, Refused
from plughost.host import Host
from plughost.testing.hosts import HostMaker
from plughost.testing.leaks import Traces, new_traces, traces_of
from plughost.testing.samples import NoSampleError, argument_sets, is_of
from plughost.testing.suites.isolated import isolated

_TURNS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55)
"""After so many turns of the event loop something is broken off."""

_AT_ONCE = 10
"""So many callers at the same time."""

LIMITS = {"load_timeout": 5.0, "shutdown_timeout": 2.0}
"""Seconds that the host of the suite grants."""

NAME = "suite"
"""What the plugin is called in the host of the suite."""


class Bench:
    """A running host, and the plugin that is tested in it.

    Attributes:
        host: The host.
        plugin: The plugin class, factory or module.
        config: Its configuration.
        arguments: Hook to the sets of arguments to call it with, for those the author named.
        exempt: Hooks that are not called.
        isolation: Where it runs.
    """

    def __init__(
        self,
        host: Host,
        plugin: object,
        config: Mapping[str, Any],
        arguments: Mapping[str, Sequence[Mapping[str, Any]]],
        exempt: Iterable[str],
        isolation: Isolation,
    ) -> None:
        self.host = host
        self.plugin = plugin
        self.config = config
        self.arguments = arguments
        self.exempt = frozenset(several("exempt_hooks", exempt))
        self.isolation = isolation

    async def load(self) -> PluginRecord:
        """Load the plugin."""
        if self.isolation == "process":
            self.host.lay_over({NAME: {"enabled": True}}, "the contract suite")
            return await self.host.load_plugin(NAME, dict(self.config))
        return await self.host.load_plugin(self.plugin, dict(self.config), NAME)

    async def unload(self) -> bool:
        """Stop the plugin."""
        return await self.host.unload_plugin(NAME)

    def record(self) -> PluginRecord:
        """What the host says of it."""
        return self.host.plugins[NAME]

    def traces(self) -> Traces:
        """What there is now."""
        return traces_of(self.host, NAME)

    async def expect_nothing_new(self, since: Traces) -> None:
        """Fail when something is there that was not."""
        found = await new_traces(self.host, NAME, since)
        assert not found, f"left behind: {', '.join(found)}"

    def calls(self) -> list[tuple[Declaration, Mapping[str, Any]]]:
        """Every hook of the plugin with every set of arguments."""
        declared = {one.name: one for one in self.host._dispatcher.declarations()}
        return [
            (declared[hook], arguments)
            for hook in self.record().hooks
            if hook in declared and hook not in self.exempt
            for arguments in self._arguments(declared[hook])
        ]

    def _arguments(self, declaration: Declaration) -> Sequence[Mapping[str, Any]]:
        if declaration.name in self.arguments:
            return self.arguments[declaration.name]
        try:
            return argument_sets(declaration.function, declaration.arguments)
        except NoSampleError as error:
            pytest.fail(f"hook {declaration.name!r}: {error}. Say so in the fixture hook_arguments")

    async def call(self, declaration: Declaration, arguments: Mapping[str, Any]) -> Outcome | None:
        """Call a hook; return what the plugin did, or None when it was not asked."""
        hook = getattr(self.host.hooks, declaration.name)
        try:
            report = hook.report(**arguments)
            if not declaration.options.sync:
                report = await report
            impls = hook.get_hookimpls()
            is_wrapper = any(impl.wrapper for impl in impls if impl.plugin_name == NAME)
            if is_wrapper:
                return None  # what it makes of others' answers is in the result, and is the caller's
        except Refused as refusal:
            return Outcome(NAME, "error", error=refusal)
        except HookCallError as error:
            return Outcome(error.plugin, "error", error=error.__cause__ or error)
        return next((one for one in report.outcomes if one.plugin == NAME), None)


def complaint(declaration: Declaration, outcome: Outcome | None) -> str:
    """What is wrong with how the plugin answered a hook; empty when nothing is."""
    if outcome is None or outcome.kind == "skipped" or isinstance(outcome.error, Refused):
        return ""
    if outcome.kind != "value":
        return f"{declaration.name} failed: {type(outcome.error).__name__}: {outcome.error}"
    expected = get_type_hints(declaration.function).get("return", Any)
    mode = declaration.options.mode
    fits = outcome.value is None or is_of(outcome.value, expected)
    if mode == "decide":
        fits = is_of(outcome.value, expected)
    return "" if fits else f"{declaration.name} returned {outcome.value!r}, which is no {expected}"


class PluginSuite:
    """Subclass it and give it a ``plugin`` fixture that returns your plugin class, factory or module."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def plugin(self) -> object:
        """Override it: the plugin class, factory or module."""
        pytest.fail("override the fixture `plugin`: return your plugin class, factory or module")

    @pytest.fixture
    def plugin_config(self) -> Mapping[str, Any]:
        """Override it when the plugin needs settings."""
        return {}

    @pytest.fixture
    def companions(self) -> Sequence[object]:
        """Override it when the plugin needs others: classes or instances, loaded in this order before it."""
        return ()

    @pytest.fixture
    def host_settings(self) -> Mapping[str, Any]:
        """Override it when the plugin needs a host that is configured: tables as in ``plughost.toml``."""
        return {}

    @pytest.fixture
    def isolation(self) -> Isolation:
        """Override it: ``process`` runs it in a process of its own; with both as ``params`` all is tested twice."""
        return "none"

    @pytest.fixture
    def hook_arguments(self) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        """Override it: hook to sets of arguments, for hooks that cannot do with made-up ones."""
        return {}

    @pytest.fixture
    def exempt_hooks(self) -> Iterable[str]:
        """Override it: hooks that must not be called in a test."""
        return ()

    @pytest.fixture
    async def bench(
        self,
        anyio_backend: object,
        make_host: HostMaker,
        plugin: object,
        plugin_config: Mapping[str, Any],
        companions: Sequence[object],
        host_settings: Mapping[str, Any],
        hook_arguments: Mapping[str, Sequence[Mapping[str, Any]]],
        exempt_hooks: Iterable[str],
        isolation: Isolation,
    ) -> AsyncIterator[Bench]:
        """A host in which the companions run and the plugin does not yet."""
        async with make_host(config=_settings(host_settings, plugin, isolation)) as host:
            for companion in companions:
                await host.load_plugin(companion)
            yield Bench(host, plugin, plugin_config, hook_arguments, exempt_hooks, isolation)

    async def test_it_becomes_ready(self, bench: Bench) -> None:
        """It starts with the configuration it was given."""
        record = await bench.load()
        assert (record.state, record.reason) == (PluginState.READY, "")

    async def test_its_status_is_plain_data(self, bench: Bench) -> None:
        """Reports, pages and commands show its status as JSON."""
        await bench.load()
        status = bench.record().status
        assert "error" not in status, status["error"]
        json.dumps(dict(status))

    async def test_it_stops_without_an_error(self, bench: Bench) -> None:
        """It stops within its limit and raises nothing."""
        await bench.load()
        assert await bench.unload()
        assert (bench.record().state, bench.record().reason) == (PluginState.STOPPED, "unloaded")

    async def test_stopping_it_twice_is_harmless(self, bench: Bench) -> None:
        """A second stop finds nothing to do."""
        await bench.load()
        assert [await bench.unload(), await bench.unload()] == [True, False]
        assert bench.record().state is PluginState.STOPPED

    async def test_it_leaves_nothing_behind(self, bench: Bench) -> None:
        """Tasks, threads, hooks, services, jobs, subscriptions, files and the surroundings are as before."""
        before = bench.traces()
        await bench.load()
        await self._call_everything(bench)
        await bench.unload()
        await bench.expect_nothing_new(before)

    async def test_it_can_be_started_again(self, bench: Bench) -> None:
        """A second start is as good as the first one."""
        await bench.load()
        hooks = bench.record().hooks
        await bench.unload()
        record = await bench.load()
        assert (record.state, record.hooks) == (PluginState.READY, hooks)

    async def test_a_reload_doubles_nothing_and_loses_nothing(self, bench: Bench) -> None:
        """What it offers after a reload is what it offered before."""
        before = bench.traces()
        await bench.load()
        first = bench.traces()
        record = await bench.host.reload_plugin(NAME)
        assert record.state is PluginState.READY
        second = bench.traces()
        for part in ("hooks", "services", "jobs", "subscriptions"):
            assert getattr(second, part) == getattr(first, part), part
        await bench.unload()
        await bench.expect_nothing_new(before)

    async def test_a_start_that_is_broken_off_leaves_nothing_behind(self, bench: Bench) -> None:
        """Wherever a cancellation meets its start, nothing of it stays, and it can be started afterwards."""
        before = bench.traces()
        for turns in _TURNS:
            await _broken_off(bench.load, turns)
            await bench.unload()
            await bench.expect_nothing_new(before)
        assert (await bench.load()).state is PluginState.READY

    async def test_it_runs_in_two_hosts_at_once(
        self,
        bench: Bench,
        make_host: HostMaker,
        companions: Sequence[object],
        host_settings: Mapping[str, Any],
    ) -> None:
        """What one host does with it is nothing to the other."""
        if companions:
            pytest.skip("it needs companions, which this test does not bring into a second host")
        await bench.load()
        settings = _settings(host_settings, bench.plugin, bench.isolation)
        async with make_host.elsewhere("other-data")(config=settings) as other:
            second = Bench(other, bench.plugin, bench.config, bench.arguments, bench.exempt, bench.isolation)
            assert (await second.load()).state is PluginState.READY
            await second.unload()
        assert bench.record().state is PluginState.READY
        await self._call_everything(bench)

    async def test_its_hooks_take_whatever_fits_their_types(self, bench: Bench) -> None:
        """No hook fails, passes its limit, or answers with what its spec does not name."""
        await bench.load()
        await self._call_everything(bench)
        assert bench.record().state is PluginState.READY

    async def test_its_hooks_answer_several_callers_at_once(self, bench: Bench) -> None:
        """Callers do not get in each other's way."""
        await bench.load()
        complaints: list[str] = []

        async def call(declaration: Declaration, arguments: Mapping[str, Any]) -> None:
            complaints.append(complaint(declaration, await bench.call(declaration, arguments)))

        for declaration, arguments in bench.calls():
            async with anyio.create_task_group() as callers:
                for _ in range(_AT_ONCE):
                    callers.start_soon(call, declaration, arguments)
        assert not (found := [one for one in complaints if one]), found[0]

    async def test_a_hook_call_that_is_broken_off_does_no_harm(self, bench: Bench) -> None:
        """Wherever a caller leaves, the next call is answered."""
        await bench.load()
        for declaration, arguments in bench.calls():
            if not declaration.options.sync:
                for turns in _TURNS:
                    await _broken_off(lambda d=declaration, a=arguments: bench.call(d, a), turns)  # type: ignore[misc]
                said = complaint(declaration, await bench.call(declaration, arguments))
                assert not said, said

    async def test_it_can_be_stopped_while_its_hooks_are_called(self, bench: Bench) -> None:
        """Calls in flight end, and then it stops."""
        before = bench.traces()
        await bench.load()
        calls = [(one, arguments) for one, arguments in bench.calls() if not one.options.sync]
        async with anyio.create_task_group() as callers:
            for declaration, arguments in calls:
                callers.start_soon(bench.call, declaration, arguments)
            await anyio.lowlevel.checkpoint()
            await bench.unload()
        assert bench.record().reason == "unloaded"
        await bench.expect_nothing_new(before)

    async def test_an_unknown_setting_is_refused(self, bench: Bench) -> None:
        """A setting that is spelled wrongly is said to be wrong, and not ignored."""
        if getattr(bench.plugin, "Config", None) is None:
            return  # whatever is configured is its own business
        bench.config = {**bench.config, "no_such_setting_of_mine": 1}
        with pytest.raises(PluginConfigError, match="no_such_setting_of_mine"):
            await bench.load()

    async def test_its_configuration_can_be_shown(self, bench: Bench) -> None:
        """Pages and commands show it as JSON, with secrets hidden."""
        await bench.load()
        msgspec.json.encode(bench.record().config, enc_hook=str)

    async def _call_everything(self, bench: Bench) -> None:
        for declaration, arguments in bench.calls():
            said = complaint(declaration, await bench.call(declaration, arguments))
            assert not said, said


def _settings(settings: Mapping[str, Any], plugin: object, isolation: Isolation) -> Mapping[str, Any]:
    if isolation == "process":
        settings = isolated(settings, NAME, plugin)
    return {**settings, "host": LIMITS | dict(settings.get("host", {}))}


async def _broken_off(action: Callable[[], Awaitable[object]], turns: int) -> None:
    """Run ``action``, and cancel it after so many turns of the event loop."""
    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            await action()
            tasks.cancel_scope.cancel()

        tasks.start_soon(run)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
