"""What a person gets wrong in the first three lines is answered with what to write instead."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, hookimpl, hookspec
from plughost.blocking import BlockingHost
from plughost.exceptions import ConfigError, HostNotReadyError

NOTHING: dict[str, Any] = {"config": {"host": {"allow": []}}, "environ": {}}
HOSTS = pytest.mark.parametrize("made", [Host, BlockingHost])


@HOSTS
@pytest.mark.parametrize("name", ["plughost.toml", Path("plughost.toml"), {"host": {}}])
def test_a_configuration_in_the_place_of_the_name_is_told_where_it_goes(made: Any, name: Any) -> None:
    with pytest.raises(ConfigError, match="config=") as caught:
        made(name)
    assert caught.value.path == "host.name"


@HOSTS
@pytest.mark.parametrize("name", ["My App", "", "2fast", "ärger"])
def test_a_name_that_is_none_is_told_which_signs_one_has(made: Any, name: str) -> None:
    with pytest.raises(ConfigError, match="letters, digits, dashes and underscores, beginning with a letter"):
        made(name)


def test_who_wrote_such_a_name_into_a_file_is_not_told_of_arguments(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text('[host]\nname = "My App"\n')
    with pytest.raises(ConfigError, match="beginning with a letter") as caught:
        Host(config=tmp_path / "acme.toml")
    assert "config=" not in str(caught.value)


@HOSTS
@pytest.mark.parametrize("config", [3, ["plughost.toml"], object()])
def test_what_cannot_be_a_configuration_is_told_what_can(made: Any, config: Any) -> None:
    with pytest.raises(ConfigError, match="a file, a mapping or a HostConfig"):
        made(config=config)


def test_who_enters_a_host_without_async_is_told_of_both_ways() -> None:
    with pytest.raises(TypeError, match=r"`async with`.*BlockingHost"), Host(config={}, environ={}):
        pytest.fail("it was entered")


class Shop:
    @hookspec
    def price(self, amount: float) -> float: ...


@HOSTS
@pytest.mark.parametrize(
    "given", [{"groups": "acme.plugins"}, {"catalogue": "auth"}, {"catalogue": json}, {"hookspecs": Shop}]
)
def test_one_where_there_may_be_several_is_told_how_to_write_it(made: Any, given: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=rf"write {next(iter(given))}=\[.+\]"):
        made(**NOTHING, **given)


def test_what_names_no_family_of_hooks_is_an_error_of_the_configuration() -> None:
    family: Any = 3
    with pytest.raises(ConfigError, match=r"host\.catalogue\[0\]"):
        Host(**NOTHING, catalogue=[family])


def test_who_enters_a_host_for_threads_with_async_is_told_of_both_ways() -> None:
    async def enter() -> None:
        host: Any = BlockingHost(**NOTHING)
        async with host:
            pytest.fail("it was entered")

    with pytest.raises(TypeError, match=r"`with`.*`async with plughost\.Host"):
        anyio.run(enter)


async def failed_beside(folder: str) -> list[str]:
    host = Host(config={"host": {"allow": ["away"]}}, environ={})
    host.add_plugin_folder(folder)
    async with host:
        return [row.name for row in host.report.failed]


def test_a_folder_of_plugins_may_be_named_by_text(tmp_path: Path) -> None:
    folder = str(tmp_path / "away")
    host = BlockingHost(config={"host": {"allow": ["away"]}}, environ={})
    host.add_plugin_folder(folder)
    with host:
        told = [row.name for row in host.report.failed]
    assert anyio.run(failed_beside, folder) == told == ["away"]


def test_before_and_after_it_runs_a_host_for_threads_says_what_the_host_says() -> None:
    host = BlockingHost("shop", **NOTHING)
    assert (host.name, host.ready, host.config.host.name) == ("shop", False, "shop")
    with pytest.raises(HostNotReadyError, match="not running"):
        host.health()
    with host:
        assert host.ready
    assert (host.ready, host.report.failed) == (False, ())
    with pytest.raises(HostNotReadyError, match="not running"):
        host.load_plugin(Plugin)


class Stopper(Plugin):
    """Stops the host in whose thread it is."""

    name = "stopper"
    host: BlockingHost

    @hookimpl
    def price(self, amount: float) -> float:
        self.host.stop()
        return amount


def test_a_host_that_is_to_end_in_its_own_thread_refuses_and_can_be_stopped_later() -> None:
    with BlockingHost(**NOTHING, hookspecs=[Shop]) as host:
        Stopper.host = host
        host.load_plugin(Stopper)
        [outcome] = host.hooks.price.report(amount=1.0).outcomes
        assert "would wait for its own end" in str(outcome.error)
        assert host.running
    assert not host.running


def test_whoever_changes_a_host_from_another_event_loop_is_told_where_it_runs() -> None:
    async def change(change: Callable[[Host], Any], host: Host) -> None:
        with pytest.raises(RuntimeError, match="runs in the event loop of another thread"):
            await change(host)

    with BlockingHost(**NOTHING) as host:
        for one in CHANGES.values():
            anyio.run(change, one, host.run(itself))
        assert host.load_plugin(type("Plain", (Plugin,), {"name": "plain"})).name == "plain"


async def itself(host: Host) -> Host:
    return host


CHANGES: dict[str, Callable[[Host], Any]] = {
    "load": lambda host: host.load_plugin(Plugin),
    "unload": lambda host: host.unload_plugin("plain"),
    "reload": lambda host: host.reload_plugin("plain"),
    "reload all": lambda host: host.reload_plugins(),
    "enable": lambda host: host.enable_plugin("plain"),
    "disable": lambda host: host.disable_plugin("plain"),
    "bring": lambda host: host.bring_plugin("plain"),
    "follow": lambda host: host.reload(),
    "ask": lambda host: host.health(),
}


@pytest.mark.anyio
@pytest.mark.parametrize("change", CHANGES)
async def test_whoever_changes_or_asks_a_host_that_does_not_run_is_told_so(change: str) -> None:
    host = Host(**NOTHING)
    with pytest.raises(HostNotReadyError, match="is not running"):
        await CHANGES[change](host)
    async with host:
        await host.load_plugin(type("Plain", (Plugin,), {"name": "plain"}))
        assert host.ready
    assert not host.ready
    with pytest.raises(HostNotReadyError, match="has stopped"):
        await CHANGES[change](host)
