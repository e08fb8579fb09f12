"""The fleet of the compose file, by hand: two machines that share a Valkey and nothing else but a secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from composed import FIRST, command, environment, make_secrets
from fleet_processes import (
    Condition,
    Machine,
    check_that_nothing_doubled,
    living,
    pages_files,
    starts,
    states_of,
    until,
    view_of,
)
from plughost.contracts import View
from plughost.plugins.fleet.stores.redis import RedisFleetStore
from servers import free_port, server


@dataclass
class Composed:
    """The services `north` and `south` as processes."""

    north: Machine
    south: Machine

    def until(self, condition: Condition) -> View:
        url = self.north.environ["PLUGHOST_PLUGINS__FLEET__CONFIG__REDIS_URL"]
        name = self.north.environ["PLUGHOST_PLUGINS__FLEET__CONFIG__NAME"]
        return until(
            lambda: view_of(RedisFleetStore(url, prefix=f"plughost:fleet:{name}", timeout=10)),
            condition, [self.north, self.south],
        )  # fmt: skip


def machine(name: str, folder: Path, port: int) -> Machine:
    """Start a service with the page's job beside what it has; signs of life come five times as often."""
    (own := folder / name).mkdir()
    environ = environment(name, data=own, secrets=folder / "secrets", port=port)
    more = {**pages_files(own), "PLUGHOST_PLUGINS__TICKER__MODULE": "ticker:Ticker"}
    (own / "plughost.toml").unlink()  # everything else is the compose file's
    more["PLUGHOST_PLUGINS__FLEET__CONFIG__INTERVAL"] = "1"
    return Machine(own, environ | more, command(), first=FIRST)


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    make_secrets(tmp_path / "secrets")
    port = free_port()
    with server(port=port):
        machines = [machine(name, tmp_path, port) for name in ("north", "south")]
        try:
            yield Composed(*machines)
        finally:
            for one in machines:
                one.end()


@pytest.mark.timeout(400)
def test_two_machines_are_one_fleet_as_the_compose_file_has_them(composed: Composed) -> None:
    north, south = composed.north, composed.south
    composed.until(lambda view: set(living(view)) == {"north", "south"} and starts(view) >= 2)
    south.pull_the_plug()
    view = composed.until(lambda view: [one.member for one in view.members if one.lost] == ["south"])
    assert set(living(view)) == {"north"}
    before = starts(view)
    composed.until(lambda view: starts(view) >= before + 2)
    south.start()  # as the engine does
    composed.until(lambda view: set(living(view)) == {"north", "south"})
    status = json.loads(north.command("fleet", "status", "--json").stdout)
    assert (status["name"], status["store"]) == ("shop", "redis")
    assert set(status["plugins"]) >= {"cache", "sessions", "ticker"}

    done = north.command("fleet", "disable", "ticker", "--now", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert set(json.loads(done.stdout)["results"].values()) == {"applied"}
    composed.until(lambda view: states_of(view, "ticker") == ["disabled"] * 2)
    check_that_nothing_doubled(north, south)
