"""``plughost hooks NAME --observed``: what a plugin that does not enforce would have decided, told by the command."""

import json
import os
import subprocess
import sys

import anyio
import pytest

from plughost import Host, hookimpl, hookspec
from plughost.contracts import Allow, Deny
from plughost.core.observed import observed_in
from plughost.testing import FakeClock

pytestmark = pytest.mark.anyio


class Specs:
    @hookspec(mode="decide")
    async def may_enter(self, country): ...


class Everybody:
    @hookimpl
    def may_enter(self, country):
        return Allow()


class Fence:
    @hookimpl
    def may_enter(self, country):
        return Deny(f"not from {country}")


def host_in(folder, *, enforce=False, **options):
    file = folder / "plughost.toml"
    file.write_text(
        f'[host]\ndata_dir = "data"\n[plugins.fence]\nenforce = {str(enforce).lower()}\n', "utf-8"
    )
    environ = {"PLUGHOST_LOAD_PLUGINS": "fence,everybody"}
    return Host("acme", config=file, environ=environ, hookspecs=[Specs], **options)


async def call(host, *countries):
    await host.load_plugin(Everybody, name="everybody")
    await host.load_plugin(Fence, name="fence")
    for country in countries:
        await host.hooks.may_enter(country=country)


def told(folder, *arguments):
    program = [sys.executable, "-m", "plughost", "hooks", *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PLUGHOST_")}
    done = subprocess.run(program, cwd=folder, env=environ, capture_output=True, text=True, check=True)
    return done.stdout


async def test_the_command_tells_cases_of_a_host_that_ran(tmp_path):
    async with host_in(tmp_path) as host:
        await call(host, "FR", "SE")
    text = told(tmp_path, "may_enter", "--observed")
    assert "may_enter: fence, 2 cases since" in text
    assert text.index("denied: 'not from FR'") < text.index("denied: 'not from SE'")
    (row,) = json.loads(told(tmp_path, "--observed", "--json"))["observed"]
    assert (row["hook"], row["plugin"], row["count"]) == ("may_enter", "fence", 2)
    assert "Nothing was observed of hook 'before_auth'. What" in told(tmp_path, "before_auth", "--observed")
    for slip, meant in (("may_entre", "may_enter"), ("befor_auth", "before_auth")):
        assert f"of hook '{slip}'. Did you mean '{meant}'?" in told(tmp_path, slip, "--observed")


async def test_while_a_host_runs_they_are_there_within_a_second(tmp_path):
    clock = FakeClock()
    async with host_in(tmp_path, clock=clock) as host:
        await call(host, "FR")
        with anyio.fail_after(30):
            while not observed_in(tmp_path / "data"):
                await clock.advance(1)
                await anyio.sleep(0.01)
        (row,) = observed_in(tmp_path / "data")
    assert row.count == 1


async def test_restarts_add_up_and_the_last_twenty_are_kept(tmp_path):
    for first in (0, 15):
        async with host_in(tmp_path) as host:
            await call(host, *range(first, first + 15))
    (row,) = observed_in(tmp_path / "data")
    assert row.count == 30
    assert [case.what for case in row.last] == [f"denied: 'not from {number}'" for number in range(10, 30)]


async def test_hosts_that_run_at_once_lose_nothing_of_one_another(tmp_path):
    async with host_in(tmp_path) as one, host_in(tmp_path) as other:
        await call(one, "FR", "SE")
        await call(other, "NO")
    (row,) = observed_in(tmp_path / "data")
    assert row.count == 3


async def test_one_that_enforces_leaves_nothing(tmp_path):
    async with host_in(tmp_path, enforce=True) as host:
        await call(host, "FR")
    assert observed_in(tmp_path / "data") == []


async def test_a_reload_begins_to_observe(tmp_path):
    clock = FakeClock()
    async with host_in(tmp_path, enforce=True, clock=clock) as host:
        await call(host, "FR")
        host_in(tmp_path)  # writes the file anew
        await host.reload()
        await host.reload_plugin("fence")
        await host.hooks.may_enter(country="SE")
        with anyio.fail_after(30):
            while not observed_in(tmp_path / "data"):
                await clock.advance(1)
                await anyio.sleep(0.01)


async def test_no_secret_is_written_down(tmp_path):
    class Talkative:
        @hookimpl
        def may_enter(self, country):
            return Deny("password=hunter2hunter2")

    async with host_in(tmp_path) as host:
        await host.load_plugin(Talkative, name="fence")
        await host.hooks.may_enter(country="FR")
    assert "hunter2" not in (tmp_path / "data" / "observed.json").read_text("utf-8")
