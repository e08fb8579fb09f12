"""An application that lived on bare pluggy moves in: its markers, its options, its errors, its plugin manager."""

import dataclasses
import sys
import threading
import time
import types

import anyio
import anyio.lowlevel
import anyio.to_thread
import pluggy
import pytest

from plughost import Host, Plugin, hookimpl, hookspec
from plughost.blocking import BlockingHost
from plughost.exceptions import PluginInvalidError

pytestmark = pytest.mark.anyio
PROJECTS = ("datasette", "acme")


def marks(project):
    return pluggy.HookspecMarker(project), pluggy.HookimplMarker(project)


def specs_of(project):
    spec, _ = marks(project)

    class Specs:
        @spec
        def transform(self, text):
            """Change a text."""

        @spec(firstresult=True)
        def pick(self, text):
            """Choose one."""

        @spec
        def register_commands(self, cli):
            """A name that plughost's catalogue has, too."""

    return Specs


def plugin_of(project, **functions):
    _, impl = marks(project)
    module = types.ModuleType("guest")
    for name, function in functions.items():
        options = getattr(function, "options", {})
        setattr(module, name, impl(**options)(function))
    return module


def option(**options):
    def note(function):
        function.options = options
        return function

    return note


def moved_in(project="datasette", hookspecs=None, only="", config=None, **options):
    declared = specs_of(project) if hookspecs is None else hookspecs
    environ = {"PLUGHOST_LOAD_PLUGINS": only}  # whatever else is installed beside the tests
    return Host.for_pluggy(project, declared, config=config or {}, environ=environ, **options)


@pytest.mark.parametrize("project", PROJECTS)
@pytest.mark.parametrize("shape", [lambda specs: specs, lambda specs: specs(), lambda specs: [specs()]])
async def test_one_line_moves_an_application_in(project, shape):
    async with moved_in(project, shape(specs_of(project))) as host:
        await host.load_plugin(plugin_of(project, transform=lambda text: text.upper()), name="loud")
        assert await host.hooks.transform(text="a") == ["A"]
        assert host.pluggy.hook.transform(text="a") == ["A"]
        assert host.pluggy.project_name == project


@pytest.mark.parametrize("project", PROJECTS)
async def test_its_manager_has_its_hooks_and_no_others(project):
    async with moved_in(project) as host:
        assert [name for name in dir(host.pluggy.hook) if name[0] != "_"] == [
            "pick",
            "register_commands",
            "transform",
        ]
        assert (await host.health()).status == "pass"


async def test_the_same_spelled_out_is_the_same():
    host = Host(
        "acme",
        project="acme",
        groups=("acme",),
        hookspecs=[specs_of("acme")],
        catalogue=(),
        config={},
        environ={},
    )
    async with host:
        await host.load_plugin(plugin_of("acme", transform=lambda text: text * 2), name="twice")
        assert await host.hooks.transform(text="a") == ["aa"]


async def test_families_of_the_catalogue_can_be_chosen():
    host = Host(config={}, environ={}, catalogue=("health", "plugins"))
    assert {"health_check", "plugin_started"} <= set(dir(host.pluggy.hook))
    assert "register_commands" not in dir(host.pluggy.hook)


async def test_a_failing_implementation_comes_out_as_it_is():
    def fail(text):
        raise KeyError(text)

    async with moved_in() as host:
        await host.load_plugin(plugin_of("datasette", transform=fail), name="bad")
        with pytest.raises(KeyError) as raised:
            await host.hooks.transform(text="a")
        assert any("'bad'" in note for note in raised.value.__notes__)


async def test_or_is_isolated_when_the_host_says_so():
    def fail(text):
        raise KeyError(text)

    async with moved_in(on_error="isolate") as host:
        await host.load_plugin(plugin_of("datasette", transform=fail), name="bad")
        await host.load_plugin(plugin_of("datasette", transform=lambda text: text), name="good")
        assert await host.hooks.transform(text="a") == ["a"]


