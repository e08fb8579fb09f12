"""What is done with one plugin while something else is done with it, or with one that it requires."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import PluginState
from plughost.exceptions import PluginDependencyError, PluginError, PluginInvalidError, PluginStartError

pytestmark = pytest.mark.anyio

CONFIG = {"host": {"allow": [], "load_timeout": 5.0, "shutdown_timeout": 1.0}}


class Paused(Plugin):
    """Waits in its start, when told to."""

    starts: int
    stops: int
    pauses: bool
    begun: anyio.Event
    may_go_on: anyio.Event

    async def start(self, context: Any) -> None:
        kind = type(self)
        kind.starts += 1
        kind.begun.set()
        try:
            if kind.pauses:
                await kind.may_go_on.wait()
        except BaseException:
            kind.stops += 1
            raise

    async def stop(self) -> None:
        type(self).stops += 1

    @hookimpl
    async def describe_metrics(self) -> list[Any]:
        return [self.name]


def paused(name: str, pauses: bool = False, **attributes: Any) -> type[Paused]:
    events = {"begun": anyio.Event(), "may_go_on": anyio.Event()}
    return type(
        "One", (Paused,), {"name": name, "starts": 0, "stops": 0, "pauses": pauses} | events | attributes
    )


async def answering(host: Host) -> list[str]:
    return sorted(outcome.plugin for outcome in (await host.hooks.describe_metrics.report()).outcomes)


async def settle() -> None:
    for _ in range(20):
        await anyio.lowlevel.checkpoint()


def refuse(*_: object) -> Any:
    raise OSError("no jobs today")


async def test_a_plugin_whose_jobs_cannot_be_had_leaves_no_hook_behind() -> None:
    jobless = paused("jobless", register_jobs=hookimpl(refuse))
    async with Host(config=CONFIG, environ={}) as host:
        with pytest.raises(PluginInvalidError, match="no jobs today"):
            await host.load_plugin(jobless)
        assert host.plugins["jobless"].state is PluginState.FAILED
        assert await answering(host) == []
        assert not host.pluggy.has_plugin("jobless")
    assert (jobless.starts, jobless.stops) == (1, 1)


async def test_when_the_jobs_of_a_new_start_cannot_be_had_the_old_one_goes_on_answering() -> None:
    made: list[Any] = []

    class Changed(Plugin):
        name = "changed"
        is_stopped = False

        def __init__(self) -> None:
            made.append(self)

        async def stop(self) -> None:
            self.is_stopped = True

        @hookimpl
        async def describe_metrics(self) -> list[Any]:
            return [made.index(self)]

        @hookimpl
        def register_jobs(self) -> list[Any]:
            return refuse() if len(made) > 1 else []

    async with Host(config=CONFIG, environ={}) as host:
        await host.load_plugin(Changed)
        with pytest.raises(PluginInvalidError, match="no jobs today"):
            await host.reload_plugin("changed")
        assert host.plugins["changed"].state is PluginState.READY
        assert await host.hooks.describe_metrics() == [[0]]
        assert [each.is_stopped for each in made] == [False, True]
        assert await host.unload_plugin("changed")
        assert made[0].is_stopped


@pytest.mark.parametrize("ask", ["enable_plugin", "load_plugin"])
async def test_enabling_a_plugin_that_is_being_loaded_waits_and_gets_its_record(ask) -> None:
    slow = paused("slow", pauses=True)
    records: list[Any] = []
    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:

            async def enable() -> None:
                records.append(await getattr(host, ask)("slow"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(host.load_plugin, slow)
                await slow.begun.wait()
                tasks.start_soon(enable)
                await settle()
                assert not records
                slow.may_go_on.set()
            assert [record.state for record in records] == [PluginState.READY]
            assert host.plugins["slow"].generation == 1
            assert await host.unload_plugin("slow")
            assert await answering(host) == []
    assert (slow.starts, slow.stops) == (1, 1)


async def test_a_load_that_waits_for_a_plugin_to_be_disabled_is_refused_and_the_record_says_disabled() -> (
    None
):
    leaving, refused = anyio.Event(), []
    quick = paused("quick")

    class Lingering(quick):  # type: ignore[misc,valid-type]
        async def stop(self) -> None:
            leaving.set()
            await settle()

    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:

            async def load() -> None:
                await leaving.wait()
                try:
                    await host.load_plugin("quick")
                except PluginError as error:
                    refused.append(str(error))

            await host.load_plugin(Lingering)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load)
                await host.disable_plugin("quick")
            assert "disabled" in refused[0]
            assert host.plugins["quick"].state is PluginState.DISABLED
            assert await answering(host) == []
            await host.enable_plugin("quick")
            assert await answering(host) == ["quick"]


async def test_unloading_breaks_off_the_starts_of_those_that_require_it_and_says_so() -> None:
    base, user = paused("base"), paused("user", pauses=True, requires=("base",))
    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(base)

            async def load() -> None:
                with pytest.raises(PluginStartError, match="'base', which it requires, was unloaded"):
                    await host.load_plugin(user)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load)
                await user.begun.wait()
                assert await host.unload_plugin("base")
            record = host.plugins["user"]
            assert record.state is PluginState.STOPPED
            assert "'base', which it requires, was unloaded" in record.reason
            assert await answering(host) == []
    assert (user.starts, user.stops) == (1, 1)


async def test_one_that_is_loaded_while_others_stop_for_an_unload_is_stopped_as_well() -> None:
    base, first, second = (
        paused("base"),
        paused("first", requires=("base",)),
        paused("second", requires=("base",)),
    )
    hosts: list[Host] = []

    class Inviting(first):  # type: ignore[misc,valid-type]
        async def stop(self) -> None:
            await hosts[0].load_plugin(second)

    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            hosts.append(host)
            await host.load_plugin(base)
            await host.load_plugin(Inviting)
            await host.unload_plugin("base")
            assert await answering(host) == []
            assert {host.plugins[name].state for name in ("base", "first", "second")} == {PluginState.STOPPED}
    assert (second.starts, second.stops) == (1, 1)


async def test_what_a_new_version_requires_may_go_while_it_starts_and_the_old_one_goes_on() -> None:
    base = paused("base")
    begun, may_go_on = anyio.Event(), anyio.Event()
    made: list[Any] = []

    def factory() -> Plugin:
        new = bool(made)
        attributes = {"requires": ("base",), "pauses": True} if new else {}
        kind = paused("user", **attributes)
        if new:
            kind.begun, kind.may_go_on = begun, may_go_on
        made.append(kind)
        return kind()

    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(base)
            await host.load_plugin(factory, name="user")

            async def reload() -> None:
                with pytest.raises(PluginDependencyError, match="requires 'base', which is stopped"):
                    await host.reload_plugin("user")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reload)
                await begun.wait()
                await host.unload_plugin("base")
                may_go_on.set()
            assert host.plugins["user"].state is PluginState.READY
            assert host.plugins["user"].requires == ()
            assert await answering(host) == ["user"]
            assert (made[1].starts, made[1].stops) == (1, 1)


async def test_a_reload_after_which_two_would_require_each_other_is_refused() -> None:
    needs: list[str] = []

    def factory() -> Plugin:
        return paused("base", requires=tuple(needs))()

    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(factory, name="base")
            await host.load_plugin(paused("middle", requires=("base",)))
            await host.load_plugin(paused("user", requires=("middle",)))
            needs.append("user")
            with pytest.raises(PluginDependencyError, match="'base' -> 'user' -> 'middle' -> 'base'"):
                await host.reload_plugin("base")
            assert await answering(host) == ["base", "middle", "user"]
            assert await host.unload_plugin("base")
            assert await answering(host) == []


async def test_a_host_can_be_left_whose_plugins_each_start_after_the_other() -> None:
    first, second = paused("first", after=("second",)), paused("second", after=("first",))
    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(first)
            await host.load_plugin(second)
    assert (first.stops, second.stops) == (1, 1)


async def test_a_host_whose_start_is_cancelled_while_it_imports_can_be_left(make_folder) -> None:
    module = make_folder("import time\ntime.sleep(0.2)\n")
    tables = {name: {"module": module} for name in ("ant", "bee", "cat")}
    config = {"host": {"allow": list(tables), "load_timeout": 5.0}, "plugins": tables}
    host = Host(config=config, environ={})
    with anyio.fail_after(20):
        with anyio.move_on_after(0.05):
            async with host:
                pytest.fail("it had time enough to start")


async def test_a_crash_in_a_new_start_that_fails_leaves_the_old_one_ready() -> None:
    crashed = anyio.Event()
    made: list[Any] = []

    class Crashing(Plugin):
        name = "crashing"

        def __init__(self) -> None:
            made.append(self)

        async def start(self, context: Any) -> None:
            if len(made) > 1:
                context.spawn(self.crash)
                await crashed.wait()
                await settle()
                raise OSError("no start today")

        async def crash(self) -> None:
            crashed.set()
            raise OSError("no work today")

    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(Crashing)
            with pytest.raises(PluginStartError):
                await host.reload_plugin("crashing")
            assert host.plugins["crashing"].state is PluginState.READY


async def test_the_last_crash_of_an_old_start_does_not_put_the_new_one_in_quarantine() -> None:
    made: list[Any] = []
    reloading, crashed = anyio.Event(), anyio.Event()

    class Worn(Plugin):
        name = "worn"

        def __init__(self) -> None:
            made.append(self)

        async def start(self, context: Any) -> None:
            if len(made) == 1:
                context.spawn(self.crash)
            else:
                reloading.set()
                await crashed.wait()
                await settle()

        async def crash(self) -> None:
            await reloading.wait()
            crashed.set()
            raise OSError("worn out")

    config = {"host": CONFIG["host"] | {"max_restarts": 0}}
    with anyio.fail_after(20):
        async with Host(config=config, environ={}) as host:
            await host.load_plugin(Worn)
            await host.reload_plugin("worn")
            await settle()
            assert host.plugins["worn"].state is PluginState.READY


async def test_a_reloaded_instance_is_called_where_it_was() -> None:
    async with Host(config=CONFIG, environ={}) as host:
        for name in ("ant", "bee", "cat"):
            await host.load_plugin(paused(name)())
        await host.reload_plugin("bee")
        report = await host.hooks.describe_metrics.report()
        assert [outcome.plugin for outcome in report.outcomes] == ["cat", "bee", "ant"]


# from inside


ASKS = ("load_plugin", "reload_plugin", "enable_plugin", "unload_plugin", "disable_plugin")


class Asker(Plugin):
    """Asks something of the host for itself, once, in a place of its life."""

    name = "asker"

    def __init__(self, place: str, ask: str, host: Host, told: list[object]) -> None:
        self.place, self.ask, self.host, self.told = place, ask, host, told

    async def do(self) -> None:
        if not self.told:
            self.told.append("asked")
            try:
                self.told.append(await getattr(self.host, self.ask)("asker"))
            except Exception as error:
                self.told.append(error)

    async def at(self, place: str) -> None:
        if place == self.place:
            await self.do()

    async def start(self, context: Any) -> None:
        context.on_stop(partial(self.at, "on_stop"))
        await self.at("start")

    async def stop(self) -> None:
        await self.at("stop")

    @hookimpl
    async def describe_metrics(self) -> list[Any]:
        await self.at("hook")
        return []


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("place", ["start", "stop", "on_stop"])
async def test_a_plugin_that_waits_for_its_own_turn_in_start_or_stop_is_told_so_at_once(place, ask) -> None:
    told: list[object] = []
    limits = {"host": {"allow": [], "load_timeout": 30.0, "shutdown_timeout": 30.0}}  # waiting shows
    with anyio.fail_after(15):
        async with Host(config=limits, environ={}) as host:
            with suppress(PluginError):  # an unload in its start breaks that off
                await host.load_plugin(Asker(place, ask, host, told))
            await host.unload_plugin("asker")
            if place == "start" and ask in ("unload_plugin", "disable_plugin"):
                assert told == ["asked"]
            else:
                assert isinstance(told[1], PluginDependencyError)
                assert "waits for itself: 'asker' -> 'asker'" in str(told[1])
            assert not host.plugins["asker"].hooks
            assert await answering(host) == []


@pytest.mark.parametrize("ask", ASKS)
async def test_what_a_plugin_asks_for_itself_in_a_hook_comes_to_an_end(ask) -> None:
    told: list[object] = []
    config = CONFIG | {"hooks": {"timeouts": {"describe_metrics": 60.0}}}  # a slow machine is no hanging hook
    with anyio.fail_after(60):
        async with Host(config=config, environ={}) as host:
            await host.load_plugin(Asker("hook", ask, host, told))
            await host.hooks.describe_metrics()
            running = host.plugins["asker"].state is PluginState.READY
            assert running is (ask not in ("unload_plugin", "disable_plugin"))
            assert await answering(host) == (["asker"] if running else [])


@pytest.mark.parametrize("first", [True, False])
async def test_two_that_unload_each_other_in_their_starts_both_end(first) -> None:
    hosts: list[Host] = []

    def rude(name: str, other: str) -> type[Plugin]:
        async def start(self: Plugin, context: Any) -> None:
            await hosts[0].unload_plugin(other)

        return type("Rude", (Plugin,), {"name": name, "start": start})

    async def load(host: Host, plugin: type[Plugin]) -> None:
        with suppress(PluginError):
            await host.load_plugin(plugin)

    names = ("ant", "bee") if first else ("bee", "ant")
    with anyio.fail_after(15):
        async with Host(config=CONFIG, environ={}) as host:
            hosts.append(host)
            for name in names:
                await host.load_plugin(type("Polite", (Plugin,), {"name": name}))
                await host.unload_plugin(name)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load, host, rude(names[0], names[1]))
                tasks.start_soon(load, host, rude(names[1], names[0]))
            under_way = {PluginState.STARTING, PluginState.STOPPING, PluginState.WAITING}
            assert not under_way & {record.state for record in host.plugins.values()}


async def test_a_start_that_loads_one_which_requires_it_is_told_of_the_circle() -> None:
    hosts: list[Host] = []
    told: list[str] = []
    user = paused("user", requires=("base",))

    class Base(Plugin):
        name = "base"

        async def start(self, context: Any) -> None:
            try:
                await hosts[0].load_plugin(user)
            except PluginDependencyError as error:
                told.append(str(error))

    limits = {"host": {"allow": [], "load_timeout": 30.0}}
    with anyio.fail_after(15):
        async with Host(config=limits, environ={}) as host:
            hosts.append(host)
            await host.load_plugin(Base)
            assert "'user' -> 'base' -> 'user'" in told[0]
            assert host.plugins["base"].state is PluginState.READY
            assert host.plugins["user"].state is PluginState.FAILED


async def test_a_plugin_may_run_another_host_in_its_start_with_a_plugin_of_its_own_name() -> None:
    class Outer(Plugin):
        name = "same"

        async def start(self, context: Any) -> None:
            async with Host(config=CONFIG, environ={}) as inner:
                await inner.load_plugin(paused("same"))
                await inner.reload_plugin("same")
                assert await inner.unload_plugin("same")

    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            assert (await host.load_plugin(Outer)).state is PluginState.READY


@pytest.mark.parametrize("many", [2, 5])
async def test_whatever_several_tasks_ask_at_once_each_is_answered_and_the_record_is_true(many) -> None:
    plugin = paused("one")
    outcomes: list[object] = []
    with anyio.fail_after(20):
        async with Host(config=CONFIG, environ={}) as host:
            await host.load_plugin(plugin)

            async def ask(what: Callable[[str], Any]) -> None:
                try:
                    outcomes.append(await what("one"))
                except PluginError as error:
                    outcomes.append(error)

            async with anyio.create_task_group() as tasks:
                for _ in range(many):
                    for name in ASKS:
                        tasks.start_soon(ask, getattr(host, name))
            assert len(outcomes) == many * len(ASKS)
            ready = host.plugins["one"].state is PluginState.READY
            assert await answering(host) == (["one"] if ready else [])
    assert plugin.starts == plugin.stops


@pytest.fixture
def make_folder(tmp_path, monkeypatch, anyio_backend_name):
    """Make a module on ``sys.path`` and return its name."""

    def make(source: str) -> str:
        name = f"slow_import_{anyio_backend_name}"
        (tmp_path / f"{name}.py").write_text(source)
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return make
