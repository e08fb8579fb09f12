"""What an application registers on ``host.pluggy`` by itself is in the records like everything that is called."""

import sys

import pluggy
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.exceptions import PluginBlockedError, PluginInvalidError, PluginNotFoundError
from plughost.plugins.admin.offers import offers

pytestmark = pytest.mark.anyio
PROJECTS = ("datasette", "acme")


def specs_of(project):
    class Specs:
        @pluggy.HookspecMarker(project)
        def transform(self, text):
            """Change a text."""

    return Specs


def guest_of(project):
    class Guest:
        __version__ = "3.1"

        @pluggy.HookimplMarker(project)
        def transform(self, text):
            return text + "!"

    return Guest()


def moved_in(project, **options):
    environ = {"PLUGHOST_LOAD_PLUGINS": ""} | options.pop("environ", {})
    return Host.for_pluggy(project, specs_of(project), config={}, environ=environ, **options)


@pytest.mark.parametrize("project", PROJECTS)
@pytest.mark.parametrize("early", [True, False], ids=["before it starts", "while it runs"])
async def test_a_plugin_registered_on_the_manager_is_in_the_records(project, early):
    host = moved_in(project)
    if early:
        host.pluggy.register(guest_of(project), "guest")
    async with host:
        if not early:
            host.pluggy.register(guest_of(project), "guest")
        record = host.plugins["guest"]
        assert (record.source, record.version, record.hooks) == ("pluggy", "3.1", ("transform",))
        assert record.origin == f"{__name__}:guest_of.<locals>.Guest"
        assert record.running
        assert host.plugin("GUEST") == record
        assert host.report.loaded == ("guest",)
        assert (await host.status()).counts.ready == 1


@pytest.mark.parametrize("door", ["unregister", "unload_plugin"])
async def test_one_that_goes_again_is_told_as_stopped(door):
    async with moved_in("acme") as host:
        host.pluggy.register(guest_of("acme"), "guest")
        assert await host.hooks.transform(text="a") == ["a!"]
        if door == "unregister":
            host.pluggy.unregister(name="guest")
        else:
            assert await host.unload_plugin("guest")
        assert await host.hooks.transform(text="a") == []
        assert (host.plugins["guest"].state, host.plugins["guest"].hooks) == ("stopped", ())
        assert host.report.loaded == ()
        assert not await host.unload_plugin("guest")
        host.pluggy.register(guest_of("acme"), "guest")
        assert host.plugins["guest"].running


async def test_a_blocked_name_is_told_as_blocked_and_kept_out():
    async with moved_in("acme") as host:
        host.pluggy.register(guest_of("acme"), "guest")
        host.pluggy.set_blocked("guest")
        assert host.plugins["guest"].state == "blocked"
        assert "unblock" in host.plugins["guest"].reason
        host.pluggy.unblock("guest")
        host.pluggy.register(guest_of("acme"), "guest")
        assert host.plugins["guest"].running


@pytest.mark.parametrize("action", ["reload_plugin", "enable_plugin", "disable_plugin", "load_plugin"])
async def test_what_only_its_owner_can_do_is_refused_in_words(action):
    async with moved_in("acme") as host:
        host.pluggy.register(guest_of("acme"), "guest")
        with pytest.raises(PluginInvalidError, match=r"registered on host\.pluggy"):
            await getattr(host, action)("guest")
        assert host.plugins["guest"].running
        assert offers(host.plugins["guest"]) == ("unload",)


async def test_its_name_is_not_taken_away_by_another_plugin():
    class Guest(Plugin):
        @hookimpl
        def transform(self, text):
            return "other"

    async with moved_in("acme") as host:
        host.pluggy.register(guest_of("acme"), "guest")
        with pytest.raises(PluginInvalidError, match=r"host\.pluggy"):
            await host.load_plugin(Guest)
        assert await host.hooks.transform(text="a") == ["a!"]
        assert host.report.ok


