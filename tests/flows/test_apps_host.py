"""A whole host with three apps in its configuration: two on one SQLite file, the third on PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app_plugins import COMING, GOING, Trace
from plughost import Host, Plugin
from plughost.contracts import AppState
from postgres import PostgresServer, postgres
from revisions import write_revisions

__all__ = ["postgres"]  # a fixture of this module

pytestmark = pytest.mark.anyio
NOT_ASKED_FOR = {"run_seeds", "load_models"}


class Onlooker(Trace, Plugin):
    """Is found by the configuration, so that it is ready before the apps come."""

    seen: Onlooker

    async def start(self, context: object) -> None:
        Onlooker.seen = self


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def config(postgres: PostgresServer, tmp_path: Path) -> dict[str, Any]:
    file = f"sqlite:///{tmp_path / 'two.db'}"
    urls = {"shop": file, "blog": file, "mail": postgres.create("whole_host")}
    apps = {
        name: {"url": url, "migrations": write_revisions(tmp_path / name, [f"{name}1", f"{name}2"])}
        for name, url in urls.items()
    }
    with closing(sqlite3.connect(tmp_path / "two.db")) as connection:
        connection.execute("CREATE TABLE mine (a)")
    return {
        "host": {"data_dir": str(tmp_path / "data"), "allow": ["database", "onlooker"]},
        "plugins": {"onlooker": {"module": f"{__name__}:Onlooker"}},
        "apps": apps,
    }


def schema(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()


def postgres_tables(server: PostgresServer) -> list[Any]:
    with server.connect("whole_host") as connection:
        return connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()


async def test_apps_of_a_configuration_come_and_go_and_leave_everything_as_it_was_found(
    config: dict[str, Any], postgres: PostgresServer, tmp_path: Path
) -> None:
    before = schema(tmp_path / "two.db")
    async with Host(config=config, environ={}) as host:
        assert host.app_errors == {}
        assert {app.state for app in host.apps.values()} == {AppState.REGISTERED}
        assert host.apps["shop"].connection is host.apps["blog"].connection
        assert host.apps["shop"].connection is not host.apps["mail"].connection
        assert len(postgres_tables(postgres)) == 4
        assert (await host.health()).status == "pass"
        for name in list(host.apps):
            await host.apps.unregister(name, rollback=True)
        trace = Onlooker.seen
        whole = [hook for hook in [*COMING, *GOING] if hook not in NOT_ASKED_FOR]
        assert trace.of("mail") == whole
        opened = [name for hook, name in trace.calls if hook == "open_connection"]
        assert sorted(opened) in (["blog", "mail"], ["mail", "shop"])  # one of the two opened it for both
    assert schema(tmp_path / "two.db") == before
    assert postgres_tables(postgres) == []


async def test_apps_of_a_configuration_go_in_order_when_the_host_stops(config: dict[str, Any]) -> None:
    async with Host(config=config, environ={}):
        pass
    gone = [name for hook, name in Onlooker.seen.calls if hook == "app_unregistered"]
    came = [name for hook, name in Onlooker.seen.calls if hook == "app_registered"]
    assert gone == list(reversed(came))


async def test_a_host_starts_although_one_app_cannot_and_says_so(
    config: dict[str, Any], postgres: PostgresServer
) -> None:
    config["apps"]["mail"]["url"] = postgres.url("whole_host", password="wrong")
    async with Host(config=config, environ={}) as host:
        assert sorted(host.apps) == ["blog", "shop"]
        assert "password authentication failed" in str(host.app_errors["mail"])
        report = await host.health()
        assert report.status == "fail"
        assert "app mail" in report.output
