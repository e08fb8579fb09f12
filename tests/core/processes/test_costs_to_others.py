"""What a plugin in its own process costs hosts without such plugins, and plugins inside beside it: nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from counting import counted
from faulty_plugin import SOURCE
from housed import Neighbour, configuration, housed, write_plugin
from plughost import Host

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


def test_the_first_line_about_a_crash_waits_for_no_import(tmp_path: Path) -> None:
    write_plugin(tmp_path, SOURCE)
    table = configuration(tmp_path)
    table["host"]["allow"] = ["faulty"]  # else a line is logged at the start
    program = f"""
import sys
import anyio
from plughost import Host
from plughost.hookspecs import hookspec

class Specs:
    @hookspec
    async def misbehave(self, how): ...

async def main():
    async with Host("acme", config={table!r}, environ={{}}, hookspecs=[Specs]) as host:
        before = set(sys.modules)
        report = await host.hooks.misbehave.report(how="segfault")
        print(report.outcomes[0].kind)
        print(sorted(name for name in set(sys.modules) - before if name.startswith(("structlog", "rich"))))

anyio.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "error\n[]\n"


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
