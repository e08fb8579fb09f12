"""What a plugin in its own process costs itself before it is ready, and what it costs others: nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from counting import counted
from faulty_plugin import SOURCE
from housed import Neighbour, configuration, housed, write_plugin
from plughost import Host
from plughost.core.guest.life import warm_up
from plughost.core.guest.plugin import imported_plugin
from plughost.core.wire.protocol import GuestSpec
from plughost.hookspecs import CATALOGUE, PROJECT

TRIVIAL = """
from plughost import Plugin, hookimpl

class Trivial(Plugin):
    @hookimpl
    async def describe_device(self, user_agent):
        return None
"""


def test_a_process_reads_neither_the_hooks_nor_its_version_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    warm_up()
    first, second = (born(tmp_path, name) for name in ("trivial_once", "trivial_twice"))
    assert max(first, second) < 100_000  # instructions; it took several times as many when it read them


def born(folder: Path, name: str) -> int:
    """The instructions that it takes to import a plugin and to say what it is."""
    write_plugin(folder, TRIVIAL, name)
    spec = GuestSpec(
        name=name,
        reference=f"{name}:Trivial",
        source="directory",
        origin="",
        folder=str(folder / "plugins"),
        path=(),
        project=PROJECT,
        hookspecs=tuple(family.__name__ for family in CATALOGUE),
        library="asyncio",
        data_dir=os.devnull,
    )
    with counted() as found:
        imported_plugin(spec).manifest(())
    sys.modules.pop(name, None)
    return found.instructions


HOST = """
import sys
import anyio
from plughost import Host, Plugin, hookimpl

class Inside(Plugin):
    @hookimpl
    async def describe_device(self, user_agent):
        return None

async def main():
    async with Host("acme", config={"host": {"data_dir": sys.argv[1], "allow": ["inside"]}}, environ={}) as host:
        await host.load_plugin(Inside, name="inside")
        await host.hooks.describe_device(user_agent="x")

anyio.run(main)
rooms = ("plughost.core.processes", "plughost.core.wire", "plughost.core.guest")
print([name for name in sys.modules if name.startswith(rooms)])
"""


def test_a_host_without_such_plugins_imports_nothing_of_their_rooms(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOST, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


@pytest.mark.anyio
async def test_a_plugin_inside_is_called_by_as_many_instructions_beside_one_in_its_own_process(
    tmp_path: Path,
) -> None:
    write_plugin(tmp_path, SOURCE)
    took = []
    for plugins in ({}, configuration(tmp_path)["plugins"]):
        table = configuration(tmp_path) | {"plugins": plugins}
        table["host"]["allow"] = ["neighbour", *plugins]
        async with housed(table) as host:
            await host.load_plugin(Neighbour, name="neighbour")
            assert (host.plugins["faulty"].process is not None) is bool(plugins)
            took.append(await instructions_of_calls(host))
    assert took[0] == took[1] > 0


async def instructions_of_calls(host: Host) -> int:
    """The instructions that twenty calls take once the first ones were made."""
    for _ in range(20):
        await host.hooks.describe_device(user_agent="x")
    with counted() as found:
        for _ in range(20):
            await host.hooks.describe_device(user_agent="x")
    return found.instructions
