"""Plugins that misbehave come in by each door, one of each kind of error side by side, beside a good neighbour.

None lets the host, the neighbour or the caller down, and the record of each names its cause.
"""

from __future__ import annotations

import importlib
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from plughost import Host, Plugin, hookimpl
from plughost.blocking import BlockingHost
from plughost.contracts import AuthAttempt, PluginRecord, PluginState, Principal
from plughost.exceptions import PluginError
from strange_errors import INTERRUPTS, KINDS
from strange_plugins import DOORS, GOOD, MISDEEDS, Misdeed, Yard, by_file

pytestmark = pytest.mark.matrix(one_in=3)

_numbers = count()

EVERY_DOOR = pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
EVERY_MISDEED = pytest.mark.parametrize("misdeed", MISDEEDS.values(), ids=MISDEEDS)
THOSE_THAT_FAIL = pytest.mark.parametrize(
    "misdeed",
    [one for one in MISDEEDS.values() if one.fate == "fails"],
    ids=[name for name, one in MISDEEDS.items() if one.fate == "fails"],
)


class Good(Plugin):
    name = "good"

    def __init__(self) -> None:
        self.heard: list[str] = []

    @hookimpl
    async def after_auth(self, attempt: AuthAttempt) -> None:
        self.heard.append(attempt.username)


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Yard:
    folder = tmp_path / "plugins"
    folder.mkdir()
    return Yard(folder, monkeypatch.syspath_prepend)


def named(misdeed: Misdeed, *, in_main: bool = True) -> dict[str, str]:
    """A plugin name for each kind of error; without those that would be the person's interrupt."""
    kinds = [kind for kind in KINDS if misdeed.threaded or not in_main or kind not in INTERRUPTS]
    return {f"strange{next(_numbers)}": kind for kind in kinds}


def sources(misdeed: Misdeed, names: dict[str, str]) -> dict[str, str]:
    return {name: misdeed.source(kind) for name, kind in names.items()}


def assert_fate(record: PluginRecord, misdeed: Misdeed, kind: str) -> None:
    if misdeed.fate == "goes on":
        assert record.state is PluginState.READY, (kind, record.reason)
        return
    assert record.state is PluginState.FAILED, (kind, record.state)
    assert record.error is not None
    if misdeed.told:
        assert KINDS[kind][1] in record.error.message, (kind, record.error.message)


ADA = {"attempt": AuthAttempt(username="ada"), "principal": Principal("1", "ada")}


@pytest.mark.anyio
@EVERY_DOOR
@EVERY_MISDEED
async def test_whichever_door_it_comes_by_what_a_plugin_raises_is_its_own_failure(
    door: Any, misdeed: Misdeed, yard: Yard
) -> None:
    names, good = named(misdeed), Good()
    config = door(yard, sources(misdeed, names))
    async with Host("strange", config=config, environ={}) as host:
        await host.load_plugin(good)
        for name, kind in names.items():
            assert_fate(host.plugins[name], misdeed, kind)
        await host.hooks.after_auth(**ADA)
        health = await host.health()
        assert {check.name for check in health.checks} >= {"plugins"}
        assert host.plugins["good"].state is PluginState.READY
    assert good.heard == ["ada"]


@pytest.mark.anyio
@pytest.mark.parametrize("way", [way for way in MISDEEDS if way != "import"])
async def test_a_plugin_handed_over_by_code_fails_for_itself(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    misdeed, good = MISDEEDS[way], Good()
    names = {name: kind for name, kind in named(misdeed).items() if kind not in INTERRUPTS}
    async with Host("strange", config={"host": {"allow": []}}, environ={}) as host:
        await host.load_plugin(good)
        for name, kind in names.items():
            (tmp_path / f"{name}_by_hand.py").write_text(misdeed.source(kind), "utf-8")
            plugin = importlib.import_module(f"{name}_by_hand").P
            with pytest.raises(PluginError) if misdeed.fate == "fails" else nullcontext() as caught:
                await host.load_plugin(plugin, name=name)
            assert not (caught and misdeed.told) or KINDS[kind][1] in str(caught.value), (
                kind,
                str(caught.value),
            )
            assert name not in host.plugins or host.plugins[name].running is (misdeed.fate == "goes on")
        await host.hooks.after_auth(**ADA)
    assert good.heard == ["ada"]


@pytest.mark.anyio
@THOSE_THAT_FAIL
async def test_after_a_reload_that_brings_it_the_old_one_goes_on(misdeed: Misdeed, yard: Yard) -> None:
    names = named(misdeed)
    config = by_file(yard, {name: GOOD.format(kind=kind) for name, kind in names.items()})
    async with Host("strange", config=config, environ={}) as host:
        by_file(yard, sources(misdeed, names))
        for name, kind in names.items():
            with pytest.raises(PluginError) as caught:
                await host.reload_plugin(name)
            assert not misdeed.told or KINDS[kind][1] in str(caught.value), (kind, str(caught.value))
            assert host.plugins[name].state is PluginState.READY


@pytest.mark.parametrize("way", MISDEEDS)
def test_a_host_of_blocking_code_stands_as_well(way: str, yard: Yard) -> None:
    misdeed, good = MISDEEDS[way], Good()
    names = named(misdeed, in_main="status" in way)  # whose thread asks for it
    config = by_file(yard, sources(misdeed, names))
    with BlockingHost("strange", config=config, environ={}) as host:
        host.load_plugin(good)
        for name, kind in names.items():
            assert_fate(host.plugins[name], misdeed, kind)
        host.hooks.after_auth(**ADA)
        host.health()
    assert good.heard == ["ada"]
