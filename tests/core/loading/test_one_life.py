"""One life of a plugin at a time: loads, reloads and unloads of one name, at once, in each other's way, from inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

from plughost import Host, Plugin, hookimpl
from plughost.contracts import AuthAttempt, PluginState, Principal
from plughost.exceptions import PluginDependencyError, PluginError, PluginInvalidError

pytestmark = pytest.mark.anyio

LIMITS = {"host": {"allow": [], "load_timeout": 5.0, "shutdown_timeout": 1.0}}


class Slow(Plugin):
    name = "slow"
    went_on: anyio.Event
    begun: anyio.Event

    async def start(self, context: Any) -> None:
        type(self).begun.set()
        await type(self).went_on.wait()

    @hookimpl
    async def after_auth(self, attempt: AuthAttempt, principal: Principal) -> None:
        raise AssertionError("it is not ready")


@pytest.fixture
def slow() -> type[Slow]:
    Slow.went_on, Slow.begun = anyio.Event(), anyio.Event()
    return Slow


async def test_the_second_of_two_loads_at_once_is_told_so_and_nothing_is_left_of_it(slow) -> None:
    refused: list[str] = []

    async def load(host: Host) -> None:
        try:
            await host.load_plugin(slow)
        except PluginInvalidError as error:
            refused.append(str(error))

    with anyio.fail_after(20):
        async with Host(config=LIMITS, environ={}) as host:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load, host)
                tasks.start_soon(load, host)
                await slow.begun.wait()
                slow.went_on.set()
            assert len(refused) == 1
            assert "is running already" in refused[0]
            assert host.plugins["slow"].state is PluginState.READY
            assert await host.unload_plugin("slow")
            assert not host.pluggy.has_plugin("slow")


async def test_unloading_breaks_off_a_start_that_is_under_way(slow) -> None:
    with anyio.fail_after(20):
        async with Host(config=LIMITS, environ={}) as host:

            async def load() -> None:
                with pytest.raises(PluginError):
                    await host.load_plugin(slow)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load)
                await slow.begun.wait()
                assert await host.unload_plugin("slow")
            assert host.plugins["slow"].state is PluginState.STOPPED
            await host.hooks.after_auth(attempt=AuthAttempt(username="ada"), principal=Principal("1", "ada"))
            assert not host.pluggy.has_plugin("slow")


@pytest.mark.parametrize("what", ["reload_plugin", "unload_plugin"])
async def test_a_plugin_can_ask_for_its_own_end_from_a_task_of_its_own(what) -> None:
    asked = anyio.Event()
    hosts: list[Host] = []

    class Tired(Plugin):
        name = "tired"

        async def start(self, context: Any) -> None:
            if not asked.is_set():
                context.spawn(self.end)

        async def end(self) -> None:
            asked.set()
            await getattr(hosts[0], what)("tired")

    with anyio.fail_after(20):
        async with Host(config=LIMITS, environ={}) as host:
            hosts.append(host)
            # An unload that comes before the start is over breaks it off.
            with suppress(PluginError):
                await host.load_plugin(Tired)
            await asked.wait()
            again = await host.unload_plugin("tired")  # in its turn, after what the plugin asked for
            assert again is (what == "reload_plugin")
    assert host.plugins["tired"].state is PluginState.STOPPED


@pytest.mark.parametrize("need", ["requires", "after"])
async def test_whoever_waits_for_itself_is_told_of_the_circle(need) -> None:
    selfish = type("Selfish", (Plugin,), {"name": "selfish", need: ("selfish",)})
    with anyio.fail_after(20):
        async with Host(config=LIMITS, environ={}) as host:
            with pytest.raises(PluginDependencyError, match="'selfish' -> 'selfish'"):
                await host.load_plugin(selfish)


async def test_two_that_are_loaded_at_once_and_require_each_other_are_told_of_the_circle() -> None:
    first = type("First", (Plugin,), {"name": "first", "requires": ("second",)})
    second = type("Second", (Plugin,), {"name": "second", "requires": ("first",)})
    failures: list[str] = []

    async def load(host: Host, plugin: type) -> None:
        try:
            await host.load_plugin(plugin)
        except PluginDependencyError as error:
            failures.append(str(error))

    with anyio.fail_after(20):
        async with Host(config=LIMITS, environ={}) as host, anyio.create_task_group() as tasks:
            tasks.start_soon(load, host, first)
            tasks.start_soon(load, host, second)
    assert len(failures) == 2


@pytest.mark.parametrize(("version", "fits"), [("1.5.0", True), ("0.9", False), ("", False)])
async def test_a_required_plugin_must_be_of_the_versions_that_were_named(version, fits) -> None:
    base = type("Base", (Plugin,), {"name": "base", "version": version})
    user = type("User", (Plugin,), {"name": "user", "requires": ("base>=1,<2",)})
    async with Host(config=LIMITS, environ={}) as host:
        await host.load_plugin(base)
        if fits:
            assert (await host.load_plugin(user)).requires == ("base",)
        else:
            with pytest.raises(PluginDependencyError, match=r"requires base>=1,<2, but") as caught:
                await host.load_plugin(user)
            assert (version or "no version") in str(caught.value)


async def test_one_that_the_application_took_out_of_pluggy_is_stopped_all_the_same() -> None:
    stopped: list[bool] = []

    class Taken(Plugin):
        name = "taken"

        async def stop(self) -> None:
            stopped.append(True)

    with anyio.fail_after(20):
        async with Host(config=LIMITS, environ={}) as host:
            await host.load_plugin(Taken)
            host.pluggy.unregister(name="taken")
            assert await host.unload_plugin("taken")
            assert host.plugins["taken"].state is PluginState.STOPPED
    assert stopped == [True]


@pytest.mark.parametrize("late", ["ant", "bee", "cat"])
async def test_who_is_called_first_does_not_depend_on_how_long_starts_take(tmp_path, folder, late) -> None:
    tables = {}
    for name in ("ant", "bee", "cat"):
        (folder / f"{name}_order.py").write_text(
            "import anyio\nfrom plughost import Plugin, hookimpl\nclass One(Plugin):\n"
            f"    async def start(self, context):\n        await anyio.sleep({0.2 if name == late else 0})\n"
            f"    @hookimpl\n    async def describe_metrics(self):\n        return [{name!r}]\n"
        )
        tables[name] = {"module": f"{name}_order:One"}
    section = {"allow": list(tables), "data_dir": str(tmp_path / "data")}
    for _ in range(2):  # the second time durations are remembered
        async with Host(config={"host": section, "plugins": tables}, environ={}) as host:
            report = await host.hooks.describe_metrics.report()
            assert [outcome.plugin for outcome in report.outcomes] == ["cat", "bee", "ant"]


# what is on the disk


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder on ``sys.path``, of which no module stays."""
    place = tmp_path / "code"
    place.mkdir()
    before = set(sys.modules)
    sys.path.insert(0, str(place))
    yield place
    sys.path.remove(str(place))
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(place)):
            del sys.modules[name]


