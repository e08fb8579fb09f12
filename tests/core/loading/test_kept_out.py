"""What the deployer shut out stays out, by whatever door it is asked in."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from plughost import Host, Plugin
from plughost.contracts import PluginState
from plughost.core.config import load_config
from plughost.core.config.paths import canonical
from plughost.core.finding.discovery import Limits, Wish, discover, verdict_of
from plughost.core.finding.sources import Finding
from plughost.core.finding.survey import survey
from plughost.exceptions import ConfigError, PluginBlockedError, PluginError

from .package_files import sources, wheel_files, write_folder, zipped
from .sources_of_plugins import GOOD

Door = Callable[[Host, str], Awaitable[Any]]


async def load(host: Host, name: str) -> None:
    await host.load_plugin(name)


async def reload(host: Host, name: str) -> None:
    await host.reload_plugin(name)


async def enable(host: Host, name: str) -> None:
    await host.enable_plugin(name)


LIMITS: list[tuple[str, dict[str, Any]]] = [
    ("host.allow", {"allow": ["somebody-else"]}),
    ("host.safe_mode", {"safe_mode": True}),
    ("host.disabled", {"allow": ["good"], "disabled": ["Good"]}),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("setting", "limits"), LIMITS)
@pytest.mark.parametrize("door", [load, reload, enable])
async def test_what_the_deployer_shut_out_is_not_so_much_as_imported(install, setting, limits, door) -> None:
    install("good", GOOD)
    async with Host(config={"host": limits}, environ={}) as host:
        with pytest.raises(PluginBlockedError) as caught:
            await door(host, "good")
        assert caught.value.setting == setting
        assert host.plugin("good").state in {PluginState.BLOCKED, PluginState.DISABLED}
    assert "good_plugin" not in sys.modules


@pytest.mark.anyio
@pytest.mark.parametrize("door", [load, reload])
async def test_a_plugins_own_switch_is_turned_by_enabling_alone(install, door) -> None:
    install("good", GOOD)
    config = {"host": {"allow": ["good"]}, "plugins": {"good": {"enabled": False}}}
    async with Host(config=config, environ={}) as host:
        with pytest.raises(PluginBlockedError, match="plughost enable good"):
            await door(host, "good")
        assert "good_plugin" not in sys.modules
        assert (await host.enable_plugin("good")).state is PluginState.READY


@pytest.mark.anyio
async def test_a_plugin_that_was_switched_off_comes_back_by_enabling_alone(install) -> None:
    install("good", GOOD)
    async with Host(config={"host": {"allow": ["good"]}}, environ={}) as host:
        assert await host.disable_plugin("good")
        assert host.plugin("good").state is PluginState.DISABLED
        for door in (load, reload):
            with pytest.raises(PluginBlockedError):
                await door(host, "good")
        assert (await host.enable_plugin("good")).state is PluginState.READY


class Lamp(Plugin):
    name = "lamp"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "config",
    [
        {"host": {"allow": [], "disabled": ["LAMP"]}},
        {"host": {"safe_mode": True}},
        {"host": {"allow": []}, "plugins": {"lamp": {"enabled": False}}},
    ],
)
async def test_a_class_that_is_handed_over_is_held_to_the_same(config) -> None:
    async with Host(config=config, environ={}) as host:
        with pytest.raises(PluginBlockedError):
            await host.load_plugin(Lamp)


@pytest.mark.anyio
async def test_a_class_that_was_switched_off_is_started_again_by_enabling() -> None:
    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(Lamp)
        await host.disable_plugin("lamp")
        with pytest.raises(PluginBlockedError):
            await host.load_plugin(Lamp)
        assert (await host.enable_plugin("lamp")).state is PluginState.READY


@pytest.mark.parametrize("name", ["a", "Desk_Lamp", "desk.lamp", "a-_.b", "A__B", "-x-", "x1.2_3"])
def test_names_are_spelled_by_the_rule_of_python_packaging(name: str) -> None:
    assert canonical(name) == canonicalize_name(name)


def told(source: dict[str, Any]) -> dict[str, Any]:
    return {candidate.name: candidate for candidate in survey(load_config(source, environ={}))}


@pytest.mark.parametrize("other", ["Desk_Lamp", "desk.lamp", "DESK-LAMP"])
def test_two_spellings_of_one_name_are_two_plugins_of_one_name(make_plugin, other: str) -> None:
    make_plugin("desk-lamp", GOOD, module="first_plugin", distribution="acme-one")
    make_plugin(other, GOOD, module="second_plugin", distribution="acme-two")
    (candidate,) = [one for name, one in told({}).items() if canonical(name) == "desk-lamp"]
    assert candidate.verdict is PluginState.FAILED
    assert "acme-one" in candidate.reason
    assert "acme-two" in candidate.reason


def test_settings_reach_a_plugin_whose_name_has_a_dot() -> None:
    loaded = load_config(
        {
            "host": {"required": ["my-plugin"]},
            "plugins": {"my.plugin": {"module": "nowhere:P", "config": {"a": 1}}},
        },
        environ={},
    )
    (candidate,) = [one for one in survey(loaded) if canonical(one.name) == "my-plugin"]
    assert candidate.wish.config == {"a": 1}
    assert candidate.wish.required


def test_two_tables_for_one_plugin_are_refused() -> None:
    tables = {"desk-lamp": {"enabled": False}, "Desk_Lamp": {"enabled": True}}
    with pytest.raises(ConfigError, match="same plugin"):
        load_config({"plugins": tables}, environ={})


def found(name: str, distribution: str, **more: Any) -> Finding:
    return Finding(
        name=name,
        reference=more.pop("reference", "m:P"),
        source=more.pop("source", "entry point"),
        origin=distribution,
        distribution=distribution,
        **more,
    )


def test_only_the_distribution_that_the_table_names_is_given_its_settings() -> None:
    wishes = {"vault": Wish(mentioned=True, config={"key": "s3cret"}, distribution="acme-vault")}
    (stranger,) = discover([found("Vault", "evil")], wishes)
    assert stranger.verdict is PluginState.FAILED
    assert "acme-vault" in stranger.reason
    (meant,) = discover([found("Vault", "evil"), found("vault", "Acme_Vault")], wishes)
    assert meant.wanted
    assert meant.finding.distribution == "Acme_Vault"


@pytest.mark.parametrize("source", ["directory", "package", "entry point"])
def test_whoever_calls_itself_first_party_is_not(source) -> None:
    finding = found("helper", "plughost", source=source, reference="helper_code:P")
    assert verdict_of(finding, Wish(), Limits(safe_mode=True)).setting == "host.safe_mode"


def test_our_own_plugins_are_first_party() -> None:
    states = {one.name: one.verdict for one in told({"host": {"safe_mode": True}}).values()}
    assert states["cache"] is PluginState.DISCOVERED


def test_a_plugin_folder_that_calls_itself_plughost_stays_out_in_safe_mode(tmp_path: Path) -> None:
    files = sources("helper", "helper_code")
    files["pyproject.toml"] = files["pyproject.toml"].replace("acme-helper", "plughost")
    write_folder(tmp_path / "helper", files)
    candidate = told({"host": {"safe_mode": True, "plugin_dir": str(tmp_path)}})["helper"]
    assert candidate.finding.distribution == "plughost"
    assert candidate.setting == "host.safe_mode"


@pytest.mark.parametrize("spelled", ["acme-boxed", "Acme_Boxed", "boxed"])
def test_an_allow_list_may_name_the_distribution_of_a_package(tmp_path: Path, spelled: str) -> None:
    wheel = tmp_path / "acme_boxed-2.1.0-py3-none-any.whl"
    wheel.write_bytes(zipped(wheel_files()))
    write_folder(tmp_path / "folder", sources())
    for path in (wheel, tmp_path / "folder"):
        config = {"host": {"allow": [spelled]}, "plugins": {"boxed": {"path": str(path)}}}
        assert told(config)["boxed"].wanted


def test_a_wheel_that_bears_an_allowed_name_without_being_it_stays_out(tmp_path: Path) -> None:
    wheel = tmp_path / "trusted-2.1.0-py3-none-any.whl"
    wheel.write_bytes(zipped(wheel_files()))
    config = {"host": {"allow": ["trusted"]}, "plugins": {"boxed": {"path": str(wheel)}}}
    assert told(config)["boxed"].verdict is PluginState.BLOCKED


def test_the_way_out_for_a_copied_plugin_folder_works(tmp_path: Path) -> None:
    for name in ("boxed", "boxed-copy"):
        write_folder(tmp_path / name, sources())
    config: dict[str, Any] = {"host": {"plugin_dir": str(tmp_path)}}
    reason = told(config)["boxed"].reason
    advice = f"path = {str(tmp_path / 'boxed')!r}"
    assert advice in reason
    config["plugins"] = {"boxed": {"path": str(tmp_path / "boxed")}}
    assert told(config)["boxed"].wanted


class Shade(Plugin):
    name = "lamp-shade"
    requires = ("Desk_Lamp",)


class DeskLamp(Plugin):
    name = "desk-lamp"


@pytest.mark.anyio
async def test_what_a_plugin_requires_may_be_spelled_otherwise() -> None:
    async with Host(config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(DeskLamp)
        record = await host.load_plugin(Shade)
        assert record.state is PluginState.READY
        await host.unload_plugin("Desk.Lamp")
        assert host.plugin("lamp_shade").state is PluginState.STOPPED


@pytest.mark.anyio
@pytest.mark.parametrize("door", ["found", "by hand"])
async def test_a_requirement_that_is_not_there_says_which_is_near(install, door: str) -> None:
    source = "from plughost import Plugin\n\nclass P(Plugin):\n    requires = ('desk-lmap',)\n"
    install("desk-lamp", GOOD)
    if door == "found":
        install("shade", source, card="requires = ['desk-lmap']")
    async with Host(config={"host": {"allow": ["shade", "desk-lamp"]}}, environ={}) as host:
        if door == "found":
            reason = host.plugin("shade").reason
        else:
            needy = type("Needy", (Plugin,), {"name": "shade", "requires": ("desk-lmap",)})
            with pytest.raises(PluginError) as caught:
                await host.load_plugin(needy)
            reason = str(caught.value)
        assert "Did you mean 'desk-lamp'?" in reason
