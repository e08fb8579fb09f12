"""What the start of many plugins costs, counted: threads, tasks and looks at what is imported."""

from __future__ import annotations

import json
import math
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from counting import counted
from plughost import Host, Plugin
from plughost.core.finding.survey import survey
from plughost.core.loading import freshness
from plughost.testing.distributions import make_distribution

pytestmark = pytest.mark.anyio

QUIET = """
from plughost import Plugin

class Quiet(Plugin):
    async def start(self, context): ...
"""
PICKY = QUIET + "    async def check_config(self, config): ...\n"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The host's own threads that are started from now on."""
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def noting(thread: threading.Thread) -> None:
        start(thread)
        if thread.name.startswith("plughost"):
            started.append(thread)

    monkeypatch.setattr(threading.Thread, "start", noting)
    return started


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """Installs one plugin for each source."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = {*sys.modules}

    def install(*sources: str) -> list[str]:
        names = [f"many{number}" for number in range(len(sources))]
        for name, source in zip(names, sources, strict=True):
            modules = {f"{name}_code.py": source}
            points = {"plughost.plugins": {name: f"{name}_code:Quiet"}}
            make_distribution(tmp_path, name, modules=modules, entry_points=points)
        return names

    yield install
    for name in {*sys.modules} - before:
        if name.startswith("many"):
            del sys.modules[name]


def host(tmp_path: Path, names: list[str], **settings: Any) -> Host:
    return Host(config={"host": {"data_dir": str(tmp_path / "data"), "allow": names, **settings}}, environ={})


async def test_all_plugins_are_imported_in_one_thread_that_ends_with_the_start(
    tmp_path: Path, install: Callable[..., list[str]], threads: list[threading.Thread]
) -> None:
    names = install(*[QUIET] * 5)
    async with host(tmp_path, names) as running:
        assert sorted(running.report.loaded) == names
        (thread,) = threads
        thread.join(10)
        assert not thread.is_alive()


async def test_an_import_that_hangs_keeps_its_thread_and_the_next_one_has_another(
    tmp_path: Path, install: Callable[..., list[str]], threads: list[threading.Thread]
) -> None:
    hanging = "import threading, many_gate\nmany_gate.opened.wait()\n" + QUIET
    names = install(QUIET, hanging, QUIET)
    gate = type(sys)("many_gate")
    gate.opened = threading.Event()  # type: ignore[attr-defined]
    sys.modules["many_gate"] = gate
    try:
        async with host(tmp_path, names, load_timeout=2.0) as running:
            assert sorted(running.report.loaded) == ["many0", "many2"]
            assert [row.name for row in running.report.failed] == ["many1"]
            assert len(threads) == 2
    finally:
        gate.opened.set()  # type: ignore[attr-defined]


async def test_a_plugin_without_a_check_of_its_configuration_of_its_own_is_asked_for_none(
    tmp_path: Path, install: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def noting(limit: float, function: Any, *rest: Any) -> None:
        asked.append(function.func.__self__.name)
        await function()

    monkeypatch.setattr("plughost.core.loading.loader.call_within", noting)
    names = install(QUIET, PICKY, QUIET)
    async with host(tmp_path, names) as running:
        assert sorted(running.report.loaded) == names
    assert asked == ["many1"]


class Inheriting(Plugin):
    async def check_config(self, config: Any) -> None:
        raise ValueError("say which lamp")


class Heir(Inheriting):
    pass


class OnTheInstance(Plugin):
    def __init__(self) -> None:
        self.check_config = Inheriting().check_config  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", [Inheriting, Heir, OnTheInstance])
async def test_a_check_is_found_wherever_it_stands(tmp_path: Path, kind: type[Plugin]) -> None:
    async with host(tmp_path, []) as running:
        with pytest.raises(ValueError, match="say which lamp"):
            await running.load_plugin(kind)


async def test_what_is_imported_is_looked_through_once_however_many_plugins_there_are(
    tmp_path: Path, install: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = freshness._LoadedModules.__init__

    def noting(modules: Any, foreign: Any, claimed: Any) -> None:
        looks.append(1)
        look(modules, foreign, claimed)

    monkeypatch.setattr(freshness._LoadedModules, "__init__", noting)
    names = install(*[QUIET] * 6)
    async with host(tmp_path, names) as running:
        assert sorted(running.report.loaded) == names
    assert len(looks) == 1


async def test_a_reload_of_all_and_a_start_of_one_look_for_plugins_once(
    tmp_path: Path, install: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = install(*[QUIET] * 6)
    async with host(tmp_path, names) as running:
        looks: list[int] = []

        def noting(*given: Any) -> Any:
            looks.append(1)
            return survey(*given)

        monkeypatch.setattr("plughost.host.survey", noting)
        await running.reload_plugins()
        assert len(looks) == 1
        await running.disable_plugin("many0")
        await running.enable_plugin("many0")
        assert len(looks) == 2


async def test_a_configuration_that_brings_several_plugins_has_them_looked_for_once(
    tmp_path: Path, install: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = install(*[QUIET] * 6)
    file = tmp_path / "plughost.toml"
    said = '[host]\ndata_dir = "data"\nallow = {}\n'
    file.write_text(said.format(json.dumps(names[:1])))
    async with Host(config=file, environ={}) as running:
        looks: list[int] = []

        def noting(*given: Any) -> Any:
            looks.append(1)
            return survey(*given)

        monkeypatch.setattr("plughost.host.survey", noting)
        file.write_text(said.format(json.dumps(names)))
        report = await running.reload()
        assert sorted(report.started) == names[1:]
        assert len(looks) == 1


HOOKED = """
from plughost import Plugin, hookimpl