PLUGIN = """
from plughost import Plugin, hookimpl
from {helper} import WORD
class One(Plugin):
    @hookimpl
    async def describe_metrics(self):
        import {helper}
        return [WORD, {helper}.WORD]
"""


def write(file: Path, text: str) -> None:
    """Write so that Python, which looks at whole seconds and sizes, sees no difference."""
    before = file.stat() if file.exists() else None
    file.write_text(text)
    if before is not None:
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def configured(tmp_path: Path, module: str) -> dict[str, Any]:
    section = {"allow": ["one"], "data_dir": str(tmp_path / "data")}
    return {"host": section, "plugins": {"one": {"module": f"{module}:One"}}}


async def words(host: Host) -> list[str]:
    return [word for words in await host.hooks.describe_metrics() for word in words]


async def test_a_changed_helper_beside_the_plugin_is_read_again_though_size_and_second_are_the_same(
    tmp_path, folder, anyio_backend_name
) -> None:
    helper, module = f"helper_{anyio_backend_name}", f"plugin_{anyio_backend_name}"
    write(folder / f"{helper}.py", "WORD = 'old'\n")
    write(folder / f"{module}.py", PLUGIN.format(helper=helper))
    async with Host(config=configured(tmp_path, module), environ={}) as host:
        assert await words(host) == ["old", "old"]
        write(folder / f"{helper}.py", "WORD = 'new'\n")
        await host.reload_plugin("one")
        assert await words(host) == ["new", "new"]


