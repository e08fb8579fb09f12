"""Apps on a real PostgreSQL server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa

from app_host import AppHost
from app_plugins import COMING, Trace
from plughost.exceptions import AppError, BackupError
from plughost.plugins.database import DatabasePlugin
from postgres import PASSWORD, PostgresServer, postgres
from revisions import write_revisions

__all__ = ["postgres"]  # a fixture of this module

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def url(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    return postgres.create(f"shop_{abs(hash(request.node.name)) % 10_000_000}")


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[AppHost]:
    made = AppHost(tmp_path / "host")
    await made.load("database", DatabasePlugin())
    yield made
    await made.close()


def names_in(server: PostgresServer, url: str) -> list[str]:
    """Every table, index and sequence in the database behind the url."""
    with server.connect(database_of(url)) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = 'public' ORDER BY relname"
        ).fetchall()
    return [str(name) for (name,) in found]


def database_of(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]


def sessions_on(server: PostgresServer, url: str) -> int:
    with server.connect("postgres") as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s", (database_of(url),)
        ).fetchone()
    return int(str(row[0])) if row else 0


async def test_an_app_is_migrated_and_rolled_back_to_what_was_found(
    host: AppHost, postgres: PostgresServer, url: str, tmp_path: Path
) -> None:
    with postgres.connect(database_of(url)) as connection:
        connection.execute("CREATE TABLE mine (a int)")
    folder = write_revisions(tmp_path / "shop", ["a", "b"])
    await host.apps.register("shop", {"url": url, "migrations": folder})
    assert {"shop_a", "shop_b", "plughost_apps"} <= set(names_in(postgres, url))
    await host.apps.unregister("shop", rollback=True)
    assert names_in(postgres, url) == ["mine"]


@pytest.mark.parametrize("up", ["raise RuntimeError('boom')", "op.execute('INSERT INTO nowhere VALUES (1)')"])
async def test_a_failing_migration_leaves_the_database_as_it_was(
    host: AppHost, postgres: PostgresServer, url: str, tmp_path: Path, up: str
) -> None:
    folder = write_revisions(tmp_path / "shop", ["a", "b"], up=up)
    with pytest.raises(AppError, match="revision b of app 'shop' failed"):
        await host.apps.register("shop", {"url": url, "migrations": folder})
    assert names_in(postgres, url) == []
    assert sessions_on(postgres, url) == 0


async def test_two_apps_share_one_pool_and_it_closes_with_the_last(
    host: AppHost, postgres: PostgresServer, url: str
) -> None:
    assert await host.apps.register_all({"one": {"url": url}, "two": {"url": url}}) == {}
    async with host.apps["one"].connection.connect() as connection:
        await connection.execute(sa.text("SELECT 1"))
    await host.apps.unregister("one")
    assert sessions_on(postgres, url) == 1
    await host.apps.unregister("two")
    assert sessions_on(postgres, url) == 0


async def test_two_apps_on_one_sqlite_file_and_a_third_on_postgresql_come_at_the_same_time(
    host: AppHost, postgres: PostgresServer, url: str, tmp_path: Path
) -> None:
    trace = Trace()
    await host.load("trace", trace)
    sqlite = f"sqlite:///{tmp_path / 'two.db'}"
    configs = {
        name: {"url": where, "migrations": write_revisions(tmp_path / name, [f"{name}1"])}
        for name, where in {"shop": sqlite, "blog": sqlite, "mail": url}.items()
    }
    assert await host.apps.register_all(configs) == {}
    assert host.apps["shop"].connection is host.apps["blog"].connection
    assert host.apps["mail"].connection is not host.apps["blog"].connection
    assert trace.of("mail") == [hook for hook in COMING if hook not in {"run_seeds", "load_models"}]
    for name in configs:
        await host.apps.unregister(name, rollback=True)
    assert names_in(postgres, url) == []


async def test_a_wrong_password_is_a_clear_error_and_is_never_printed(
    host: AppHost, postgres: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = postgres.url("postgres", password="open sesame")
    caplog.set_level("DEBUG")
    with pytest.raises(AppError, match="password authentication failed") as caught:
        await host.apps.register("shop", {"url": wrong})
    shown = f"{caught.value!r} {caught.value.__cause__!r} {caplog.text}"
    assert "sesame" not in shown
    assert PASSWORD not in shown


async def test_a_server_that_goes_away_is_a_failed_check(
    host: AppHost, postgres: PostgresServer, url: str
) -> None:
    from plughost.flows.health import Health

    await host.apps.register("shop", {"url": url})
    health = Health(host.hooks, host.apps)
    assert (await health.check("shop")).status == "pass"
    with postgres.connect("postgres") as connection:
        connection.execute(f'DROP DATABASE "{database_of(url)}" WITH (FORCE)')
    report = await health.check("shop")
    assert report.status == "fail"
    assert PASSWORD not in report.output


async def test_a_registration_that_is_called_off_during_a_long_statement_is_rolled_back(
    host: AppHost, postgres: PostgresServer, url: str, tmp_path: Path
) -> None:
    started = tmp_path / "started"
    up = f"import pathlib; pathlib.Path({str(started)!r}).touch(); op.execute('SELECT pg_sleep(600)')"
    folder = write_revisions(tmp_path / "shop", ["a"], up=up)
    async with anyio.create_task_group() as group:
        group.start_soon(host.apps.register, "shop", {"url": url, "migrations": folder})
        while not started.exists():  # noqa: ASYNC110 - a worker thread makes it
            await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    assert names_in(postgres, url) == []
    assert "shop" not in host.apps


async def test_a_database_comes_back_row_for_row(host: AppHost, postgres: PostgresServer, url: str) -> None:
    with postgres.connect(database_of(url)) as connection:
        connection.execute("CREATE TABLE people (id int PRIMARY KEY, name text)")
        connection.execute("INSERT INTO people SELECT i, 'name ' || i FROM generate_series(1, 5000) i")
        before = connection.execute("SELECT * FROM people ORDER BY id").fetchall()
    await host.apps.register("shop", {"url": url})
    result = await host.backups.run()
    with postgres.connect(database_of(url)) as connection:
        connection.execute("DELETE FROM people WHERE id > 10")
        connection.execute("CREATE TABLE later (id int)")
    with pytest.raises(BackupError, match="has 2 tables"):
        await host.backups.restore(result.plan.backup_id)
    await host.backups.restore(result.plan.backup_id, overwrite=True)
    with postgres.connect(database_of(url)) as connection:
        assert connection.execute("SELECT * FROM people ORDER BY id").fetchall() == before


async def test_a_database_that_was_dropped_and_made_anew_is_filled(
    host: AppHost, postgres: PostgresServer, url: str
) -> None:
    with postgres.connect(database_of(url)) as connection:
        connection.execute("CREATE TABLE people AS SELECT generate_series(1, 100) AS id")
    await host.apps.register("shop", {"url": url})
    result = await host.backups.run()
    await host.apps.unregister("shop")
    host.configs["shop"] = {"url": url}
    postgres.create(database_of(url))
    assert (await host.backups.restore(result.plan.backup_id)).restored == ("shop/database.dump",)
    with postgres.connect(database_of(url)) as connection:
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (100,)


async def test_without_the_dump_tool_a_backup_fails_and_says_what_to_install(
    tmp_path: Path, url: str
) -> None:
    host = AppHost(tmp_path / "host")
    await host.load("database", DatabasePlugin(), {"pg_dump": "no-such-pg-dump"})
    await host.apps.register("shop", {"url": url})
    with pytest.raises(BackupError, match="'no-such-pg-dump' is not installed"):
        await host.backups.run()
    assert await host.backups.list() == ()
    await host.close()


async def test_a_registration_that_failed_after_its_enumerations_were_made_can_be_tried_again(
    host: AppHost, postgres: PostgresServer, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres.connect(database_of(url)) as connection:
        connection.execute("CREATE TYPE mine AS ENUM ('x')")
    (tmp_path / "enum_seeds.py").write_text(
        "def sow(engine):\n    if not ready: raise ValueError('not yet')\nready = []\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    up = "op.create_table('sized', sa.Column('size', sa.Enum('small', 'large', name='Size')))"
    folder = write_revisions(tmp_path / "shop", ["a"], up=up, back="op.drop_table('sized')")
    config = {"url": url, "migrations": folder, "seeds": "enum_seeds:sow"}
    for _ in range(2):
        with pytest.raises(AppError, match="not yet"):
            await host.apps.register("shop", config)
    __import__("enum_seeds").ready.append(True)
    await host.apps.register("shop", config)
    with postgres.connect(database_of(url)) as connection:
        kept = connection.execute(
            "SELECT typname FROM pg_type WHERE typtype = 'e' ORDER BY typname"
        ).fetchall()
    assert kept == [("Size",), ("mine",)]
