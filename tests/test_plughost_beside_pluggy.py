"""plughost's own plugins run in a host that declares none of plughost's hooks, whatever the application's are named."""

import os
import types

import anyio
import pluggy
import pytest

from plughost import Host, Plugin, hookimpl, hookspec
from plughost.blocking import BlockingHost
from plughost.contracts import CacheManager, HealthCheck, Job, PluginState, SessionManager
from plughost.exceptions import PluginInvalidError
from plughost.plugins.admin import AdminPlugin
from plughost.plugins.cache.plugin import CachePlugin
from plughost.plugins.sessions.plugin import SessionsPlugin
from plughost.testing import client_of

pytestmark = pytest.mark.anyio
PROJECTS = ("datasette", "llm")
ENVIRON = {"PLUGHOST_LOAD_PLUGINS": ""}  # whatever else is installed beside the tests


def specs_of(project):
    """Two names of plughost's catalogue with other arguments, and one of the application's own."""
    spec = pluggy.HookspecMarker(project)

    class Specs:
        @spec
        def register_routes(self, program):
            """As datasette has it."""

        @spec
        def register_commands(self, cli):
            """As llm has it."""

        @spec
        def transform(self, text):
            """Change a text."""

    return Specs


def foreign(project):
    """A plugin as these programs have them: a module, marked with the program's marker alone."""
    impl = pluggy.HookimplMarker(project)
    module = types.ModuleType("shouting")
    module.register_routes = impl(lambda program: f"/{program}")
    module.transform = impl(lambda text: text.upper())
    return module


class Watch(Plugin):
    """One of plughost's own kind."""

    name = "watch"

    def __init__(self, word="pass"):
        self.word = word

    @hookimpl
    def health_check(self, app_name):
        return HealthCheck(name="watch", status=self.word)

    @hookimpl
    def register_commands(self):
        return [self.word]


def both_kinds(project):
    impl = pluggy.HookimplMarker(project)

    class Both(Watch):
        name = "both"

        @impl
        def transform(self, text):
            return f"{text}?"

    return Both


TURNING = """
import pluggy
from plughost import hookimpl
impl = pluggy.HookimplMarker({project!r})

{marker}
def {hook}({argument}):
    return {answer!r}
"""


@pytest.fixture(params=PROJECTS)
def project(request):
    return request.param


@pytest.fixture
def host(project, tmp_path):
    config = {"host": {"data_dir": str(tmp_path)}}
    return Host.for_pluggy(project, specs_of(project), config=config, environ=ENVIRON)


async def statuses(host):
    return [check.status for check in (await host.health()).checks if check.name == "watch"]


async def test_a_marker_tells_which_of_two_hooks_of_one_name_is_meant(host, project):
    async with host:
        await host.load_plugin(foreign(project), name="shouting")
        await host.load_plugin(Watch)
        assert await host.hooks.register_routes(program=1) == ["/1"]
        assert await host.hooks.register_commands(cli=None) == []
        assert host.pluggy.hook.register_commands(cli=None) == []
        assert host.own_hooks.register_commands() == [["pass"]]
        assert await statuses(host) == ["pass"]
        assert host.plugins["watch"].hooks == ("health_check", "register_commands")


async def test_the_application_s_manager_holds_what_is_written_for_the_application(host, project):
    async with host:
        await host.load_plugin(foreign(project), name="shouting")
        await host.load_plugin(Watch)
        await host.load_plugin(both_kinds(project))
        names = {name for name, plugin in host.pluggy.list_name_plugin() if plugin is not None}
        assert names == {"shouting", "both"}
        assert host.plugins.keys() == {"shouting", "both", "watch"}


async def test_a_plugin_may_have_hooks_of_both_kinds(host, project):
    async with host:
        await host.load_plugin(both_kinds(project))
        assert await host.hooks.transform(text="a") == ["a?"]
        assert host.own_hooks.register_commands() == [["pass"]]
        assert host.plugins["both"].hooks == ("health_check", "register_commands", "transform")
        assert (await host.status()).hooks["transform"] == ("both",)
        assert (await host.status()).hooks["health_check"] == ("both",)
        await host.unload_plugin("both")
        assert await host.hooks.transform(text="a") == []
        assert host.own_hooks.register_commands() == []


