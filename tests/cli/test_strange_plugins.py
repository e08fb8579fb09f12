"""Each command over plugins that misbehave, one of each kind of error, with a good one among them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from plughost.cli.exits import ExitCode
from strange_errors import INTERRUPTS, KINDS
from strange_plugins import GOOD, MISDEEDS, Yard, by_file

_numbers = count()


@pytest.fixture
def strangers(request: pytest.FixtureRequest, folder: Path, only: Callable[..., None]) -> dict[str, str]:
    """Plugins that all do the same, by name; ``good`` does nothing of the kind."""
    misdeed = MISDEEDS[request.param]
    kinds = [kind for kind in KINDS if misdeed.threaded or kind not in INTERRUPTS]
    names = {f"told{next(_numbers)}": kind for kind in kinds}
    good = f"good{next(_numbers)}"
    plugins = folder / "plugins"
    plugins.mkdir()
    by_file(
        Yard(plugins, lambda _: None),
        {name: misdeed.source(kind) for name, kind in names.items()} | {good: GOOD.format(kind="OSError")},
    )
    only(good, *names)
    (folder / "plughost.toml").write_text('[host]\nplugin_dir = "plugins"\n', "utf-8")
    return {good: "", **names}


EVERY_MISDEED = pytest.mark.parametrize("strangers", MISDEEDS, indirect=True)


def stood(ran: Any) -> Any:
    assert ran.code in (ExitCode.FINE, ExitCode.PROBLEMS), ran.err
    return ran.document


@EVERY_MISDEED
def test_commands_that_start_a_host_start_the_good_one(strangers: dict[str, str], cli: Any) -> None:
    good = next(iter(strangers))
    ran = cli("run", "--once", "--json")
    assert good in ran.document["loaded"]
    assert {one["name"] for one in ran.document["plugins"]} >= strangers.keys()
    assert {one["name"] for one in stood(cli("profile", "--json"))["plugins"]} >= {good}


@EVERY_MISDEED
def test_commands_that_only_look_tell_of_each(strangers: dict[str, str], cli: Any) -> None:
    checked = {one["name"]: one["status"] for one in stood(cli("check", "--json"))["plugins"]}
    assert checked.keys() == strangers.keys()
    assert checked[next(iter(strangers))] != "fail"
    assert {one["name"] for one in stood(cli("list", "--json"))["plugins"]} >= strangers.keys()
    assert stood(cli("doctor", "--json"))["checks"]
    for name in strangers:
        assert stood(cli("info", name, "--json"))["name"] == name


@EVERY_MISDEED
def test_a_command_that_nobody_has_is_looked_for_in_all(strangers: dict[str, str], cli: Any) -> None:
    ran = cli("nonsense")
    assert ran.code == ExitCode.USAGE
    assert "nonsense" in ran.err