@pytest.mark.parametrize("timeout", [None, 2.5])
async def test_the_limit_is_the_host_s(timeout):
    host = moved_in(timeout=timeout)
    assert {one.options.timeout for one in host.hook_setup.declarations()} == {timeout}


async def hang(text):
    await anyio.sleep_forever()


@pytest.mark.parametrize("project", PROJECTS)
@pytest.mark.parametrize("door", ["load_plugin", "pluggy"])
async def test_a_limit_ends_an_implementation_that_hangs(project, door):
    async with moved_in(project, timeout=0.05, on_error="isolate") as host:
        await host.load_plugin(plugin_of(project, transform=lambda text: text), name="good")
        if door == "pluggy":
            host.pluggy.register(plugin_of(project, transform=hang), "stuck")
        else:
            await host.load_plugin(plugin_of(project, transform=hang), name="stuck")
        assert await host.hooks.transform(text="a") == ["a"]
        report = await host.hooks.transform.report(text="a")
        assert {one.plugin: one.kind for one in report.outcomes} == {"stuck": "timed_out", "good": "value"}
        assert await anyio.to_thread.run_sync(lambda: host.sync_hooks.transform(text="a")) == ["a"]
        assert {row.plugin: row.timeouts for row in host.metrics.snapshot()} == {"stuck": 3, "good": 0}


async def test_and_the_whole_call_where_failures_come_out():
    async with moved_in(timeout=0.05) as host:
        await host.load_plugin(plugin_of("datasette", transform=hang), name="stuck")
        with pytest.raises(
            TimeoutError, match=r"'stuck' took longer than its limit of 0\.05 s in hook 'transform'"
        ):
            await host.hooks.transform(text="a")


async def test_the_deployer_s_limit_goes_before_the_program_s():
    config = {"hooks": {"timeouts": {"stuck.transform": 0.05}}}
    async with moved_in(timeout=3600, on_error="isolate", config=config) as host:
        await host.load_plugin(plugin_of("datasette", transform=hang), name="stuck")
        assert await host.hooks.transform(text="a") == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_limit_ends_it_for_a_program_without_a_loop(backend):
    with BlockingHost.for_pluggy(
        "acme",
        specs_of("acme"),
        timeout=0.05,
        on_error="isolate",
        backend=backend,
        config={},
        environ={"PLUGHOST_LOAD_PLUGINS": ""},
    ) as host:
        host.pluggy.register(plugin_of("acme", transform=hang), "stuck")
        assert host.hooks.transform(text="a") == []


@pytest.mark.parametrize("door", ["load_plugin", "pluggy"])
async def test_an_old_wrapper_is_a_wrapper_at_every_door(door):
    @option(hookwrapper=True)
    def around(text):
        outcome = yield
        outcome.force_result([*outcome.get_result(), "wrapped"])

    async with moved_in() as host:
        await host.load_plugin(plugin_of("datasette", transform=lambda text: text), name="inner")
        wrapper = plugin_of("datasette", transform=around)
        if door == "pluggy":
            host.pluggy.register(wrapper, "outer")
        else:
            await host.load_plugin(wrapper, name="outer")
        assert await host.hooks.transform(text="a") == ["a", "wrapped"]


async def test_an_old_wrapper_sees_the_exception_and_may_replace_it():
    @option(hookwrapper=True)
    def around(text):
        outcome = yield
        if outcome.excinfo is not None:
            outcome.force_result(["mended"])

    def fail(text):
        raise ValueError(text)

    async with moved_in() as host:
        await host.load_plugin(plugin_of("datasette", transform=fail), name="inner")
        await host.load_plugin(plugin_of("datasette", transform=around), name="outer")
        assert await host.hooks.transform(text="a") == ["mended"]