async def test_a_reload_may_change_which_kinds_it_has(project, tmp_path, make_plugin):
    of_theirs = {"marker": "@impl", "hook": "transform", "argument": "text", "answer": "theirs"}
    of_ours = {"marker": "@hookimpl", "hook": "register_commands", "argument": "", "answer": ["ours"]}
    made = make_plugin("turn", TURNING.format(project=project, **of_theirs))
    config = {"host": {"data_dir": str(tmp_path / "data")}}
    environ = {"PLUGHOST_LOAD_PLUGINS": "turn"}
    host = Host.for_pluggy(
        project, specs_of(project), group="plughost.plugins", config=config, environ=environ
    )
    async with host:
        assert (await host.hooks.transform(text="a"), host.own_hooks.register_commands()) == (["theirs"], [])
        for hooks, answers in ((of_ours, ([], [["ours"]])), (of_theirs, (["theirs"], []))):
            made.file.write_text(TURNING.format(project=project, **hooks), "utf-8")
            await host.reload_plugin("turn")
            assert (await host.hooks.transform(text="a"), host.own_hooks.register_commands()) == answers


async def test_no_call_is_lost_or_doubled_while_one_is_reloaded(host):
    async with host:
        await host.load_plugin(Watch)
        over = anyio.Event()
        seen = set()

        async def ask():
            while not over.is_set():
                seen.add(tuple(map(tuple, host.own_hooks.register_commands())))
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            for _ in range(20):
                await host.reload_plugin("watch")
            over.set()
        assert seen == {(("pass",),)}


@pytest.mark.parametrize("first", ["plughost's", "the application's"])
async def test_a_name_is_taken_on_either_side(host, project, first):
    pair = [Watch(), foreign(project)]
    one, other = pair if first == "plughost's" else reversed(pair)
    async with host:
        await host.load_plugin(one, name="same")
        with pytest.raises(PluginInvalidError, match="same"):
            await host.load_plugin(other, name="same")
        assert host.plugins["same"].running


async def test_what_does_not_fit_is_taken_in_on_neither_side(host, project):
    impl = pluggy.HookimplMarker(project)

    class Misfit(Watch):
        name = "misfit"

        @impl
        def transform(self, txet):
            """Asks for what the hook has not."""

    class OtherMisfit(Plugin):
        name = "other-misfit"

        @impl
        def transform(self, text):
            return text

        @hookimpl
        def register_commands(self, nobody):
            """Asks for what plughost's hook has not."""

    async with host:
        for kind, why in ((Misfit, "txet"), (OtherMisfit, "nobody")):
            with pytest.raises(PluginInvalidError, match=why):
                await host.load_plugin(kind)
        assert await host.hooks.transform(text="a") == []
        assert host.own_hooks.register_commands() == []


async def test_one_that_is_registered_by_hand_answers_both_kinds_until_it_is_unregistered(host, project):
    async with host:
        plugin = both_kinds(project)()
        host.pluggy.register(plugin, "by-hand")
        assert await host.hooks.transform(text="a") == ["a?"]
        assert host.own_hooks.register_commands() == [["pass"]]
        host.pluggy.unregister(plugin)
        assert await host.hooks.transform(text="a") == []
        assert host.own_hooks.register_commands() == []


async def test_unregistering_a_running_one_by_hand_ends_both_kinds(host, project):
    async with host:
        await host.load_plugin(both_kinds(project))
        host.pluggy.unregister(name="both")
        assert host.own_hooks.register_commands() == []
        assert not host.plugins["both"].running
        with anyio.fail_after(30):
            while host.plugins["both"].state is not PluginState.STOPPED:
                await anyio.lowlevel.checkpoint()
        await host.load_plugin(both_kinds(project))
        assert host.own_hooks.register_commands() == [["pass"]]


async def test_whoever_uses_plughost_s_marker_for_a_hook_of_his_own_means_his_own(tmp_path):
    class Specs:
        @hookspec
        def register_commands(self, cli):
            """Declared with plughost's marker, and not plughost's."""

    class Mine(Plugin):
        @hookimpl
        def register_commands(self, cli):
            return cli

    host = Host("acme", hookspecs=[Specs], catalogue=(), config={}, environ=ENVIRON)
    async with host:
        await host.load_plugin(Mine)
        assert await host.hooks.register_commands(cli=3) == [3]
        assert host.own_hooks.register_commands() == []