@pytest.mark.parametrize("broken", ["WORD = (\n", "raise OSError('no words')\n"])
async def test_after_a_failed_reload_the_old_one_goes_on_with_its_old_modules(
    tmp_path, folder, anyio_backend_name, broken
) -> None:
    helper, module = f"word_{anyio_backend_name}_{len(broken)}", f"spoken_{anyio_backend_name}_{len(broken)}"
    write(folder / f"{helper}.py", "WORD = 'old'\n")
    write(folder / f"{module}.py", PLUGIN.format(helper=helper))
    async with Host(config=configured(tmp_path, module), environ={}) as host:
        write(folder / f"{helper}.py", broken)
        with pytest.raises(PluginError):
            await host.reload_plugin("one")
        assert host.plugins["one"].state is PluginState.READY
        assert await words(host) == ["old", "old"]
        write(folder / f"{helper}.py", "WORD = 'new'\n")
        await host.reload_plugin("one")
        assert await words(host) == ["new", "new"]


def in_directory(place: Path, name: str, module: str, helper: str, word: str) -> None:
    home = place / name
    (home / "tests").mkdir(parents=True)
    (home / "tests" / "__init__.py").touch()
    group = f'[project.entry-points."plughost.plugins"]\n{name} = "{module}:One"\n'
    (home / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1"\n{group}')
    (home / f"{module}.py").write_text(PLUGIN.format(helper=helper))
    (home / f"{helper}.py").write_text(f"WORD = {word!r}\n")


async def test_a_plugin_folder_is_not_given_the_module_of_another(tmp_path, anyio_backend_name) -> None:
    place = tmp_path / "plugins"
    helper = f"shared_{anyio_backend_name}"
    in_directory(place, "ash", f"ash_{anyio_backend_name}", helper, "ash")
    in_directory(place, "oak", f"oak_{anyio_backend_name}", helper, "oak")
    in_directory(place, "yew", f"yew_{anyio_backend_name}", f"yews_{anyio_backend_name}", "yew")
    section = {"plugin_dir": str(place), "allow": ["ash", "oak", "yew"], "data_dir": str(tmp_path / "data")}
    async with Host(config={"host": section}, environ={}) as host:
        states = {name: host.plugins[name].state for name in ("ash", "oak", "yew")}
        failed = [name for name, state in states.items() if state is PluginState.FAILED]
        assert len(failed) == 1
        assert failed[0] in ("ash", "oak")
        assert f"has a module {helper!r}" in host.plugins[failed[0]].reason
        good = next(name for name in ("ash", "oak") if name not in failed)
        assert sorted(set(await words(host))) == sorted([good, "yew"])


CARD = """[project]
name = "acme-lamp"
version = "{version}"
[project.entry-points."plughost.plugins"]
lamp = "{ref}"
"""
LAMPS = """from plughost import Plugin
class One(Plugin):
    pass
class Two(One):
    pass
"""


async def test_a_reload_walks_from_what_is_on_the_disk_now(tmp_path, anyio_backend_name) -> None:
    module = f"lamp_{anyio_backend_name}"
    home = tmp_path / "plugins" / "lamp"
    home.mkdir(parents=True)
    (home / f"{module}.py").write_text(LAMPS)
    (home / "pyproject.toml").write_text(CARD.format(version="1", ref=f"{module}:One"))
    section = {"plugin_dir": str(tmp_path / "plugins"), "allow": ["lamp"], "data_dir": str(tmp_path / "data")}
    async with Host(config={"host": section}, environ={}) as host:
        assert host.plugins["lamp"].version == "1"
        (home / "pyproject.toml").write_text(CARD.format(version="2", ref=f"{module}:Two"))
        assert (await host.reload_plugin("lamp")).version == "2"
        for card in ('host_api = ">=2"\n', 'requires = ["nowhere"]\n'):
            (home / "plugin.toml").write_text(card)
            with pytest.raises(PluginError):
                await host.reload_plugin("lamp")
            assert host.plugins["lamp"].state is PluginState.READY
            assert host.plugins["lamp"].version == "2"
        for file in home.iterdir():
            if file.is_file():
                file.unlink()
        with pytest.raises(PluginError, match="not there any more"):
            await host.reload_plugin("lamp")
        assert host.plugins["lamp"].state is PluginState.READY