async def test_what_an_old_wrapper_forces_was_raised_while_nothing_else_was_handled():
    @option(hookwrapper=True)
    def around(text):
        outcome = yield
        outcome.force_exception(OSError(text))

    async with moved_in() as host:
        host.pluggy.register(plugin_of("datasette", transform=around), "outer")
        with pytest.raises(OSError, match="a") as awaited:
            await host.hooks.transform(text="a")
        with pytest.raises(OSError, match="a") as at_once:
            host.sync_hooks.transform(text="a")
        assert awaited.value.__context__ is at_once.value.__context__ is None


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    """What many programs call a value that is raised: nothing can be set on it, a note neither."""

    text: str


class Unnoted(Exception):
    __notes__ = None


@pytest.mark.parametrize("raised", [Frozen("a"), Unnoted("a")], ids=["frozen", "notes of its own"])
async def test_an_exception_that_takes_no_note_comes_out_without_one(raised):
    def fail(text):
        raise raised

    async with moved_in() as host:
        host.pluggy.register(plugin_of("datasette", transform=fail), "guest")
        for _ in range(2):
            with pytest.raises(type(raised)) as awaited:
                await host.hooks.transform(text="a")
            with pytest.raises(type(raised)) as at_once:
                host.sync_hooks.transform(text="a")
            assert awaited.value is at_once.value is raised


async def test_hooks_declared_on_the_manager_are_the_host_s():
    async with moved_in(hookspecs=[]) as host:
        host.pluggy.add_hookspecs(specs_of("datasette"))
        host.pluggy.register(plugin_of("datasette", pick=lambda text: text), "guest")
        assert await host.hooks.pick(text="a") == "a"


async def test_what_only_pluggy_can_call_says_so():
    spec, _ = marks("datasette")

    class Specs:
        @spec
        def odd(self, _hidden):
            """An argument that cannot be handed on by name."""

    async with moved_in(hookspecs=[]) as host:
        host.pluggy.add_hookspecs(Specs)
        host.pluggy.register(plugin_of("datasette", odd=lambda _hidden: _hidden), "guest")
        with pytest.raises(AttributeError, match=r"underscore. Call sync_hooks\.odd"):
            await host.hooks.odd(_hidden=1)
        assert host.sync_hooks.odd(_hidden=1) == [1]
        assert host.sync_hooks.odd.spec.argnames == ("_hidden",)
    with pytest.raises(ValueError, match="underscore"):
        moved_in(hookspecs=Specs)


IMPLEMENTS = """
import pluggy

@pluggy.HookimplMarker("acme")
def brought(text):
    return text
"""
DECLARES = """
import acme_with_its_manager, pluggy

class Specs:
    @pluggy.HookspecMarker("acme")
    def brought(self, text): ...

acme_with_its_manager.manager.add_hookspecs(Specs)

@pluggy.HookimplMarker("acme")
def transform(text):
    return text
"""