class Quiet(Plugin):
    async def start(self, context): ...

    @hookimpl
    async def health_check(self, app_name):
        return None
"""


# Trio draws lots over whose turn it is, and so varies more.
INSTRUCTIONS = {
    "asyncio": 14_050,
    "trio": 18_200,
}
"""Of CPython 3.11, whose bytecode is the longest of those supported, for each plugin with a hook, and a few more.

Whoever needs more says in the commit what everybody gets for it. What the import takes in its own thread is not in it.
"""


async def test_a_plugin_more_costs_what_a_plugin_costs_and_not_more_with_each_that_is_there(
    tmp_path: Path, install: Callable[..., list[str]], anyio_backend_name: str
) -> None:
    names = install(*[HOOKED] * 30)
    limit = 20 * INSTRUCTIONS[anyio_backend_name]
    least = [math.inf] * 3
    # The quickest counts: a loop that is woken between two answers instead of for both turns once more, so that a busy
    # machine adds to the count, and never takes from it.
    for _ in range(9):
        for place, count in enumerate((10, 20, 30)):
            least[place] = min(least[place], await cost_of_a_start(tmp_path, names[:count]))
        few, some, many = least
        # Were it a square of their number, it would be 1.67; the loops count unevenly
        if many - few < limit and many - some < 1.5 * (some - few):
            return
    pytest.fail(f"10, 20 and 30 plugins take {least} instructions")


MADE, SETTINGS = 104_000, 2_300
"""Instructions of CPython 3.11, and a few more, for a host that is made and for each plugin with a table of its own."""


def test_a_table_more_does_not_have_the_annotations_of_its_class_read_again(tmp_path: Path) -> None:
    least = {count: cost_of_a_configuration(tmp_path, count) for count in (10, 30)}
    assert least[30] - least[10] < 20 * SETTINGS, least


def test_what_a_host_declares_is_read_without_a_walk_through_all_classes_of_a_module(tmp_path: Path) -> None:
    cost = cost_of_a_configuration(tmp_path, 0)
    assert cost < MADE, cost


def cost_of_a_configuration(tmp_path: Path, count: int) -> int:
    names = [f"many{number}" for number in range(count)]
    settings = {
        "host": {"data_dir": str(tmp_path / "data"), "allow": names},
        "plugins": {name: {"module": f"{name}_code:Quiet"} for name in names},
    }
    least = math.inf
    for _ in range(3):
        with counted() as found:
            Host(config=settings, environ={})
        least = min(least, found.instructions)
    return int(least)


async def test_nor_does_one_of_many_that_lie_side_by_side_and_are_named_by_their_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    modules = {f"beside{number}": f"beside{number}:Quiet" for number in range(60)}
    for name in modules:
        (tmp_path / f"{name}.py").write_text(QUIET)
    try:
        least = [math.inf] * 3
        for _ in range(9):
            for place, count in enumerate((20, 40, 60)):
                named = dict(list(modules.items())[:count])
                least[place] = min(least[place], await cost_of_a_start(tmp_path, list(named), named))
                for (
                    name
                ) in modules:  # what was there before a host belongs to no plugin because of where it lies
                    sys.modules.pop(name, None)
            few, some, many = least
            if many - some < 1.3 * (some - few):  # as a square of their number it was 1.46
                return
        pytest.fail(f"20, 40 and 60 plugins take {least} instructions")
    finally:
        for name in modules:
            sys.modules.pop(name, None)


async def cost_of_a_start(tmp_path: Path, names: list[str], modules: dict[str, str] | None = None) -> int:
    named = {name: {"module": module} for name, module in (modules or {}).items()}
    settings = {"host": {"data_dir": str(tmp_path / "data"), "allow": names}, "plugins": named}
    running = Host(config=settings, environ={})
    with counted() as found:
        await running.__aenter__()
    try:
        assert sorted(running.report.loaded) == sorted(names)
    finally:
        await running.__aexit__(None, None, None)
    return found.instructions