@pytest.mark.parametrize("how", ["registered", "blocked"])
async def test_what_was_found_gives_way_to_what_the_application_did_before(tmp_path, monkeypatch, how):
    (tmp_path / "found_guest.py").write_text("raise AssertionError('it must not be imported')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    host = Host.for_pluggy(
        "acme",
        specs_of("acme"),
        config={"plugins": {"guest": {"module": "found_guest"}}},
        environ={"PLUGHOST_LOAD_PLUGINS": "guest"},
    )
    if how == "registered":
        host.pluggy.register(guest_of("acme"), "guest")
    else:
        host.pluggy.set_blocked("guest")
    async with host:
        assert host.report.ok
        assert host.plugins["guest"].state == ("ready" if how == "registered" else "blocked")


class Counted(Plugin):
    name = "guest"
    starts = 0

    async def start(self, context):
        Counted.starts += 1


DOORS = {
    "as a class": lambda host: host.load_plugin(Counted),
    "as an instance": lambda host: host.load_plugin(Counted()),
    "by its name": lambda host: host.load_plugin("guest"),
    "enabled": lambda host: host.enable_plugin("guest"),
    "reloaded": lambda host: host.reload_plugin("guest"),
}


@pytest.mark.parametrize("door", DOORS)
async def test_nothing_of_a_plugin_whose_name_is_blocked_runs_by_any_door(door, monkeypatch):
    monkeypatch.setattr(Counted, "starts", 0)
    async with moved_in("acme", environ={}) as host:
        if not door.startswith("as "):
            await host.load_plugin(Counted)
            await host.unload_plugin("guest")
        before = Counted.starts
        host.pluggy.set_blocked("guest")
        with pytest.raises(PluginBlockedError, match="unblock"):
            await DOORS[door](host)
        assert not (await host.reload()).failed
        assert Counted.starts == before
        assert host.plugins["guest"].state == "blocked"
        host.pluggy.unblock("guest")
        assert (await host.load_plugin(Counted if door.startswith("as ") else "guest")).running


@pytest.mark.parametrize(
    "config",
    [
        {"host": {"required": ["guest"]}},
        {"plugins": {"guest": {"config": {"colour": "red"}}}},
        {"hooks": {"order": {"transform": ["guest"]}, "timeouts": {"guest.transform": 2.0}}},
    ],
    ids=["required", "configured", "in an order"],
)
async def test_one_that_is_registered_before_the_start_is_there_for_the_settings(config, caplog):
    host = Host.for_pluggy(
        "acme", specs_of("acme"), config=config, environ={"PLUGHOST_LOAD_PLUGINS": "guest"}
    )
    host.pluggy.register(guest_of("acme"), "guest")
    async with host:
        assert host.ready
        assert host.report.ok
        assert host.plugins["guest"].running
    assert not [one for one in caplog.records if "guest" in one.getMessage() + getattr(one, "reason", "")]


async def test_settings_of_such_a_plugin_are_simply_not_known():
    async with moved_in("acme") as host:
        host.pluggy.register(guest_of("acme"), "guest")
        assert host.plugin_settings("guest").schema is None
        with pytest.raises(PluginNotFoundError):
            host.plugin_settings("nobody")


async def test_entry_points_that_pluggy_loads_itself_keep_their_distribution(tmp_path, monkeypatch):
    folder = tmp_path / "guest_dist-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: guest-dist\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text("[acme.more]\nguest = guest_by_pluggy\n")
    (tmp_path / "guest_by_pluggy.py").write_text(
        "import pluggy\n@pluggy.HookimplMarker('acme')\ndef transform(text):\n    return text\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    async with moved_in("acme") as host:
        host.pluggy.load_setuptools_entrypoints("acme.more")
        record = host.plugins["guest"]
        assert (record.distribution, record.version) == ("guest-dist", "1.2")
        assert record.origin == "guest_by_pluggy"
    sys.modules.pop("guest_by_pluggy")