async def test_calls_of_both_kinds_are_counted_and_traced(host, project):
    reports = []
    async with host:
        await host.load_plugin(both_kinds(project))
        end = host.trace_hooks(lambda report: reports.append(report.hook))
        await host.hooks.transform(text="a")
        await host.health()
        end()
        await host.health()
        assert reports.count("transform") == 1
        assert reports.count("health_check") == 1
        counted = {(row.hook, row.plugin): row.calls for row in host.metrics.snapshot()}
        assert counted["transform", "both"] == 1
        assert counted["health_check", "both"] == 2


async def test_jobs_of_plughost_s_plugins_run_in_it(host):
    class Sweep(Plugin):
        @hookimpl
        def register_jobs(self):
            return [Job(name="sweep", function=dict, every=60)]

    async with host:
        await host.load_plugin(Sweep)
        assert [job.name for job in host.jobs.snapshot()] == ["sweep"]


async def test_a_program_without_a_loop_has_them_too(project, tmp_path):
    def run():
        config = {"host": {"data_dir": str(tmp_path)}}
        with BlockingHost.for_pluggy(project, specs_of(project), config=config, environ=ENVIRON) as host:
            host.pluggy.register(foreign(project), "shouting")
            host.load_plugin(CachePlugin)
            assert host.sync_hooks.transform(text="a") == ["A"]
            assert host.use(CacheManager).default.sync.get_or_set("k", lambda: 7) == 7

    await anyio.to_thread.run_sync(run)


async def test_the_admin_page_shows_and_reloads_plugins_of_the_application(host, project):
    async with host:
        for plugin in (SessionsPlugin, CachePlugin, AdminPlugin):
            await host.load_plugin(plugin)
        await host.load_plugin(foreign(project), name="shouting")
        assert host.use(SessionManager)
        async with client_of(host) as client:
            token = client._transport.app.runtime.tokens.create("test", ("*",), 60.0)[0]
            asked = {"Authorization": f"Bearer {token}"}
            listed = (await client.get("/admin/api/plugins", headers=asked)).text
            assert all(f'"{name}"' in listed for name in host.plugins)
            told = (await client.get("/admin/api/plugins/shouting", headers=asked)).json()
            assert told["hooks"] == ["register_routes", "transform"]
            page = await client.get(
                "/admin/system/plugins/shouting", headers={**asked, "Accept": "text/html"}
            )
            assert page.status_code == 200
            reloaded = await client.post("/admin/api/plugins/shouting/reload", headers=asked)
            assert reloaded.status_code == 200, reloaded.text
        assert await host.hooks.transform(text="a") == ["A"]


ROWS_SPECS = """
import pluggy
spec = pluggy.HookspecMarker("rows")

@spec
def health_check(app_name):
    "A name that plughost's catalogue has, too."
"""
OF_ROWS = """
import os, pluggy
impl = pluggy.HookimplMarker("rows")

@impl
def health_check(app_name):
    return [app_name, os.getpid()]
"""
OF_PLUGHOST = """
from plughost import Plugin, hookimpl
from plughost.contracts import HealthCheck

class Pulse(Plugin):
    @hookimpl
    async def health_check(self, app_name: str | None) -> HealthCheck | None:
        return HealthCheck(name="pulse", status="warn")
"""


async def test_the_marker_tells_it_of_plugins_in_processes_of_their_own_too(tmp_path, make_plugin):
    made = {"outside": make_plugin("outside", OF_ROWS), "pulse": make_plugin("pulse", OF_PLUGHOST)}
    (made["outside"].folder / "rows_specs_elsewhere.py").write_text(ROWS_SPECS, "utf-8")
    plugins = {name: {"module": one.reference, "isolation": "process"} for name, one in made.items()}
    config = {
        "host": {"data_dir": str(tmp_path / "data"), "hookspecs": ["rows_specs_elsewhere"]},
        "plugins": plugins,
    }
    environ = {"PLUGHOST_LOAD_PLUGINS": "outside,pulse"}
    async with Host.for_pluggy("rows", (), config=config, environ=environ) as host:
        assert not host.report.failed, host.report.failed
        ((asked, process),) = await host.hooks.health_check(app_name="a")
        assert (asked, process != os.getpid()) == ("a", True)
        assert [check.status for check in (await host.health()).checks if check.name == "pulse"] == ["warn"]
