"""The example plugins in processes of their own: those that can cross answer as they do inside, the others say why."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from housed import housed
from plughost import Host
from plughost.contracts import PluginState
from plughost.exceptions import HookCallError, Refused
from plughost.testing.samples import NoSampleError, argument_sets

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[3] / "example_plugins"
CROSSING = ("access-control", "accounts", "backup")
REFUSED = {
    "audit": "cannot implement the hook 'register_commands'",
    "hello": "cannot implement the hook 'register_commands'",
    "vault": "cannot implement the hook 'register_commands'",
    "images": "cannot declare hooks",
    "media": "cannot implement the hook 'provide_backup_artifacts'",
    "plex": "cannot implement the hook 'provide_backup_artifacts'",
    "upstream": "cannot declare hooks",
    "monitoring": "wraps the hook 'authenticate'",
    "query_cache": "the argument 'connection' cannot leave its process",
}
MOST = 3


@pytest.fixture
def anyio_backend() -> str:
    """What crosses does not depend on the event loop; other tests try both."""
    return "asyncio"


@pytest.fixture
def references(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Where the example plugins are, which can be imported for the length of a test."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    found: dict[str, str] = {}
    for folder in sorted(EXAMPLES.iterdir()):
        sys.path.insert(0, str(folder / "src"))
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        found |= project.get("entry-points", {}).get("plughost.plugins", {})
    yield found
    for name in set(sys.modules) - before:
        if name.startswith("plughost_"):
            del sys.modules[name]


def hosting(folder: Path, references: dict[str, str], isolation: str) -> dict[str, Any]:
    """The configuration of a host with some of them."""
    return {
        "host": {"data_dir": str(folder / isolation), "allow": [*references]},
        "plugins": {name: {"module": one, "isolation": isolation} for name, one in references.items()},
    }


async def test_examples_that_can_cross_answer_as_they_do_inside(
    tmp_path: Path, references: dict[str, str]
) -> None:
    chosen = {name: references[name] for name in CROSSING}
    said = []
    for isolation in ("none", "process"):
        async with housed(hosting(tmp_path, chosen, isolation)) as host:
            records = [host.plugins[name] for name in CROSSING]
            assert [record.state for record in records] == [PluginState.READY] * len(records)
            assert [record.process is None for record in records] == [isolation == "none"] * len(records)
            facts = [(one.version, one.hooks, one.requires, {*one.status}) for one in records]
            said.append((facts, await answers(host)))
    inside, elsewhere = said
    assert inside == elsewhere
    assert len(inside[1]) > 30


async def answers(host: Host) -> list[tuple[str, str, str, type]]:
    """What each implementation answers to samples of its arguments: by kind, and by type of the value."""
    told = []
    for declaration in sorted(host._dispatcher.declarations(), key=lambda one: one.name):
        mine = {*declaration.arguments}
        if declaration.options.sync or not any(
            declaration.name in host.plugins[name].hooks for name in CROSSING
        ):
            continue
        sets: list[dict[str, Any]] = []
        with suppress(NoSampleError):
            sets = argument_sets(declaration.function, tuple(sorted(mine)))[:MOST]
        for arguments in sets:
            try:
                report = await getattr(host.hooks, declaration.name).report(**arguments)
            except (Refused, HookCallError) as error:
                told.append((declaration.name, "", "raised", type(error)))
                continue
            outcomes = sorted(report.outcomes, key=lambda one: one.plugin)
            told += [(declaration.name, one.plugin, one.kind, type(one.value)) for one in outcomes]
    return told


async def test_examples_that_cannot_cross_say_why(tmp_path: Path, references: dict[str, str]) -> None:
    async with housed(hosting(tmp_path, {name: references[name] for name in REFUSED}, "process")) as host:
        for name, said in REFUSED.items():
            record = host.plugins[name]
            assert record.state == PluginState.FAILED
            assert said in record.reason
            assert f"out of [plugins.{name}]" in record.reason


async def test_every_example_is_in_one_of_the_two_tables(references: dict[str, str]) -> None:
    # The cache is no plugin for another process: a service that is not async.
    needs_a_cache = {
        "dashboard",
        "tmdb",
    }
    assert {*CROSSING} | {*REFUSED} | needs_a_cache == {*references}
