"""A moved application starts and serves with plugins that would end it on bare pluggy; the report names them."""

import json
import os
import subprocess
import sys

import pytest

from misbehaved import MISDEEDS, install

APPLICATION = """
import json, sys
import pluggy
spec, impl = pluggy.HookspecMarker("texts"), pluggy.HookimplMarker("texts")

class Specs:
    @spec
    def transform(self, text):
        "Change a text."

class Loud:
    @impl
    def transform(self, text):
        return text.upper()
"""
ON_PLUGGY = """
pm = pluggy.PluginManager("texts")
pm.add_hookspecs(Specs)
pm.load_setuptools_entrypoints("texts")
pm.register(Loud(), "loud")
print(json.dumps([pm.hook.transform(text="a"), {}]))
"""
BLOCKING = """
from plughost.blocking import BlockingHost
with BlockingHost.for_pluggy("texts", Specs, config={"host": {"load_timeout": 1}}, environ={}) as host:
    host.load_plugin(Loud(), name="loud")
    failed = {row.name: row.error.message for row in host.report.failed}
    print(json.dumps([host.sync_hooks.transform(text="a"), failed]))
"""
AWAITED = """
import anyio
from plughost import Host
async def main(backend):
    async with Host.for_pluggy("texts", Specs, config={"host": {"load_timeout": 1}}, environ={}) as host:
        await host.load_plugin(Loud(), name="loud")
        failed = {row.name: row.error.message for row in host.report.failed}
        print(json.dumps([await host.hooks.transform(text="a"), failed]))
"""
DOORS = {
    "BlockingHost": BLOCKING,
    "asyncio": f"{AWAITED}anyio.run(main, 'asyncio', backend='asyncio')",
    "trio": f"{AWAITED}anyio.run(main, 'trio', backend='trio')",
}
SAID = {
    "raising": "OSError: no such disk",
    "hanging": "took longer than its limit",
    "leaving": "called sys.exit(3)",
}


def run(text, folder, seconds=60):
    environ = os.environ | {"PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", f"{APPLICATION}\n{text}"]
    return subprocess.run(
        command, env=environ, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False
    )


@pytest.mark.parametrize("door", DOORS)
def test_it_serves_and_its_report_names_them(tmp_path, door):
    done = run(DOORS[door], install(tmp_path, "texts", *MISDEEDS))
    assert done.returncode == 0, done.stderr
    answer, failed = json.loads(done.stdout.splitlines()[-1])
    assert answer == ["A"]
    assert failed.keys() == SAID.keys()
    assert all(said in failed[name] for name, said in SAID.items())


@pytest.mark.parametrize("misdeed", MISDEEDS)
def test_on_bare_pluggy_each_of_them_ends_it(tmp_path, misdeed):
    folder = install(tmp_path, "texts", misdeed)
    if misdeed == "hanging":
        with pytest.raises(subprocess.TimeoutExpired):
            run(ON_PLUGGY, folder, seconds=3)
    else:
        assert run(ON_PLUGGY, folder).returncode != 0