@pytest.mark.parametrize("first", ["implements", "declares"])
async def test_plugins_declare_hooks_for_one_another_when_they_are_imported(tmp_path, monkeypatch, first):
    names = {"declares": "hooks_declared", "implements": "hooks_implemented"}
    (tmp_path / "hooks_declared.py").write_text(DECLARES)
    (tmp_path / "hooks_implemented.py").write_text(IMPLEMENTS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    plugins = {"a" if role == first else "b": {"module": module} for role, module in names.items()}
    host = moved_in("acme", only="a,b", config={"plugins": plugins})
    application = types.ModuleType("acme_with_its_manager")
    application.manager = host.pluggy
    monkeypatch.setitem(sys.modules, "acme_with_its_manager", application)
    async with host:
        assert host.report.ok
        assert host.sync_hooks.brought(text="a") == ["a"]
    for module in names.values():
        del sys.modules[module]


async def test_a_hook_that_only_pluggy_can_call_is_no_unknown_one():
    class Specs:
        @pluggy.HookspecMarker("datasette")
        def odd(self, _hidden): ...

    async with moved_in(hookspecs=[]) as host:
        host.pluggy.add_hookspecs(Specs)
        await host.load_plugin(plugin_of("datasette", odd=lambda _hidden: _hidden), name="guest")
        assert host.sync_hooks.odd(_hidden=1) == [1]


@pytest.mark.parametrize("times", [1, 200])
@pytest.mark.parametrize("style", [{}, {"wrapper": True}, {"hookwrapper": True}], ids=["plain", "new", "old"])
async def test_a_plugin_that_a_later_spec_does_not_fit_is_what_it_is_on_pluggy(style, times):
    """pluggy refuses the spec, and keeps it beside the plugin and the specs before it."""
    spec, impl = marks("acme")

    class Guest:
        @impl(**style)
        def late(self, nowhere):
            yield

    class Specs:
        @spec
        def early(self, text): ...

        @spec
        def late(self, text): ...

    async with moved_in("acme", hookspecs=[]) as host:
        host.pluggy.register(Guest(), "guest")
        with pytest.raises(pluggy.PluginValidationError):
            host.pluggy.add_hookspecs(Specs)
        host.pluggy.register(plugin_of("acme", early=lambda text: text, late=lambda text: text), "other")
        for _ in range(times):
            assert host.sync_hooks.early(text="a") == await host.hooks.early(text="a") == ["a"]
            with pytest.raises(pluggy.HookCallError, match="must provide argument 'nowhere'"):
                host.sync_hooks.late(text="a")
            with pytest.raises(pluggy.HookCallError, match="must provide argument 'nowhere'"):
                await host.hooks.late(text="a")
        host.pluggy.unregister(name="guest")
        assert host.sync_hooks.late(text="a") == ["a"]


async def test_a_historic_call_that_fails_in_a_plugin_that_comes_harms_no_other():
    """pluggy lets the exception out and keeps the plugin, with the hooks that it had got to."""
    spec, impl = marks("acme")

    class Specs:
        @spec
        def asked(self, text): ...

        @spec(historic=True)
        def told(self, text): ...

    class Guest:
        @impl
        def asked(self, text):
            return "guest"

        @impl
        def told(self, text):
            raise ValueError(text)

    async with moved_in("acme", hookspecs=Specs) as host:
        host.pluggy.hook.told.call_historic(kwargs={"text": "a"})
        with pytest.raises(ValueError, match="a"):
            host.pluggy.register(Guest(), "guest")
        host.pluggy.register(plugin_of("acme", asked=lambda text: "other"), "other")
        assert host.sync_hooks.asked(text="a") == host.pluggy.hook.asked(text="a") == ["other", "guest"]
        host.pluggy.unregister(name="guest")
        assert host.sync_hooks.asked(text="a") == ["other"]
        assert host.plugins["guest"].state == "stopped"


class ByName(pluggy.PluginManager):
    """Takes what is called ``acme_...`` for a spec or an implementation, as pytest does with its own prefix."""

    def parse_hookimpl_opts(self, plugin, name):
        found = super().parse_hookimpl_opts(plugin, name)
        return {} if found is None and name.startswith("acme_") else found

    def parse_hookspec_opts(self, module_or_class, name):
        found = super().parse_hookspec_opts(module_or_class, name)
        plain = {"firstresult": False, "historic": False, "warn_on_impl": None, "warn_on_impl_args": None}
        return plain if found is None and name.startswith("acme_") else found


async def test_a_manager_that_looks_for_hooks_in_its_own_way_shows_them_to_both_faces():
    class Specs:
        def acme_report(self, item): ...

    class Guest:
        def acme_report(self, item):
            return item

    async with Host.for_pluggy("acme", (), config={}, environ={"PLUGHOST_LOAD_PLUGINS": ""}) as host:
        host.pluggy.__class__ = type("Mine", (ByName, type(host.pluggy)), {})
        host.pluggy.add_hookspecs(Specs)
        assert host.sync_hooks.acme_report(item=1) == []
        host.pluggy.register(Guest(), "guest")
        assert host.pluggy.hook.acme_report(item=1) == [1]
        assert host.sync_hooks.acme_report(item=1) == await host.hooks.acme_report(item=1) == [1]
        assert host.plugins["guest"].hooks == ("acme_report",)
        host.pluggy.unregister(name="guest")
        assert host.sync_hooks.acme_report(item=1) == []


async def test_what_is_found_is_looked_at_in_that_way_too(tmp_path, monkeypatch):
    (tmp_path / "found-1.2.dist-info").mkdir()
    (tmp_path / "found-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: found\nVersion: 1.2\n"
    )
    (tmp_path / "found-1.2.dist-info" / "entry_points.txt").write_text("[acme]\nfound = found_by_its_name\n")
    (tmp_path / "found_by_its_name.py").write_text("def acme_report(item):\n    return item\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    class Specs:
        @pluggy.HookspecMarker("acme")
        def acme_report(self, item): ...

    host = moved_in("acme", Specs, only="found")
    marked = host.pluggy.parse_hookimpl_opts
    host.pluggy.parse_hookimpl_opts = lambda plugin, name: (
        {} if name.startswith("acme_") else marked(plugin, name)
    )
    async with host:
        assert host.plugins["found"].hooks == ("acme_report",)
        assert host.sync_hooks.acme_report(item=1) == await host.hooks.acme_report(item=1) == [1]
    del sys.modules["found_by_its_name"]


async def test_monitors_of_the_manager_see_calls_of_both_faces():
    seen = []
    async with moved_in() as host:
        undo = host.pluggy.add_hookcall_monitoring(
            lambda name, impls, kwargs: seen.append(("before", name, dict(kwargs))),
            lambda outcome, name, impls, kwargs: seen.append(("after", name, outcome.get_result())),
        )
        await host.load_plugin(plugin_of("datasette", transform=lambda text: text), name="guest")
        for _ in range(200):  # a hot plan is watched as well
            await host.hooks.transform(text="a")
        assert seen[-2:] == [("before", "transform", {"text": "a"}), ("after", "transform", ["a"])]
        assert len(seen) == 400
        undo()
        await host.hooks.transform(text="a")
        assert len(seen) == 400


async def test_pluggy_s_calls_stand_on_a_hook():
    async with moved_in() as host:
        await host.load_plugin(plugin_of("datasette", transform=lambda text: text), name="guest")
        assert await host.hooks.transform.call_extra([lambda text: "extra"], {"text": "a"}) == ["extra", "a"]
        assert await host.hooks.transform(text="a", unheard="of") == ["a"]
        assert host.hooks.transform.spec is host.pluggy.hook.transform.spec
        assert host.hooks.transform.name == host.sync_hooks.transform.name == "transform"
        assert [impl.plugin_name for impl in host.hooks.transform.get_hookimpls()] == ["guest"]


async def test_names_of_a_foreign_plugin_are_its_own():
    guest = plugin_of("datasette", transform=lambda text: text)
    guest.status, guest.requires, guest.after = 200, lambda: None, "noon"
    guest.Config, guest.host_api, guest.version = {"a": 1}, ("x",), lambda: "no text"

    def stop():
        raise AssertionError("not ours to call")

    guest.stop = guest.start = stop
    async with moved_in() as host:
        record = await host.load_plugin(guest, name="guest")
        assert (record.version, record.requires) == ("", ())
        assert await host.hooks.transform(text="a") == ["a"]
        await host.unload_plugin("guest")


async def test_one_that_derives_from_plugin_is_started():
    _, impl = marks("datasette")
    started = []

    class Both(Plugin):
        async def start(self, context):
            started.append(context.host_name)

        @impl
        def transform(self, text):
            return text

    async with moved_in() as host:
        await host.load_plugin(Both)
    assert started == ["datasette"]


async def test_an_instance_that_can_be_called_is_not_taken_for_a_factory():
    _, impl = marks("datasette")

    class Callable:
        def __call__(self):
            raise AssertionError("not a factory")

        @impl
        def transform(self, text):
            return text

    async with moved_in() as host:
        await host.load_plugin(Callable(), name="guest")
        assert await host.hooks.transform(text="a") == ["a"]


async def test_errors_are_those_that_pluggy_users_catch():
    async with moved_in() as host:
        misfit = plugin_of("datasette", transform=lambda unknown: unknown)
        with pytest.raises(pluggy.PluginValidationError):
            await host.load_plugin(misfit, name="misfit")
        guest = plugin_of("datasette", transform=lambda text: text)
        await host.load_plugin(guest, name="guest")
        with pytest.raises(ValueError, match="guest"):
            await host.load_plugin(plugin_of("datasette", pick=lambda text: text), name="guest")
    assert issubclass(PluginInvalidError, ValueError)


async def test_specs_of_another_project_are_refused_with_its_name():
    with pytest.raises(ValueError, match="project='acme'"):
        moved_in("datasette", specs_of("acme"))


@pytest.mark.parametrize("config", [{}, {"plugins": {"guest": {"module": "guest_of_dist"}}}])
async def test_distributions_keep_their_names(tmp_path, monkeypatch, config):
    folder = tmp_path / "guest_dist-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: guest-dist\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text("[datasette]\nguest = guest_of_dist\n")
    (tmp_path / "guest_of_dist.py").write_text(
        "import pluggy\n@pluggy.HookimplMarker('datasette')\ndef transform(text):\n    return text\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    async with moved_in(only="guest", config=config) as host:
        assert (host.plugins["guest"].distribution, host.plugins["guest"].version) == ("guest-dist", "1.2")
        ((plugin, distribution),) = host.pluggy.list_plugin_distinfo()
        assert (plugin, distribution.project_name) == (sys.modules["guest_of_dist"], "guest-dist")
    sys.modules.pop("guest_of_dist")


@pytest.mark.parametrize("name", ["guest", "apps", "backups"])
@pytest.mark.parametrize(
    "holds", ["", "status = 3\nconfig = Config = ()\n"], ids=["nothing", "names of its own"]
)
async def test_what_is_found_is_a_plugin_though_it_implements_no_hook(tmp_path, monkeypatch, name, holds):
    """It may be there for its templates, or for what its import does."""
    (tmp_path / "theme-1.2.dist-info").mkdir()
    (tmp_path / "theme-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: theme\nVersion: 1.2\n"
    )
    points = f"[acme]\n{name} = theme_without_hooks\n[acme.more]\n{name} = theme_without_hooks\n"
    (tmp_path / "theme-1.2.dist-info" / "entry_points.txt").write_text(points)
    (tmp_path / "theme_without_hooks.py").write_text(holds)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    bare = pluggy.PluginManager("acme")
    assert bare.load_setuptools_entrypoints("acme") == 1
    async with moved_in("acme", only=name) as host:
        assert host.report.loaded == (name,)
        assert host.pluggy.list_name_plugin() == bare.list_name_plugin()
    config = {"host": {"allow": [name]}}
    async with Host("acme", groups=("acme.more",), catalogue=(), config=config, environ={}) as own:
        assert own.plugins[name].state == "failed"
    del sys.modules["theme_without_hooks"]


# without await


@pytest.mark.parametrize("project", PROJECTS)
def test_an_application_without_a_loop_moves_in_by_one_line_too(project):
    host = BlockingHost.for_pluggy(
        project, specs_of(project), config={}, environ={"PLUGHOST_LOAD_PLUGINS": ""}
    )
    host.pluggy.register(plugin_of(project, transform=lambda text: text + "!"), "early")
    with host:
        host.pluggy.register(plugin_of(project, transform=lambda text: text.upper()), "loud")
        assert host.sync_hooks.transform(text="a") == ["A", "a!"]
        assert host.hooks.transform(text="a") == ["A", "a!"]
        assert host.plugins["early"].running
        assert host.pluggy.project_name == project
    assert host.pluggy.hook.transform(text="a") == ["A", "a!"]


async def test_without_await_the_own_thread_gets_what_must_be_awaited():
    async def later(text):
        return text

    async with moved_in() as host:
        await host.load_plugin(plugin_of("datasette", transform=later), name="late")
        await host.load_plugin(plugin_of("datasette", transform=lambda text: text), name="now")
        now, coming = host.sync_hooks.transform(text="a")
        assert (now, await coming) == ("a", "a")


async def test_without_await_another_thread_waits_on_the_host_s_loop():
    threads = []

    async def later(text):
        await anyio.lowlevel.checkpoint()
        threads.append(threading.get_ident())
        return text

    async with moved_in() as host:
        await host.load_plugin(plugin_of("datasette", transform=later), name="late")
        found = await anyio.to_thread.run_sync(lambda: host.sync_hooks.transform(text="a"))
        assert found == ["a"]
        assert threads == [threading.get_ident()]


async def test_without_await_failures_are_isolated_and_counted():
    class Specs:
        @hookspec
        def ask(self, what):
            """Ask."""

    class Bad(Plugin):
        @hookimpl
        def ask(self, what):
            raise RuntimeError(what)

    class Good(Plugin):
        @hookimpl
        def ask(self, what):
            return what

    async with Host(config={"plugins": {}}, environ={"PLUGHOST_LOAD_PLUGINS": ""}, hookspecs=[Specs]) as host:
        await host.load_plugin(Bad)
        await host.load_plugin(Good)
        assert host.sync_hooks.ask(what=1) == [1]
        assert await anyio.to_thread.run_sync(lambda: host.sync_hooks.ask(what=2)) == [2]
        figures = {(row.hook, row.plugin): row for row in host.metrics.snapshot()}
        assert (figures["ask", "bad"].calls, figures["ask", "bad"].errors) == (2, 2)


async def test_without_await_and_without_a_taker_a_coroutine_is_refused():
    class Specs:
        @hookspec(mode="waterfall")
        def flow(self, text):
            """Hand on."""

    class Late(Plugin):
        @hookimpl
        async def flow(self, text):
            return text + "!"

    async with Host(config={}, environ={"PLUGHOST_LOAD_PLUGINS": ""}, hookspecs=[Specs]) as host:
        await host.load_plugin(Late)
        assert host.sync_hooks.flow(text="a") == "a"  # the failure is logged, in words
        assert await anyio.to_thread.run_sync(lambda: host.sync_hooks.flow(text="a")) == "a!"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_another_thread_that_unregisters_a_plugin_sees_it_gone_and_can_have_it_back(backend):
    async def keep_busy(_):
        time.sleep(0.3)  # noqa: ASYNC251 - the loop is to be late

    config = {"plugins": {"guest": {"module": "colorsys_guest"}}}
    sys.modules["colorsys_guest"] = plugin_of("acme", transform=lambda text: text.upper())
    with BlockingHost.for_pluggy(
        "acme", specs_of("acme"), config=config, environ={}, backend=backend
    ) as host:
        assert host.sync_hooks.transform(text="a") == ["A"]
        host.begin(keep_busy)
        host.pluggy.unregister(name="guest")
        assert not host.plugins["guest"].running
        host.load_plugin("guest")
        assert host.plugins["guest"].running
        assert host.sync_hooks.transform(text="a") == ["A"]
    del sys.modules["colorsys_guest"]


def program_through_the_hooks(project, *, start):
    """A program whose every ``pm.hook`` goes through a host: the host, its manager and the plugin it has."""
    spec, _ = marks(project)

    class Specs(specs_of(project)):
        @spec(historic=True)
        def configured(self, options):
            """Told of the options, to those that come later too."""

    host = BlockingHost.for_pluggy(project, Specs, config={}, environ={})
    if start:
        host.start()
    host.pluggy.hook = host.sync_hooks
    plugin = plugin_of(project, transform=lambda text: text.upper())
    host.pluggy.register(plugin, "upper")
    return host, host.pluggy, plugin


@pytest.mark.parametrize("start", [False, True], ids=["before the start", "while it runs"])
@pytest.mark.parametrize("project", PROJECTS)
class TestAllCallsOfAProgramGoThroughTheHost:
    """``pm.hook = host.sync_hooks``, as the guide has it: all else that pluggy's manager offers goes on."""

    @pytest.fixture
    def moved(self, project, start):
        host, manager, plugin = program_through_the_hooks(project, start=start)
        yield host, manager, plugin
        host.stop()

    def test_plugins_come_and_go(self, moved, project):
        _, manager, plugin = moved
        late = plugin_of(project, transform=lambda text: text.lower())
        manager.register(late, "lower")
        assert manager.hook.transform(text="Ab") == ["ab", "AB"]
        assert manager.unregister(name="upper") is plugin
        manager.set_blocked("lower")
        assert manager.hook.transform(text="Ab") == []

    def test_one_that_does_not_fit_is_refused_with_pluggy_s_error(self, moved, project):
        _, manager, _ = moved
        with pytest.raises(pluggy.PluginValidationError, match="more"):
            manager.register(plugin_of(project, transform=lambda text, more: text), "misfit")
        assert manager.hook.transform(text="Ab") == ["AB"]

    def test_an_implementation_of_nothing_is_seen(self, moved, project):
        _, manager, _ = moved
        manager.register(plugin_of(project, transfrom=lambda text: text), "misspelt")
        with pytest.raises(pluggy.PluginValidationError, match="transfrom"):
            manager.check_pending()

    def test_a_plugin_that_comes_late_is_told_what_was_said(self, moved, project):
        _, manager, _ = moved
        told = []
        manager.hook.configured.call_historic(kwargs={"options": 7})
        manager.register(plugin_of(project, configured=lambda options: told.append(options)), "late")
        assert told == [7]

    def test_more_hooks_can_be_declared(self, moved, project):
        _, manager, _ = moved
        spec, _ = marks(project)

        class More:
            @spec
            def afterwards(self, text): ...

        manager.add_hookspecs(More)
        manager.register(plugin_of(project, afterwards=lambda text: text * 2), "twice")
        assert manager.hook.afterwards(text="a") == ["aa"]

    def test_one_can_look_who_implements_what(self, moved, project):
        _, manager, plugin = moved
        assert [caller.name for caller in manager.get_hookcallers(plugin)] == ["transform"]
        assert [one.plugin for one in manager.hook.transform.get_hookimpls()] == [plugin]

    def test_a_call_can_leave_plugins_out_or_take_more_in(self, moved, project):
        _, manager, plugin = moved
        manager.register(plugin_of(project, transform=lambda text: text.lower()), "lower")
        assert manager.subset_hook_caller("transform", [plugin])(text="Ab") == ["ab"]
        assert manager.hook.transform.call_extra([lambda text: text * 2], {"text": "Ab"}) == [
            "AbAb",
            "ab",
            "AB",
        ]


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_without_await_further_implementations_are_called_for_once(backend):
    """On the host's own loop what they return to be awaited is handed back; another thread waits for it."""

    async def doubled(text):
        await anyio.lowlevel.checkpoint()
        return text * 2

    class Specs:
        @hookspec(mode="collect")
        async def transform(self, text): ...

    async def main():
        async with Host.for_pluggy("acme", Specs, config={}, environ={}) as host:
            (here,) = host.sync_hooks.transform.call_extra([doubled], {"text": "ab"})
            assert await here == "abab"
            call = host.sync_hooks.transform.call_extra
            assert await anyio.to_thread.run_sync(call, [doubled], {"text": "ab"}) == ["abab"]
            assert host.sync_hooks.transform(text="ab") == []

    anyio.run(main, backend=backend)
